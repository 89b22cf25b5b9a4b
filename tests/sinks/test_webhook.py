"""Records by HTTP, against a real server with real accidents."""

import json
import logging
import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamseg.config.sinks import WebhookSettings
from streamseg.errors import ConfigError, SinkError
from streamseg.sinks.base import Emission
from streamseg.sinks.delivery import Delivery, backoff_seconds, retry_after_seconds, verdict
from streamseg.sinks.http_post import Endpoint, PostError, Reply
from streamseg.sinks.webhook import DEAD_LETTERS, WebhookSink
from streamseg.vocabulary import Vocabulary
from tests.recorded import Named, facts_of, result_of
from tests.web_server import Answer, serve

WORDS = Vocabulary.parse("car")
QUICK = {"first_backoff_seconds": 0.01, "max_backoff_seconds": 0.02, "timeout_seconds": 20.0, "total_seconds": 60.0}


def emission(index: int, *, replayed: bool = False) -> Emission:
    ids = np.ones((4, 6), np.int32)
    result = result_of(ids, [Named(1, 0, "car", True)], WORDS, index)
    return Emission(result, np.zeros((4, 6, 3), np.uint8), WORDS, replayed=replayed)


def sink_for(folder: Path, url: str, **options: Any) -> WebhookSink:
    stop = options.pop("stop", None)
    sink = WebhookSink(facts_of(folder / "cam", WORDS), WebhookSettings(url, **(QUICK | options)), stop)
    sink.open(None)
    return sink


def dead_letters(folder: Path) -> list[tuple[str, int]]:
    path = folder / "cam" / DEAD_LETTERS
    lines = path.read_text().splitlines() if path.exists() else []
    return [(line["reason"], line["record"]["frame"]) for line in map(json.loads, lines)]


def sent_frames(bodies: list[Any]) -> list[int]:
    return [record["frame"] for body in bodies for record in (body if isinstance(body, list) else [body])]


# What arrives.


def test_each_record_is_posted_as_json(tmp_path: Path) -> None:
    with serve() as server:
        sink = sink_for(tmp_path, server.url, headers=("X-Camera: cam 1",))
        for index in range(3):
            sink.write(emission(index))
        sink.close()
    assert server.bodies == [emission(index).result.to_dict(masks=False) for index in range(3)]
    assert server.paths == ["/frames"] * 3
    assert server.headers[0]["Content-Type"] == "application/json"
    assert server.headers[0]["X-Camera"] == "cam 1"
    assert server.headers[0]["User-Agent"].startswith("streamseg/")
    assert len(server.connections) == 1, "the connection is used again"
    assert (sink.delivered, sink.undelivered) == (3, 0)
    assert dead_letters(tmp_path) == []
    assert list((tmp_path / "cam").iterdir()) == []


def test_masks_if_asked_for(tmp_path: Path) -> None:
    with serve() as server:
        sink = sink_for(tmp_path, server.url, masks=True)
        sink.write(emission(0))
        sink.close()
    assert "mask" in server.bodies[0]["segments"][0]


def test_batches(tmp_path: Path) -> None:
    with serve() as server:
        sink = sink_for(tmp_path, server.url, batch=3)
        for index in range(5):
            sink.write(emission(index))
        assert [len(body) for body in server.bodies] == [3]
        assert sink.state() == {"delivered": 5, "undelivered": 0}
        sink.write(emission(5))
        sink.close()
    assert [len(body) for body in server.bodies] == [3, 2, 1]
    assert sent_frames(server.bodies) == list(range(6))


def test_replayed_frames_are_not_sent_again(tmp_path: Path) -> None:
    with serve() as server:
        sink = sink_for(tmp_path, server.url)
        for index in range(4):
            sink.write(emission(index, replayed=index < 2))
        sink.close()
    assert sent_frames(server.bodies) == [2, 3]


# What goes wrong, and gets well.


@pytest.mark.parametrize("accident", [500, 503, 408, 429, "429:0", "reset", "garbage"])
def test_it_tries_again(tmp_path: Path, accident: Answer) -> None:
    with serve([accident, accident, 200]) as server:
        sink = sink_for(tmp_path, server.url)
        sink.write(emission(0))
        sink.write(emission(1))
        sink.close()
    assert sent_frames(server.bodies)[-2:] == [0, 1]
    assert sent_frames(server.bodies).count(0) >= 3
    assert sink.delivered == 2
    assert dead_letters(tmp_path) == []


@pytest.mark.parametrize("manner", ["large", "closing", "half"])
def test_odd_servers_get_each_record_once(tmp_path: Path, manner: str) -> None:
    with serve([manner]) as server:
        sink = sink_for(tmp_path, server.url)
        for index in range(4):
            sink.write(emission(index))
        sink.close()
    assert sent_frames(server.bodies) == [0, 1, 2, 3]


@pytest.mark.parametrize(("accident", "reason"), [("hang", "no answer in time"), ("drip", "no answer in time")])
def test_a_server_that_hangs_is_given_up(tmp_path: Path, accident: str, reason: str) -> None:
    with serve([accident]) as server:
        sink = sink_for(tmp_path, server.url, timeout_seconds=0.3, max_attempts=2)
        started = time.monotonic()
        with pytest.raises(SinkError, match=reason):
            sink.write(emission(0))
        assert time.monotonic() - started < 15, "a drip would go on for ever"
        assert len(server.bodies) == 2
        sink.close()
    assert dead_letters(tmp_path) == [(reason, 0)]


# What cannot be delivered.


@pytest.mark.parametrize("status", [400, 401, 404, 413, 301, 302])
def test_refusals_are_not_repeated(tmp_path: Path, status: int) -> None:
    with serve([status, 200]) as server:
        sink = sink_for(tmp_path, server.url)
        with pytest.raises(SinkError, match=rf"webhook http://127\.0\.0\.1:\d+: HTTP {status} "):
            sink.write(emission(0))
        sink.write(emission(1))
        sink.close()
    assert sent_frames(server.bodies) == [0, 1]
    assert (sink.delivered, sink.undelivered) == (1, 1)
    ((reason, frame),) = dead_letters(tmp_path)
    assert reason.startswith(f"HTTP {status} ")
    assert frame == 0


def test_an_outage_costs_one_attempt_for_each_record_after_the_first(tmp_path: Path) -> None:
    with serve([503] * 6 + [200]) as server:
        sink = sink_for(tmp_path, server.url, max_attempts=4)
        for index in range(3):
            with pytest.raises(SinkError, match="HTTP 503 Service Unavailable"):
                sink.write(emission(index))
        for index in range(3, 6):
            sink.write(emission(index))
        sink.close()
    assert sent_frames(server.bodies) == [0, 0, 0, 0, 1, 2, 3, 4, 5]
    assert [frame for _, frame in dead_letters(tmp_path)] == [0, 1, 2]


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        sink = sink_for(tmp_path, f"http://127.0.0.1:{unused.getsockname()[1]}/", max_attempts=3)
        with pytest.raises(SinkError, match="Connection refused"):
            sink.write(emission(7))
        sink.close()
    assert dead_letters(tmp_path) == [("Connection refused", 7)]


def test_an_unknown_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    sink = sink_for(tmp_path, "http://nowhere.invalid/", max_attempts=1)
    with pytest.raises(SinkError, match=r"webhook http://nowhere\.invalid: unknown host"):
        sink.write(emission(0))
    sink.close()


def test_no_tls_where_https_is_expected(tmp_path: Path) -> None:
    with serve() as server:
        sink = sink_for(tmp_path, server.url.replace("http:", "https:"), max_attempts=1)
        with pytest.raises(SinkError, match="no secure connection"):
            sink.write(emission(0))
        sink.close()


def test_a_batch_that_cannot_be_delivered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serve([400]) as server:
        sink = sink_for(tmp_path, server.url, batch=2)
        sink.write(emission(0))
        with pytest.raises(SinkError):
            sink.write(emission(1))
        sink.write(emission(2))
        sink.close()
    assert [frame for _, frame in dead_letters(tmp_path)] == [0, 1, 2]
    assert "HTTP 400 Bad Request" in caplog.text


def test_at_the_end_the_policy_holds(tmp_path: Path) -> None:
    with serve([400]) as server:
        sink = sink_for(tmp_path, server.url, batch=2, on_error="stop")
        sink.write(emission(0))
        with pytest.raises(SinkError, match="HTTP 400"):
            sink.close()


# The file of dead letters.


def undeliverable(tmp_path: Path, frames: range, **options: Any) -> None:
    with serve([400]) as server:
        sink = sink_for(tmp_path, server.url, **options)
        for index in frames:
            with pytest.raises(SinkError):
                sink.write(emission(index))
        sink.close()


def test_dead_letters_of_an_earlier_run_stay(tmp_path: Path) -> None:
    undeliverable(tmp_path, range(2))
    undeliverable(tmp_path, range(2, 4))
    assert [frame for _, frame in dead_letters(tmp_path)] == [0, 1, 2, 3]


@pytest.mark.parametrize("torn", ['{"reason":"x', "x" * 200_000])
def test_a_torn_dead_letter_is_cut_off(tmp_path: Path, torn: str) -> None:
    undeliverable(tmp_path, range(2))
    with (tmp_path / "cam" / DEAD_LETTERS).open("a") as file:
        file.write(torn)
    undeliverable(tmp_path, range(2, 3))
    assert [frame for _, frame in dead_letters(tmp_path)] == [0, 1, 2]


def test_dead_letters_do_not_fill_the_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    undeliverable(tmp_path, range(10), dead_letter_megabytes=0.002)
    path = tmp_path / "cam" / DEAD_LETTERS
    assert 0 < path.stat().st_size <= 2000
    assert 0 < len(dead_letters(tmp_path)) < 10
    assert caplog.text.count("is full") == 1


# Stopping.


def test_a_stop_ends_the_wait_between_attempts(tmp_path: Path) -> None:
    stop = threading.Event()
    with serve([503]) as server:
        options = {"first_backoff_seconds": 900.0, "max_backoff_seconds": 900.0, "total_seconds": 3600.0}
        sink = sink_for(tmp_path, server.url, stop=stop, **options)
        threading.Timer(0.3, stop.set).start()
        with pytest.raises(SinkError, match="HTTP 503"):
            sink.write(emission(0))
        with pytest.raises(SinkError, match="the run was stopped"):
            sink.write(emission(1))
        sink.close()
    assert sent_frames(server.bodies) == [0]
    assert len(dead_letters(tmp_path)) == 2


def test_after_a_stop_what_can_be_delivered_is(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with serve() as server:
        sink = sink_for(tmp_path, server.url, stop=stop)
        sink.write(emission(0))
        sink.close()
    assert sent_frames(server.bodies) == [0]


def test_it_may_be_closed_while_a_write_waits(tmp_path: Path) -> None:
    with serve(["hang"]) as server:
        sink = sink_for(tmp_path, server.url, timeout_seconds=0.5, max_attempts=1)
        errors: list[SinkError] = []

        def write() -> None:
            try:
                sink.write(emission(0))
            except SinkError as error:
                errors.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        while not server.bodies:
            time.sleep(0.01)
        sink.close()
        thread.join(timeout=30)
    assert len(errors) == 1
    assert dead_letters(tmp_path) == [("no answer in time", 0)]


# Rules, without a server.


class Clock:
    """Time that passes when somebody waits; also a `Stop` that is never set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.now += timeout
        return False


class Script:
    """A poster whose answers are told; each takes a second."""

    def __init__(self, clock: Clock, answers: list[Reply | PostError]) -> None:
        self._clock, self._answers = clock, iter(answers)
        self.seconds: list[float] = []

    def post(self, _body: bytes, seconds: float) -> Reply:
        self.seconds.append(seconds)
        self._clock.now += min(1.0, seconds)
        answer = next(self._answers)
        if isinstance(answer, PostError):
            raise answer
        return answer


def delivery(answers: list[Reply | PostError], **options: Any) -> tuple[Delivery, Clock, Script]:
    clock = Clock()
    script = Script(clock, answers)
    settings = WebhookSettings("http://x", **options)
    return Delivery(settings, script, clock, clock=clock, chance=lambda: 0.0), clock, script  # type: ignore[arg-type]


def test_waits_grow() -> None:
    deliver, clock, _ = delivery([Reply(500, None)] * 5, max_attempts=5, max_backoff_seconds=3.0, total_seconds=60.0)
    assert deliver.deliver(b"") == "HTTP 500 Internal Server Error"
    assert clock.waits == [0.5, 1.0, 2.0, 3.0]


def test_retry_after_is_respected_while_there_is_time() -> None:
    answers: list[Reply | PostError] = [Reply(429, "7"), Reply(200, None)]
    deliver, clock, _ = delivery(list(answers))
    assert deliver.deliver(b"") is None
    assert clock.waits == [7.0]
    deliver, clock, _ = delivery([Reply(429, "300")], total_seconds=30.0)
    assert deliver.deliver(b"") == "HTTP 429 Too Many Requests"
    assert clock.waits == [], "nobody waits for what comes too late"


def test_all_attempts_end_in_time() -> None:
    deliver, clock, script = delivery(
        [PostError("gone")] * 100, max_attempts=100, total_seconds=10.0, timeout_seconds=4.0
    )
    assert deliver.deliver(b"") == "gone"
    assert clock.now <= 10.0
    assert all(0 < seconds <= 4.0 for seconds in script.seconds)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, "delivered") for status in (200, 201, 204)),
        *((status, "retry") for status in (408, 425, 429, 500, 503, 599)),
        *((status, "refused") for status in (103, 301, 400, 404, 410)),
    ],
)
def test_verdict(status: int, expected: str) -> None:
    assert verdict(status) == expected


def test_backoff_is_bounded_and_jittered() -> None:
    assert backoff_seconds(1, 0.5, 10, 0) == 0.5
    assert backoff_seconds(3, 0.5, 10, 0) == 2.0
    assert backoff_seconds(3, 0.5, 10, 1) == 1.0
    assert backoff_seconds(10**9, 0.5, 10, 0) == 10


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, 0), ("", 0), ("soon", 0), ("12", 12), (" 3 ", 3), ("-5", 0), ("date", 90), ("past", 0)],
)
def test_retry_after(header: str | None, expected: float) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    dates = {"date": format_datetime(now + timedelta(seconds=90), usegmt=True), "past": "Sun, 06 Nov 1994 08:49:37 GMT"}
    assert retry_after_seconds(dates.get(header or "", header), now) == expected


# Addresses and secrets.


def test_secrets_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "s3cret")
    with serve() as server:
        url = server.url + "?key=${HOOK_TOKEN}"
        sink = sink_for(tmp_path, url, headers=("Authorization: Bearer ${HOOK_TOKEN}",))
        sink.write(emission(0))
        sink.close()
    assert server.headers[0]["Authorization"] == "Bearer s3cret"
    assert server.paths == ["/frames?key=s3cret"]


def test_credentials_of_the_address_become_a_header() -> None:
    endpoint = Endpoint.parse("https://user:p%40ss@example.org/hook")
    assert endpoint.headers == (("Authorization", "Basic dXNlcjpwQHNz"),)
    assert (endpoint.host, endpoint.port, endpoint.path, str(endpoint)) == (
        "example.org",
        443,
        "/hook",
        "https://example.org",
    )


@pytest.mark.parametrize("answers", [[400], ["reset"], ["garbage"]])
def test_no_secret_is_ever_shown(tmp_path: Path, answers: list[Answer], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serve(answers) as server:
        url = server.url.replace("http://", "http://user:s3cret@").replace("/frames", "/hook/s3cret?token=s3cret")
        settings = WebhookSettings(url, headers=("X-Token: s3cret",), **(QUICK | {"max_attempts": 2}))  # type: ignore[arg-type]
        sink = WebhookSink(facts_of(tmp_path / "cam", WORDS), settings)
        with pytest.raises(SinkError) as caught:
            sink.write(emission(0))
        sink.close()
    shown = [str(caught.value), repr(caught.value), repr(settings), repr(caught.value.__cause__), caplog.text]
    shown += [repr(caught.value.__context__), repr(Endpoint.parse(url)), str(dead_letters(tmp_path))]
    assert not any("s3cret" in text for text in shown)
    assert "/s3cret" in server.paths[0]


@pytest.mark.parametrize(
    ("url", "headers", "says"),
    [
        ("ftp://example.org", (), "webhook.url is no web address"),
        ("example.org/hook", (), "webhook.url is no web address"),
        ("http://", (), "webhook.url is no web address"),
        ("http://example.org:99999/", (), "webhook.url is no web address"),
        ("http://exa mple.org/", (), "webhook.url is no web address"),
        ("https://${NO_SUCH_HOST}/", (), r"webhook.url names \${NO_SUCH_HOST}, which is not set: export NO_SUCH_HOST="),
        ("https://x", ("Authorization",), "webhook.headers holds 'a line without a colon', expected"),
        ("https://x", ("Bad Name: x",), "webhook.headers holds 'Bad Name', expected"),
        ("https://x", ("X-A: one\r\nX-B: two",), "webhook.headers holds 'X-A', expected"),
        ("https://x", ("X-A: ${NO_SUCH}",), r"webhook.headers names \${NO_SUCH}"),
    ],
)
def test_wrong_settings_are_refused_before_anything_runs(
    tmp_path: Path, url: str, headers: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        WebhookSink(facts_of(tmp_path / "cam", WORDS), WebhookSettings(url, headers=headers))


def test_settings_are_checked() -> None:
    for name, value in (("batch", 0), ("max_attempts", 0), ("timeout_seconds", 0.0), ("total_seconds", 1e9)):
        with pytest.raises(ConfigError, match=f"setting webhook.{name} is"):
            replace(WebhookSettings("http://x"), **{name: value})
