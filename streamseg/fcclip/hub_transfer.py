"""One file from the Hugging Face Hub into the usual cache: resumed after a cut, checked, and never half there.

huggingface_hub's own download neither checks the content's hash over plain HTTP nor keeps what a failed run has
fetched. So it answers where things are (endpoint, token, cache, metadata), and the transfer is done here. The cache's
layout is its documented one; every tool that uses the cache finds the files:

    models--ORG--NAME/blobs/ETAG                  the content; ETAG.incomplete while it arrives
    models--ORG--NAME/snapshots/COMMIT/FILE       a link to it
    models--ORG--NAME/refs/main                   COMMIT
"""

import errno
import hashlib
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from huggingface_hub import constants, get_hf_file_metadata, get_session, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is httpx's or httpx2's, as installed
    EntryNotFoundError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # public, but loaded when used
    WeakFileLock,
    build_hf_headers,
    hf_raise_for_status,
)
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

__all__ = ["FetchError", "cache_folder", "cached_file", "fetch_file", "repo_folder"]

log = logging.getLogger(__name__)

_REFRESH_SECONDS = 0.1
_RETRY_WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0)  # between attempts that brought nothing new
_RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})


class FetchError(Exception):
    """A file could not be fetched: why, and the remedy where it lies on this machine."""

    def __init__(self, reason: str, remedy: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class _Remote:
    """What the Hub says of a file: `etag` is its sha256 for all large files, `size` in bytes or None if untold."""

    url: str
    etag: str
    commit: str
    size: int | None


def cache_folder() -> Path:
    """The Hugging Face cache (HF_HUB_CACHE, or `hub` in HF_HOME)."""
    return Path(constants.HF_HUB_CACHE)


def repo_folder(repo: str) -> Path:
    """Where the cache keeps `repo`."""
    return cache_folder() / f"models--{repo.replace('/', '--')}"


def cached_file(repo: str, name: str) -> Path | None:
    """The file if it is here, without asking the network."""
    found = try_to_load_from_cache(repo, name, cache_dir=cache_folder())
    return Path(found) if isinstance(found, str) else None


def fetch_file(repo: str, name: str, *, offline: bool | None = None, progress: bool = True) -> Path:
    """The file's path in the cache, fetched first if it is not there. A file that is there is not looked up again.

    Args:
        repo, name: on the Hub.
        offline: never use the network; None leaves that to HF_HUB_OFFLINE.
        progress: show a bar, if stderr is a terminal.

    Raises:
        FetchError: with the reason in one line.
        EntryNotFoundError: the repository is there, but has no such file.
    """
    found = cached_file(repo, name)
    if found is not None:
        return found
    if constants.HF_HUB_OFFLINE if offline is None else offline:
        raise FetchError("it is not in the cache, and the network is off (offline mode)")
    try:
        return _fetch(repo, name, _look_up(repo, name), progress)
    except EntryNotFoundError:
        raise
    except (HTTPError, OSError) as error:
        raise _explain(error, repo) from error


def _look_up(repo: str, name: str) -> _Remote:
    metadata = get_hf_file_metadata(hf_hub_url(repo, name))
    etag, commit = metadata.etag or "", metadata.commit_hash or ""
    if not all(re.fullmatch(r"[\w-][\w.-]*", part) for part in (etag, commit)):
        raise FileMetadataError(f"{constants.ENDPOINT} does not answer like a Hugging Face Hub")
    url = hf_hub_url(repo, name, revision=commit)
    return _Remote(url, etag, commit, metadata.size)


def _fetch(repo: str, name: str, remote: _Remote, progress: bool) -> Path:
    folder = repo_folder(repo)
    blob = folder / "blobs" / remote.etag
    lock = cache_folder() / ".locks" / folder.name / f"{remote.etag}.lock"
    for parent in (blob.parent, lock.parent):
        parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):  # another process may have brought it while this one waited
        if not blob.exists():
            partial = blob.with_name(f"{blob.name}.incomplete")
            _check_room(partial, remote)
            log.info("fetching %s from %s (%s)", name, repo, _size_text(remote.size))
            with _bar(name, remote.size, progress) as advance:
                _download(remote, partial, advance)
            _verify(partial, remote)
            os.replace(partial, blob)
        return _publish(folder, blob, remote.commit, name)


def _download(remote: _Remote, partial: Path, advance: "Advance") -> None:
    """Fill `partial` up to the remote's size, continuing from what it holds; broken connections are tried again."""
    waits = iter(_RETRY_WAITS_SECONDS)
    while True:
        before = partial.stat().st_size if partial.exists() else 0
        advance(before)
        if remote.size is not None and before == remote.size:
            return
        try:
            _transfer(remote, partial, before, advance)
            return
        except (HTTPError, OSError) as error:
            if not _is_passing(error):
                raise
            if partial.exists() and partial.stat().st_size > before:
                waits = iter(_RETRY_WAITS_SECONDS)
            wait = next(waits, None)
            if wait is None:
                raise
            log.info("%s: %s; continuing in %g s", remote.url, _first_line(error), wait)
            time.sleep(wait)


def _transfer(remote: _Remote, partial: Path, start: int, advance: "Advance") -> None:
    """One request, appended to `partial`."""
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = get_session().stream(
        "GET", remote.url, headers=headers, follow_redirects=True, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT
    )
    with request as response:
        if response.status_code == 416:  # what is here is longer than the file
            partial.unlink()
            raise ConnectionResetError("the part that was here is not of this file")
        hf_raise_for_status(response)
        resumed = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
            f"bytes {start}-"
        )
        with partial.open("ab" if resumed else "wb") as file:
            _write(response.iter_bytes(), file, start if resumed else 0, advance)


def _write(chunks: Iterator[bytes], file: BinaryIO, done: int, advance: "Advance") -> None:
    for chunk in chunks:
        file.write(chunk)
        done += len(chunk)
        advance(done)


def _verify(partial: Path, remote: _Remote) -> None:
    """Size and hash; a file that fails is deleted, so that the next run starts afresh."""
    size = partial.stat().st_size
    problem = f"{size} bytes instead of {remote.size}" if remote.size is not None and size != remote.size else None
    if problem is None and re.fullmatch("[0-9a-f]{64}", remote.etag):
        with partial.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        problem = f"sha256 {found[:12]}... instead of {remote.etag[:12]}..." if found != remote.etag else None
    if problem is not None:
        partial.unlink()
        raise FetchError(f"it arrived damaged ({problem}) and was deleted", "run it again")


def _publish(folder: Path, blob: Path, commit: str, name: str) -> Path:
    """Make the finished content visible under its name."""
    pointer = folder / "snapshots" / commit / name
    pointer.parent.mkdir(parents=True, exist_ok=True)
    if not pointer.exists():
        pointer.unlink(missing_ok=True)  # a link to nothing
        try:
            pointer.symlink_to(os.path.relpath(blob, pointer.parent))
        except OSError:  # a file system without links
            shutil.move(blob, pointer)
    reference = folder / "refs" / constants.DEFAULT_REVISION
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit)
    return pointer


def _check_room(partial: Path, remote: _Remote) -> None:
    """Raise before the first byte, rather than in the middle."""
    if remote.size is None:
        return
    needed = remote.size - (partial.stat().st_size if partial.exists() else 0)
    if shutil.disk_usage(partial.parent).free < needed:
        raise OSError(errno.ENOSPC, f"{_size_text(needed)} needed")


def _is_passing(error: Exception) -> bool:
    """Whether the same request may well succeed in a moment."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _RETRIED_STATUS
    if isinstance(error, OfflineModeIsEnabled):
        return False
    return isinstance(error, HTTPError | ConnectionError | TimeoutError)


def _explain(error: Exception, repo: str) -> FetchError:
    """The reason in words; what lies on this machine gets its own remedy."""
    cache = cache_folder()
    if isinstance(error, OfflineModeIsEnabled):
        return FetchError("it is not in the cache, and the network is off (offline mode)")
    if isinstance(error, GatedRepoError):
        return FetchError(f"access to {repo} has to be granted on the Hub first (set HF_TOKEN once it is)")
    if isinstance(error, RepositoryNotFoundError):
        return FetchError(f"{constants.ENDPOINT} has no repository {repo}, or shows it to others only (set HF_TOKEN)")
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        hint = ": check HF_TOKEN" if status in (401, 403) else ""
        return FetchError(f"{constants.ENDPOINT} answered HTTP {status}{hint}")
    if isinstance(error, FileMetadataError):
        return FetchError(_first_line(error))
    if isinstance(error, HTTPError | ConnectionError | TimeoutError):
        return FetchError(f"{constants.ENDPOINT} cannot be reached, or the connection broke ({_first_line(error)})")
    assert isinstance(error, OSError)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        detail = f" ({error.strerror})" if error.strerror != os.strerror(error.errno) else ""
        return FetchError(f"the disk of {cache} is full{detail}", "make room there, or set HF_HOME to another disk")
    return FetchError(
        f"{error.filename or cache} cannot be written ({error.strerror or error})", "set HF_HOME to a folder of yours"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _size_text(size: int | None) -> str:
    return "size unknown" if size is None else f"{size / 1e6:.0f} MB"


class Advance:
    """Tells a progress bar how many bytes are here."""

    def __init__(self, bar: Progress, name: str, size: int | None) -> None:
        self._bar = bar
        self._task = bar.add_task(name, total=size)
        self._size = size
        self._drawn = 0.0

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        due = now - self._drawn >= _REFRESH_SECONDS or done == self._size
        if due:
            self._drawn = now
        self._bar.update(self._task, completed=done, refresh=due)


@contextmanager
def _bar(name: str, size: int | None, progress: bool) -> Iterator[Advance]:
    """A bar on stderr, drawn when bytes arrive; nothing at all off a terminal."""
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    silent = not (progress and sys.stderr.isatty())
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, disable=silent) as bar:
        yield Advance(bar, name, size)
