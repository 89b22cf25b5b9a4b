"""Delivery by HTTP, with retries that end."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal, Protocol

from ..config.sinks import WebhookSettings
from .http_post import Poster, PostError, Reply

__all__ = ["Delivery", "Stop", "backoff_seconds", "retry_after_seconds", "verdict"]

Verdict = Literal["delivered", "retry", "refused"]


class Stop(Protocol):
    """A `threading.Event`, or anything like it."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


def verdict(status: int) -> Verdict:
    """What an HTTP status means for the same request sent again. Redirects are not followed: they are refusals."""
    if 200 <= status < 300:
        return "delivered"
    busy = status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
    return "retry" if busy or status >= 500 else "refused"


def backoff_seconds(attempt: int, first: float, highest: float, chance: float) -> float:
    """How long to wait after a failed attempt.

    Args:
        attempt: number of attempts so far, from 1; each doubles the wait.
        first, highest: the shortest and the longest wait, before jitter.
        chance: 0 to 1; takes off up to half, so that many senders do not come back together.
    """
    return min(highest, first * 2.0 ** min(attempt - 1, 60)) * (1 - 0.5 * chance)


def retry_after_seconds(header: str | None, now: datetime) -> float:
    """What a Retry-After header asks for, as a number of seconds or as a date; 0 where it asks for nothing."""
    if header is None:
        return 0.0
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


class Delivery:
    """Sends bodies one after the other; each is delivered, or given up with a reason.

    A body gets up to `max_attempts` within `total_seconds`. While the server is gone, each one after the first gets a
    single attempt, so that a long outage does not hold up everything. After `stop` nobody waits between attempts, and
    once one has failed then, the rest is given up untried.

    Args:
        settings: limits.
        poster: to one endpoint.
        stop: ends waits between attempts.
        clock, chance: stand-ins for tests; `chance` draws from 0 to 1.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        poster: Poster,
        stop: Stop,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._poster = poster
        self._stop = stop
        self._clock = clock
        self._chance = chance
        self._gone = False

    def deliver(self, body: bytes) -> str | None:
        """Send one body; None, or why it could not be delivered. Takes `total_seconds` at most."""
        if self._gone and self._stop.is_set():
            return "the run was stopped, and there was no answer"
        settings = self._settings
        deadline = self._clock() + settings.total_seconds
        attempts = 1 if self._gone else settings.max_attempts
        attempt = 0
        while True:
            attempt += 1
            seconds = min(settings.timeout_seconds, deadline - self._clock())
            outcome, reason, asked = self._attempt(body, seconds)
            if outcome != "retry":
                self._gone = False  # it answers, if only to refuse
                return reason
            pause = max(asked, backoff_seconds(attempt, *self._backoff, self._chance()))
            if attempt >= attempts or self._clock() + pause >= deadline or self._stop.wait(pause):
                self._gone = True
                return reason

    @property
    def _backoff(self) -> tuple[float, float]:
        return self._settings.first_backoff_seconds, self._settings.max_backoff_seconds

    def _attempt(self, body: bytes, seconds: float) -> tuple[Verdict, str | None, float]:
        """What came of it, why, and how long the server wants to be left alone."""
        try:
            reply = self._poster.post(body, seconds)
        except PostError as error:
            return "retry", str(error), 0.0
        outcome = verdict(reply.status)
        reason = None if outcome == "delivered" else _shown(reply)
        return outcome, reason, retry_after_seconds(reply.retry_after, datetime.now(UTC))


def _shown(reply: Reply) -> str:
    try:
        return f"HTTP {reply.status} {HTTPStatus(reply.status).phrase}"
    except ValueError:
        return f"HTTP {reply.status}"
