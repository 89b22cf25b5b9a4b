"""Why a live connection failed, in words for people, and whether waiting would help."""

import errno
from glob import glob
from typing import NamedTuple

import av.error

from .address import Address
from .opening import reason_of

__all__ = ["LIBRARY_ERRORS", "OutageError", "outage_of"]

LIBRARY_ERRORS = (av.error.FFmpegError, OSError, ValueError, RuntimeError)
"""All that PyAV raises for input that cannot be opened or read."""


class OutageError(Exception):
    """A connection could not be made, or was lost. For inside `sources` only.

    Attributes:
        reason: a few words, without passwords.
        remedy: what someone has to do about it, where waiting does not help; empty where it may.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Known(NamedTuple):
    """What an error of the library means."""

    kind: type[BaseException]
    reason: str
    remedy: str = ""


KNOWN = (
    Known(
        av.error.HTTPUnauthorizedError,
        "it wants another user or password (401)",
        "put the right ones into its URL, as USER:PASSWORD@HOST, and write @ : / % in them as %40 %3A %2F %25",
    ),
    Known(av.error.HTTPForbiddenError, "it denies access (403)", "let this user see the stream, or take another user"),
    Known(av.error.HTTPNotFoundError, "it has no such stream (404)", "check the path in its URL"),
    Known(av.error.ProtocolNotFoundError, "this build of FFmpeg does not speak its protocol", "take another URL"),
    Known(ConnectionRefusedError, "connection refused"),
    Known(ConnectionResetError, "connection reset"),
    Known(av.error.ExitError, "no answer in time"),
    Known(TimeoutError, "no answer in time"),
    Known(av.error.InvalidDataError, "what it sends cannot be read"),
    Known(av.error.EOFError, "it closed the connection"),
)

NO_CAMERA = (errno.ENOTTY, errno.EINVAL)


def outage_of(error: BaseException, address: Address) -> OutageError:
    """What an error of PyAV means. Its own text is not to be shown: it holds the URL, passwords included."""
    if address.kind == "camera" and (remedy := _device_remedy(error, address)):
        return OutageError(_lower(reason_of(error)), remedy)
    for known in KNOWN:
        if isinstance(error, known.kind):
            return OutageError(known.reason, known.remedy)
    if getattr(error, "errno", None) == errno.EIO:  # what FFmpeg says of both
        return OutageError("no such host, or it broke off")
    return OutageError(_lower(address.clean(reason_of(error))))


def _device_remedy(error: BaseException, address: Address) -> str:
    if isinstance(error, FileNotFoundError):
        cameras = ", ".join(sorted(glob("/dev/video*"))) or "none"
        return f"check its number and its cable (cameras here: {cameras})"
    if isinstance(error, PermissionError):
        return f"let this user read {address.location}, for instance through the group video"
    if isinstance(error, OSError) and error.errno in NO_CAMERA:
        return "it is no camera that delivers video: take another one"
    return ""


def _lower(text: str) -> str:
    """Without the capital of a sentence; names and abbreviations keep theirs."""
    return text[0].lower() + text[1:] if " " in text and text[1].islower() else text
