"""Reference cases on disk: each is a pair, NAME.json with facts and NAME.npz with tensors."""

import json
import zlib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ..errors import ParityError
from .checks import Array

__all__ = ["find_pairs", "read_pair"]


def find_pairs(paths: Sequence[Path | str]) -> list[Path]:
    """Paths without suffix, each once, for .json or .npz files, names without suffix, or folders of them.

    Raises:
        ParityError: a folder holds no case.
    """
    stems: dict[Path, None] = {}
    for given in map(Path, paths):
        if given.is_dir():
            found = sorted(given.glob("*.npz"))
            if not found:
                raise ParityError(f"{given} holds no case: expected pairs NAME.npz and NAME.json")
            stems.update(dict.fromkeys(path.with_suffix("") for path in found))
        else:
            stems[given.with_suffix("") if given.suffix in (".npz", ".json") else given] = None
    return list(stems)


def read_pair(stem: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Facts and tensors of one case.

    Raises:
        ParityError: a file is missing, or cannot be read.
    """
    json_path, npz_path = stem.with_name(stem.name + ".json"), stem.with_name(stem.name + ".npz")
    for path in (json_path, npz_path):
        if not path.is_file():
            near = get_close_matches(path.name, [other.name for other in path.parent.glob("*")], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ParityError(f"{path} is missing: a case is a pair NAME.json and NAME.npz{hint}")
    try:
        facts = json.loads(json_path.read_text(encoding="utf-8"))
        with npz_path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            tensors = {key: archive[key] for key in archive.files}
    except (ValueError, TypeError, OSError, EOFError, NotImplementedError, BadZipFile, zlib.error) as error:
        raise ParityError(f"{stem} cannot be read as a case ({error}); copy it again") from None
    if not isinstance(facts, dict):
        raise ParityError(f"{json_path} holds a {type(facts).__name__}, expected an object with the facts of a case")
    return facts, tensors
