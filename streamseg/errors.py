"""Every error that streamseg raises on purpose.

A message names the value that was found, what was expected, and the remedy, in one line: the command line prints it as
it is and exits, so a user never sees a traceback for a mistake of theirs.
"""

__all__ = [
    "ConfigError",
    "DecodeError",
    "DownloadError",
    "EvaluationError",
    "ParityError",
    "SinkError",
    "SourceError",
    "StreamsegError",
    "TrainingError",
    "VocabularyError",
    "WeightsError",
]


class StreamsegError(Exception):
    """Base of all errors raised on purpose; catching it catches nothing that is a bug of ours."""


class ConfigError(StreamsegError):
    """A setting, flag or argument is unknown or out of range."""


class VocabularyError(ConfigError):
    """A vocabulary is empty, contradicts itself, or cannot be read."""


class SourceError(StreamsegError):
    """An input cannot be opened or has stopped delivering."""


class DecodeError(SourceError):
    """An input was opened, but what it delivers cannot be decoded."""


class WeightsError(StreamsegError):
    """A weight file is missing, damaged, or belongs to another model."""


class DownloadError(WeightsError):
    """Weights could not be fetched; the message lists the ways around it."""


class ParityError(StreamsegError):
    """A reference case cannot be read (a failed comparison is a result, not an error)."""


class EvaluationError(StreamsegError):
    """Ground truth and predictions cannot be read, or not scored against each other."""


class TrainingError(StreamsegError):
    """A run cannot go on: the loss is no number any more, or its state cannot be written or continued."""


class SinkError(StreamsegError):
    """Results cannot be written."""
