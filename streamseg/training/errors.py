"""What goes wrong in training alone."""

from ..errors import StreamsegError

__all__ = ["TrainingError"]


class TrainingError(StreamsegError):
    """A run cannot go on: the loss is no number any more, or its state cannot be written or continued."""
