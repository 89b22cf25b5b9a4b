"""What a process has to say: its log lines travel with its reports, and appear where the run was started."""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Telling", "Told", "repeat"]

MOST_LINES = 200  # between two reports; then the oldest are lost


@dataclass(frozen=True, slots=True)
class Told:
    """A log line."""

    logger: str
    level: int
    text: str


class Telling(logging.Handler):
    """Collects what the package logs in this process, for `take`.

    Attributes:
        incarnation: names this process; another one after a restart.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.incarnation = f"{os.uname().nodename}-{os.getpid()}-{time.time_ns()}"
        self._lines: deque[Told] = deque(maxlen=MOST_LINES)
        self._taking = threading.Lock()
        package = logging.getLogger("streamseg")
        package.setLevel(logging.INFO)
        package.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(Told(record.name, record.levelno, record.getMessage()))

    def take(self) -> tuple[Told, ...]:
        """The lines since this was last asked."""
        with self._taking:
            return tuple(self._lines.popleft() for _ in range(len(self._lines)))


def repeat(lines: Iterable[Told]) -> None:
    """Log them here."""
    for line in lines:
        logging.getLogger(line.logger).log(line.level, "%s", line.text)
