"""The folder of a run: `run.json` says what was run and how far it is, one folder for each stream holds the rest."""

import errno
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from ..errors import ConfigError, SinkError
from ..sinks.files import atomic_write, is_temporary

__all__ = ["MANIFEST", "RECORDS", "RUN_SCHEMA", "TRACKS", "RunFolder", "clear_folder", "clear_torn"]

RUN_SCHEMA = "streamseg.run/1"
MANIFEST = "run.json"
RECORDS = "records.jsonl"
TRACKS = "tracks.jsonl"


class RunFolder:
    """One run's folder.

    Attributes:
        path: of the folder.
        manifest: what `run.json` holds.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def create(cls, path: Path | str, manifest: Mapping[str, Any], *, overwrite: bool = False) -> Self:
        """A folder for a new run.

        Args:
            path: made if it is missing.
            manifest: "streams" maps the name of each stream to what is known of it.
            overwrite: remove an earlier run's `run.json` and folders of streams, and nothing else.

        Raises:
            ConfigError: it holds an earlier run, or a file is in the way.
            SinkError: it cannot be written.
        """
        folder = Path(path)
        cls.check_free(folder, list(manifest["streams"]), overwrite=overwrite)
        if cls.is_run(folder):
            cls.open(folder)._remove()
        run = cls(folder, {"schema": RUN_SCHEMA, **manifest})
        try:
            folder.mkdir(parents=True, exist_ok=True)
            run.save()  # first: without it the folders of a run that is killed now would belong to nobody
            for name in manifest["streams"]:
                (folder / name).mkdir()
        except OSError as error:
            raise _cannot_make(folder, error.strerror) from None
        return run

    @staticmethod
    def is_run(path: Path | str) -> bool:
        """Whether a run was begun in a folder."""
        return os.path.exists(Path(path) / MANIFEST)  # False, too, where nobody may look

    @classmethod
    def check_free(cls, path: Path | str, streams: Sequence[str], *, overwrite: bool) -> None:
        """ConfigError where `create` would refuse, SinkError where it could not write."""
        folder = Path(path)
        _check_writable(folder)
        theirs: list[str] = []
        if cls.is_run(folder):
            if not overwrite:
                raise ConfigError(
                    f"{str(folder)!r} holds an earlier run: go on with it (--resume), replace it (--overwrite), or "
                    "choose another --output"
                )
            theirs = cls.open(folder).streams
        taken = next((name for name in streams if name not in theirs and os.path.lexists(folder / name)), None)
        if taken is not None:
            raise ConfigError(f"{str(folder / taken)!r} is in the way of a stream's results: choose another --output")

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """The folder of a run that was begun; ConfigError where there is none."""
        folder = Path(path)
        try:
            manifest = json.loads((folder / MANIFEST).read_bytes())
        except FileNotFoundError:
            raise ConfigError(f"{str(folder)!r} holds no run: expected a folder with {MANIFEST}") from None
        except OSError as error:
            raise ConfigError(f"cannot read {str(folder / MANIFEST)!r}: {error.strerror}") from None
        except ValueError:
            raise ConfigError(
                f"{str(folder / MANIFEST)!r} is damaged, expected JSON: run again with --overwrite"
            ) from None
        if not isinstance(manifest, dict) or manifest.get("schema") != RUN_SCHEMA:
            raise ConfigError(f"{str(folder / MANIFEST)!r} is not of a run, expected schema {RUN_SCHEMA!r}")
        return cls(folder, manifest)

    @property
    def streams(self) -> list[str]:
        """Names of the streams, in the order of the run."""
        return list(self.manifest["streams"])

    def stream(self, name: str) -> Path:
        """The folder of one stream; ConfigError for an unknown one."""
        if name not in self.manifest["streams"]:
            raise ConfigError(f"{str(self.path)!r} has no stream {name!r}, expected one of {', '.join(self.streams)}")
        return self.path / name

    def save(self) -> None:
        """Replace `run.json` by what `manifest` holds now."""
        text = json.dumps(self.manifest, indent=1, ensure_ascii=False, allow_nan=False)
        atomic_write(self.path / MANIFEST, text.encode("utf-8", "backslashreplace") + b"\n")

    def clear_torn(self) -> None:
        """Remove files and folders that a killed run was in the middle of writing."""
        _remove_temporary(self.path.iterdir())
        for name in self.streams:
            if self._is_own(name):
                clear_torn(self.path / name)

    def clear_stream(self, name: str) -> None:
        """Remove what a stream has written; its folder stays."""
        clear_folder(self.stream(name))

    def _remove(self) -> None:
        try:
            for name in self.streams:
                if self._is_own(name):
                    shutil.rmtree(self.path / name)
            (self.path / MANIFEST).unlink()
        except OSError as error:
            raise SinkError(f"cannot clear {str(self.path)!r}: {error.strerror}; choose another --output") from None

    def _is_own(self, name: str) -> bool:
        """Whether a stream's folder is there and really below this one: a manifest may have been tampered with."""
        folder = self.path / name
        return folder.is_dir() and not folder.is_symlink() and folder.resolve().parent == self.path.resolve()


def clear_torn(folder: Path) -> None:
    """Remove from one stream's folder what somebody was in the middle of writing."""
    _remove_temporary(folder.rglob("*"))


def clear_folder(folder: Path) -> None:
    """Remove what a stream has written; its folder stays, or is made."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
    except OSError as error:
        raise SinkError(f"cannot clear {str(folder)!r}: {error.strerror}; choose another --output") from None


def _remove_temporary(entries: Iterable[Path]) -> None:
    for path in [entry for entry in entries if is_temporary(entry)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _check_writable(folder: Path) -> None:
    """Of what is there already: of the folder, or of the one that it will be in."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if os.path.exists(parent))
    if not there.is_dir():
        raise ConfigError(f"{str(there)!r} is a file, expected a folder for results: choose another --output")
    if not os.access(there, os.W_OK | os.X_OK):
        raise _cannot_make(folder, os.strerror(errno.EACCES))


def _cannot_make(folder: Path, reason: str | None) -> SinkError:
    return SinkError(f"cannot make folder {str(folder)!r}: {reason}; choose another --output")
