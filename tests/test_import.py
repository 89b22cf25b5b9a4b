"""`import streamseg` is quick, and its public names are what they seem."""

import importlib
import subprocess
import sys
import textwrap

import pytest

import streamseg

HEAVY = ("av", "cv2", "numpy", "open_clip", "PIL", "ray", "timm", "torch", "torchvision", "yaml")


def loaded_after(code: str) -> list[str]:
    """Which heavy modules a fresh interpreter has loaded after `code`."""
    report = f"import sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    finished = subprocess.run(
        [sys.executable, "-c", f"{textwrap.dedent(code)}\n{report}"], capture_output=True, text=True, check=True
    )
    return finished.stdout.split()


def test_import_loads_nothing_heavy() -> None:
    assert loaded_after("import streamseg; dir(streamseg); streamseg.__version__") == []


def test_words_do_without_torch() -> None:
    loaded = loaded_after(
        """
        import streamseg
        streamseg.Vocabulary.parse("car; sky").with_background(streamseg.Vocabulary.load("coco+lvis"))
        streamseg.StreamsegError
        """
    )
    assert loaded == []


@pytest.mark.parametrize("name", sorted(set(streamseg.__all__) - {"__version__"}))
def test_public_names_are_the_objects_of_their_modules(name: str) -> None:
    value = getattr(streamseg, name)
    assert value.__name__ == name
    assert value.__module__.startswith("streamseg.")
    assert getattr(importlib.import_module(value.__module__), name) is value


def test_dir_shows_the_public_names() -> None:
    assert dir(streamseg) == sorted(streamseg.__all__)


def test_star_import_gives_the_public_names() -> None:
    namespace: dict[str, object] = {}
    exec("from streamseg import *", namespace)
    assert set(streamseg.__all__) <= set(namespace)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Segmentor'"):
        _ = streamseg.Segmentor


def test_every_error_is_public() -> None:
    errors = importlib.import_module("streamseg.errors")
    assert set(errors.__all__) <= set(streamseg.__all__)
    assert all(issubclass(getattr(errors, name), errors.StreamsegError) for name in errors.__all__)


def test_the_package_runs_as_the_command() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "streamseg", "--version"], capture_output=True, text=True, check=True
    )
    assert finished.stdout == f"streamseg {streamseg.__version__}\n"
