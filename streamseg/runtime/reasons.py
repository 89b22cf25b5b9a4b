"""Errors in one line, for records and messages."""

from ..errors import StreamsegError

__all__ = ["reason_of"]


def reason_of(error: Exception) -> str:
    """One line about an error; the class of those that are none of ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, StreamsegError) else f"{type(error).__name__}: {text}" if text else repr(error)
