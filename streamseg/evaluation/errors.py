"""What goes wrong in evaluation alone."""

from ..errors import StreamsegError

__all__ = ["EvaluationError"]


class EvaluationError(StreamsegError):
    """Ground truth and predictions cannot be read, or not scored against each other."""
