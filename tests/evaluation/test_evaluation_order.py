"""The order of the folders of evaluation, as its docstring gives it: each uses those before it, and none behind it."""

import pytest

from tests.test_layering import REPOSITORY, imports

# What may be used of evaluation, beside what is in the same folder. The commands in the folder itself use everything.
SHARED = {"arguments", "progress"}
USES: dict[str, set[str]] = {
    "metrics": set(),
    "inputs": {"metrics"},
    "reports": {"inputs", "metrics"},
    "world": {"inputs", "metrics", "reports", *SHARED},
    "tracking": {"inputs", "metrics", "reports", *SHARED},
    "datasets": {"inputs", "metrics", "reports", *SHARED},
}
EVALUATION = REPOSITORY / "streamseg" / "evaluation"


def test_every_folder_has_a_place() -> None:
    folders = {path.parent.name for path in EVALUATION.rglob("*.py")} - {"evaluation"}
    assert folders == set(USES)


@pytest.mark.parametrize("folder", USES)
def test_a_folder_uses_those_before_it(folder: str) -> None:
    used = {
        (imported.file.name, imported.parts[2])
        for file in (EVALUATION / folder).glob("*.py")
        for imported in imports(file, REPOSITORY)
        if imported.parts[:2] == ["streamseg", "evaluation"]
    }
    assert used, f"{folder} imports nothing of evaluation, which this test would not notice if it looked elsewhere"
    assert {(name, part) for name, part in used if part not in USES[folder] | {folder}} == set()


@pytest.mark.parametrize("name", sorted(SHARED))
def test_what_all_share_uses_nothing(name: str) -> None:
    of_package = [imported.parts for imported in imports(EVALUATION / f"{name}.py", REPOSITORY)]
    assert [parts for parts in of_package if parts[:2] == ["streamseg", "evaluation"]] == []
