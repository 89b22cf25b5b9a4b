"""Going on with a run: what must be the same, and where each stream stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..parsing import flatten
from ..runs.commits import Commit, read_commit
from ..runs.folder import RunFolder, clear_folder, clear_torn
from ..runs.records import last_record

__all__ = ["Resumption", "check_same_run", "resume_from", "resume_stream"]

SHOWN = 3  # differences that a message lists


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where the streams of an interrupted run stand.

    Attributes:
        commits: by stream; those that had none start at their beginning.
        emitted: (epoch, frame) of the last record of a stream, which may be later than its commit.
    """

    commits: Mapping[str, Commit]
    emitted: Mapping[str, tuple[int, int]] | None = None

    def commit(self, name: str) -> Commit | None:
        return self.commits.get(name)

    def is_done(self, name: str) -> bool:
        commit = self.commits.get(name)
        return commit is not None and commit.done

    def replay_until(self, name: str) -> tuple[int, int] | None:
        return None if self.emitted is None else self.emitted.get(name)


def resume_from(folder: RunFolder) -> Resumption:
    """The state of every stream of a run; ConfigError where it is damaged.

    A stream that was killed before its first commit begins anew, so what it has written is removed.
    """
    folder.clear_torn()
    commits: dict[str, Commit] = {}
    emitted: dict[str, tuple[int, int]] = {}
    for name in folder.streams:
        commit, last = resume_stream(folder.stream(name))
        if last is not None:
            emitted[name] = last
        if commit is not None:
            commits[name] = commit
    return Resumption(commits, emitted)


def resume_stream(folder: Path) -> tuple[Commit | None, tuple[int, int] | None]:
    """The state of one stream, from its folder: its commit, and the (epoch, frame) of its last record."""
    clear_torn(folder)
    last = last_record(folder)
    commit = read_commit(folder)
    if commit is None:
        clear_folder(folder)
    return commit, last


def check_same_run(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with a run under other circumstances, naming them: its two halves would not fit.

    Args:
        before, now: the "identity" of both, nested.
    """
    old, new = flatten(_listed(before)), flatten(_listed(now))
    different = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    if not different:
        return
    shown = "; ".join(f"{key} was {_text(old.get(key))}, now {_text(new.get(key))}" for key in different[:SHOWN])
    more = f" and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
    raise ConfigError(
        f"cannot go on with this run, since it was made differently: {shown}{more}; set them as they were, or start "
        "anew with --overwrite"
    )


def _listed(value: Any) -> Any:
    """Lists as mappings by position, so that a message can name one entry."""
    if isinstance(value, Mapping):
        return {str(key): _listed(item) for key, item in value.items()}
    return {str(i): _listed(item) for i, item in enumerate(value)} if isinstance(value, list | tuple) else value


def _text(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
