"""The rules of docs/architecture.md on who may import whom, held against every file.

A *unit* is a module or folder directly under `streamseg/`; a file that has no place in `LAYERS` fails the test, so that
giving it one is a decision. Imports count wherever they stand: inside functions and under TYPE_CHECKING too.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

LAYERS: dict[str, int] = {
    # words
    "errors": 0,
    "frames": 0,
    "vocabulary": 0,
    "config": 0,
    "metrics": 0,
    "parsing": 0,
    "prompts": 0,
    "rle": 0,
    "tracks": 0,
    # stages
    "fcclip": 1,
    "preprocess": 1,
    "queries": 1,
    "frame_batches": 1,
    "segmenter": 1,
    "competition": 1,
    "panoptic": 1,
    "acceleration": 1,
    "sinks": 1,
    "sources": 1,
    "tracking": 1,
    "world": 1,
    # uses
    "pipeline": 2,
    "planning": 2,
    "runs": 2,
    "training": 2,
    "evaluation": 2,
    "parity": 2,
    "testing": 2,
    # runtimes
    "runtime": 3,
    # doors; run_stream.py and pipelines/ belong here too. Benchmarks measure whole runs, so they stand above runtimes.
    "benchmark": 4,
    "cli": 4,
    "__main__": 5,  # opens the door of the command
}

# Words may use one another. A stage uses another one only along these edges. Of the uses, evaluation alone uses another
# one: the scripted segmenter, whose mistakes are known, is an instrument of the tracking suite.
USES: dict[str, set[str]] = {
    "acceleration": {"segmenter"},
    "competition": {"queries"},
    "evaluation": {"testing"},
    "panoptic": {"competition", "fcclip", "queries"},
    "frame_batches": {"preprocess", "queries"},
    "segmenter": {"fcclip", "frame_batches", "preprocess", "queries"},
    "sources": {"world"},
    "tracking": {"queries"},
}

# Where a third-party library may be imported: units, or single files.
HOMES: dict[str, set[str]] = {
    "av": {"sources", "sinks/video.py"},
    "lap": {"tracking/assign.py"},
    "open_clip": {"fcclip"},
    "ray": {"runtime"},
}

# What the words must do without.
HEAVY = {"cv2", "open_clip", "ray", "timm", "torch", "torchvision"}

# Single imports that break a rule on purpose, each with its reason.
WAIVED = {
    ("frames.py", "streamseg.sinks.render"): "FrameResult.plot() is a shorthand; nothing is loaded unless it is called",
}

TOP_LEVEL = ("pipelines", "run_stream")


@dataclass(frozen=True)
class Import:
    """`module` is what the statement names, `name` what it takes from it (empty for a plain import)."""

    file: Path
    line: int
    module: str
    name: str = ""

    @property
    def parts(self) -> list[str]:
        return [*self.module.split("."), *([self.name] if self.name else [])]


def violations(root: Path) -> list[str]:
    """One line for each import under `root` that breaks a rule."""
    found: list[str] = []
    for file in sorted((root / "streamseg").rglob("*.py")):
        relative = file.relative_to(root / "streamseg")
        if relative.as_posix() == "__init__.py":  # the public names, loaded when used: test_import.py
            continue
        unit = relative.parts[0].removesuffix(".py")
        if unit not in LAYERS:
            found.append(f"{file.relative_to(root)}: {unit!r} has no layer; give it one in LAYERS")
            continue
        for imported in imports(file, root):
            problem = problem_of(imported, unit, relative.as_posix())
            if problem:
                found.append(f"{file.relative_to(root)}:{imported.line}: {problem}")
    return found


def problem_of(imported: Import, unit: str, relative: str) -> str | None:
    """What is wrong with one import, if anything is."""
    if (relative, imported.module) in WAIVED:
        return None
    top, *rest = imported.parts
    if top in TOP_LEVEL:
        return f"{top!r} is a way to start the package; nothing in the package imports it"
    if top != "streamseg":
        return third_party_problem(top, unit, relative)
    if not rest or rest[0] == "__version__":
        return None
    return unit_problem(rest, unit)


def third_party_problem(library: str, unit: str, relative: str) -> str | None:
    home = HOMES.get(library)
    if home is not None and unit not in home and relative not in home:
        return f"{library!r} may be imported in {', '.join(sorted(home))} only"
    if LAYERS[unit] == 0 and library in HEAVY:
        return f"the words import no {library!r}"
    return None


def unit_problem(path: list[str], unit: str) -> str | None:
    other = path[0]
    if other not in LAYERS:
        return f"'from streamseg import {other}' hides where it lives; import it from its module"
    if other == unit:
        return None
    if any(part.startswith("_") for part in path):
        return f"{'.'.join(path)!r} is internal to {other!r}"
    ours, theirs = LAYERS[unit], LAYERS[other]
    if theirs < ours or (ours == theirs == 0) or other in USES.get(unit, set()):
        return None
    return f"{unit!r} (layer {ours}) may not import {other!r} (layer {theirs})"


def imports(file: Path, root: Path) -> Iterator[Import]:
    """Every import in a file, absolute: statements, and import_module or __import__ of a literal name."""
    package = list(file.relative_to(root).parent.parts)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(file, node.lineno, module, alias.name)
        elif isinstance(node, ast.Call) and called_name(node) in ("import_module", "__import__"):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield Import(file, node.lineno, argument.value.lstrip("."))


def called_name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_every_import_keeps_to_the_layers() -> None:
    assert violations(REPOSITORY) == []


def test_every_waiver_is_needed() -> None:
    package = REPOSITORY / "streamseg"
    for relative, module in WAIVED:
        assert module in {imported.module for imported in imports(package / relative, REPOSITORY)}


def test_edges_between_stages_make_no_circle() -> None:
    def reachable(unit: str, seen: frozenset[str] = frozenset()) -> set[str]:
        assert unit not in seen, f"{unit!r} uses itself by way of {sorted(seen)}"
        return {unit}.union(*(reachable(other, seen | {unit}) for other in USES.get(unit, set())))

    for unit in USES:
        assert all(LAYERS[other] == LAYERS[unit] for other in reachable(unit))


# The checker itself: each planted violation must be found, and what is allowed must not be.


def plant(root: Path, file: str, line: str) -> list[str]:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{line}\n")
    return violations(root)


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("streamseg/vocabulary.py", "import torch", "the words import no 'torch'"),
        ("streamseg/frames.py", "import torch.nn.functional as F", "the words import no 'torch'"),
        ("streamseg/config.py", "def f():\n    from torch import Tensor", "the words import no 'torch'"),
        ("streamseg/config.py", "from .segmenter import Segmenter", "may not import 'segmenter'"),
        ("streamseg/frames.py", "from .sinks.images import save", "may not import 'sinks'"),
        ("streamseg/metrics.py", "import ray", "'ray' may be imported in runtime only"),
        ("streamseg/fcclip/model.py", "from ..segmenter import Segmenter", "may not import 'segmenter'"),
        ("streamseg/fcclip/model.py", "from .. import panoptic", "may not import 'panoptic'"),
        ("streamseg/tracking/tracker.py", "from streamseg.segmenter import Segmenter", "may not import 'segmenter'"),
        ("streamseg/segmenter.py", "import streamseg.pipeline", "may not import 'pipeline'"),
        ("streamseg/segmenter.py", "from .fcclip.model import _secret", "internal to 'fcclip'"),
        ("streamseg/segmenter.py", "from .fcclip._fast import secret", "internal to 'fcclip'"),
        ("streamseg/segmenter.py", "import open_clip", "'open_clip' may be imported in fcclip only"),
        ("streamseg/training/loop.py", "from ..evaluation import report", "may not import 'evaluation'"),
        ("streamseg/pipeline.py", "from .runtime.local import run", "may not import 'runtime'"),
        ("streamseg/runtime/local.py", "from ..cli import main", "may not import 'cli'"),
        ("streamseg/sinks/jsonl.py", "import av", "'av' may be imported in sinks/video.py, sources only"),
        ("streamseg/tracking/cost.py", "from lap import lapjv", "'lap' may be imported in tracking/assign.py only"),
        ("streamseg/pipeline.py", "import importlib\nimportlib.import_module('ray.util')", "'ray' may be imported"),
        ("streamseg/cli.py", "import pipelines.files", "nothing in the package imports it"),
        ("streamseg/evaluation/report.py", "from run_stream import main", "nothing in the package imports it"),
        ("streamseg/pipeline.py", "from . import Segmenter", "hides where it lives"),
        ("streamseg/novelty.py", "import json", "has no layer"),
    ],
)
def test_a_planted_violation_is_found(file: str, line: str, complaint: str, tmp_path: Path) -> None:
    found = plant(tmp_path, file, line)
    assert len(found) == 1, found
    assert found[0].startswith(file)
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("streamseg/vocabulary.py", "from .errors import VocabularyError"),
        ("streamseg/frames.py", "import numpy as np"),
        ("streamseg/fcclip/model.py", "from .backbone import _helper"),
        ("streamseg/fcclip/text.py", "import open_clip"),
        ("streamseg/segmenter.py", "from .fcclip.model import build_fcclip"),
        ("streamseg/evaluation/report.py", "from ..segmenter import Segmenter"),
        ("streamseg/runtime/cluster.py", "import ray"),
        ("streamseg/sinks/video.py", "import av"),
        ("streamseg/sources/file.py", "import av"),
        ("streamseg/cli.py", "from . import __version__"),
        ("streamseg/cli.py", "from .runtime import local"),
        ("streamseg/__init__.py", "from .segmenter import Segmenter"),
    ],
)
def test_what_the_rules_allow(file: str, line: str, tmp_path: Path) -> None:
    assert plant(tmp_path, file, line) == []
