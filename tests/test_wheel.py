"""What a user installs: the wheel is complete, holds the package alone, and works from an empty folder."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from streamseg import __version__
from streamseg.fcclip.spec import MODEL_SPECS
from streamseg.vocabulary import BUILTIN_VOCABULARIES

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Installation:
    """A virtual environment with the wheel in it, and an empty folder to work from."""

    folder: Path
    empty: Path

    def run(self, program: str, *arguments: str) -> str:
        """Standard output of a program of the environment, run in the empty folder."""
        finished = subprocess.run(
            [self.folder / "bin" / program, *arguments],
            cwd=self.empty,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    finished = subprocess.run(build, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel alone is installed; what it depends on is borrowed from the environment of the tests."""
    folder, empty = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    install = [*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    finished = subprocess.run(install, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    # A path from a .pth file comes last, and the .pth files in it are not read: editable installs stay out of sight.
    (site_packages,) = (folder / "lib").glob("python*/site-packages")
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installation(folder, empty)


def test_the_wheel_holds_the_package_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"streamseg", f"streamseg-{__version__}.dist-info"}
    assert not [name for name in names if "__pycache__" in name]


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    package = (path.relative_to(REPOSITORY) for path in (REPOSITORY / "streamseg").rglob("*") if path.is_file())
    expected = {path.as_posix() for path in package if "__pycache__" not in path.parts}
    assert expected <= set(zipfile.ZipFile(wheel).namelist())
    assert "streamseg/py.typed" in expected


def test_the_installed_package_is_the_one_of_the_wheel(installation: Installation) -> None:
    code = "import streamseg, importlib.metadata as m; print(streamseg.__file__); print(m.version('streamseg'))"
    file, version = installation.run("python", "-c", code).split()
    assert Path(file).is_relative_to(installation.folder)
    assert version == __version__


def test_every_built_in_vocabulary_is_installed(installation: Installation) -> None:
    code = f"import streamseg; print(*(len(streamseg.Vocabulary.load(name)) for name in {list(BUILTIN_VOCABULARIES)}))"
    assert len(installation.run("python", "-c", code).split()) == len(BUILTIN_VOCABULARIES)


def test_the_command_works_from_an_empty_folder(installation: Installation) -> None:
    assert __version__ in installation.run("streamseg", "--version")
    listing = installation.run("streamseg", "models")
    assert [name for name in MODEL_SPECS if name not in listing] == []
    assert list(installation.empty.iterdir()) == []


@pytest.mark.slow
def test_the_demo_runs_offline_from_the_installed_wheel(installation: Installation) -> None:
    printed = installation.run("streamseg", "demo", "--output", "shown")
    results = installation.empty / "shown" / "demo"
    records = [json.loads(line) for line in (results / "records.jsonl").read_text().splitlines()]
    assert [record["frame"] for record in records] == list(range(200))
    assert {"cat", "hammer", "grass", "sky"} <= {s["label"] for record in records for s in record["segments"]}
    assert len(list((results / "epoch-0" / "panoptic").glob("*.png"))) == 200
    assert (results / "epoch-0" / "overlay.mp4").stat().st_size > 100_000
    assert (results / "tracks.jsonl").stat().st_size > 0
    assert "shown/demo/records.jsonl" in printed
    # Who is in the middle of the clip keeps its identity to the end of it.
    [cat] = {s["id"] for record in records[60:160] for s in record["segments"] if s["label"] == "cat"}
    assert any(s["id"] == cat for s in records[-1]["segments"])
