"""The README's file tree equals the repository's, and its examples are not out of date."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from streamseg.fcclip.spec import DEFAULT_MODEL, MODEL_SPECS
from streamseg.vocabulary import BUILTIN_VOCABULARIES, Vocabulary

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def code_block(text: str, language: str = "") -> str:
    match = re.search(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    assert match is not None
    return match.group(1)


def listed_paths() -> Iterator[str]:
    """The tree's entries as paths; two blanks of indentation are one level."""
    parents: list[str] = []
    for line in code_block(section("Layout")).splitlines():
        name, description = line.split(maxsplit=1)
        assert description
        level = (len(line) - len(line.lstrip())) // 2
        parents[level:] = [name]
        yield "".join(parents)


def test_every_path_of_the_tree_exists() -> None:
    assert [path for path in listed_paths() if not (REPOSITORY / path).exists()] == []


def test_every_folder_of_code_stands_in_the_tree() -> None:
    folders = {
        path.parent.relative_to(REPOSITORY).as_posix() + "/"
        for folder in ("streamseg", "pipelines")
        for path in (REPOSITORY / folder).rglob("*.py")
    }
    assert sorted(folders - set(listed_paths())) == []


def test_every_file_says_first_what_it_is_for() -> None:
    files = [path for folder in ("streamseg", "pipelines") for path in (REPOSITORY / folder).rglob("*.py")]
    silent = [path for path in files if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_the_table_of_models_knows_every_model() -> None:
    assert [name for name in MODEL_SPECS if f"`{name}`" not in section("Models")] == []
    assert f"`{DEFAULT_MODEL}` (default)" in section("Models")


def test_the_text_on_vocabularies_is_true() -> None:
    text = section("Vocabularies")
    assert [name for name in BUILTIN_VOCABULARIES if f"`{name}`" not in text] == []
    for name, count in re.findall(r"`([a-z0-9-]+)` \(([0-9,]+)(?: categories)?\)", text):
        assert len(Vocabulary.load(name)) == int(count.replace(",", ""))
    example = Vocabulary.from_dict(yaml.safe_load(code_block(text, "yaml")))
    assert [(category.id, category.label, category.isthing) for category in example.categories] == [
        (3, "car", True),
        (1, "sky", False),
    ]
    assert [category.label for category in example.background] == ["building", "tree"]


def test_python_examples_compile() -> None:
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)):
        compile(block, f"README example {number}", "exec")
