"""What live sources decide by: pure rules, each on its own."""

import errno
import random
import struct
import threading
import time
from datetime import UTC, datetime, timedelta

import av.error
import pytest
from av.packet import Packet

from streamseg.config.sources import LiveSettings
from streamseg.errors import ConfigError
from streamseg.parsing import from_mapping
from streamseg.sources.address import Address, parse_address
from streamseg.sources.arrival import REMEMBERED, Arrival, Arrivals, camera_time
from streamseg.sources.keyframes import PATIENCE, GapWatch, KeyframeGate
from streamseg.sources.outage import outage_of
from streamseg.sources.pacing import EARLY_SECONDS, Pacer
from streamseg.sources.reconnect import Backoff, backoff_seconds, wait

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


# Waits.


def test_waits_double_up_to_the_longest() -> None:
    waits = [backoff_seconds(failures, 0.5, 30.0, chance=0.0) for failures in range(1, 9)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_chance_takes_up_to_half() -> None:
    assert backoff_seconds(3, 0.5, 30.0, chance=1.0) == 1.0
    assert backoff_seconds(3, 0.5, 30.0, chance=0.5) == 1.5


def test_a_very_long_row_of_failures() -> None:
    assert backoff_seconds(100_000, 0.5, 30.0, chance=0.0) == 30.0


def test_the_same_seed_waits_the_same() -> None:
    def waits(seed: str) -> list[float]:
        backoff = Backoff(0.5, 30.0, random.Random(seed))
        return [backoff.fail() for _ in range(5)]

    assert waits("cam0") == waits("cam0")
    assert waits("cam0") != waits("cam1")


def test_a_connection_that_held_ends_the_row_and_a_short_one_does_not() -> None:
    backoff = Backoff(1.0, 8.0, NoChance())
    assert [backoff.fail() for _ in range(3)] == [1.0, 2.0, 4.0]
    assert backoff.fail(held_seconds=2.0) == 8.0
    assert backoff.fail(held_seconds=9.0) == 1.0


class NoChance(random.Random):
    def random(self) -> float:
        return 0.0


def test_a_wait_shows_that_it_is_alive() -> None:
    beats: list[float] = []
    begun = time.monotonic()
    assert wait(threading.Event(), 0.6, lambda: beats.append(time.monotonic()))
    assert time.monotonic() - begun >= 0.6
    assert len(beats) >= 2


def test_a_wait_ends_with_stop() -> None:
    stop = threading.Event()
    begun = time.monotonic()
    threading.Timer(0.05, stop.set).start()
    assert not wait(stop, 600.0, lambda: None)
    assert time.monotonic() - begun < 60


def test_nothing_to_wait_for() -> None:
    stop = threading.Event()
    assert wait(stop, 0.0, lambda: None)
    stop.set()
    assert not wait(stop, 0.0, lambda: None)


# Whole pictures. In the scripts: K keyframe, d difference, x corrupt picture, X corrupt keyframe, ! damage.


def shown(script: str, *, intra_only: bool = False) -> str:
    """What a gate lets through, "-" for what it holds back."""
    gate = KeyframeGate(intra_only=intra_only)
    result = ""
    for what in script:
        if what == "!":
            gate.damage()
        else:
            result += what if gate.admits(keyframe=what in "KX", corrupt=what in "xX") else "-"
    return result


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("KdddKdd", "KdddKdd"),
        ("ddKdd", "--Kdd"),  # joined midway
        ("Kd!ddKd", "Kd--Kd"),
        ("KdxddKd", "Kd---Kd"),
        ("KdXddKd", "Kd---Kd"),  # a keyframe that is damaged itself does not count
        ("Kd!d!dKd", "Kd--Kd"),
        ("!Kd", "Kd"),
        ("", ""),
    ],
)
def test_pictures_are_held_back_until_a_whole_keyframe(script: str, expected: str) -> None:
    assert shown(script) == expected


def test_where_every_picture_stands_alone_only_the_damaged_one_is_held_back() -> None:
    assert shown("dd!dxdKd", intra_only=True) == "ddd-dKd"


def test_video_without_keyframes_is_shown_in_the_end() -> None:
    assert shown("d" * (PATIENCE + 3)) == "-" * PATIENCE + "ddd"
    assert shown("K!" + "d" * (PATIENCE - 1) + "!" + "d" * PATIENCE).count("d") == 0  # damage begins the count anew


# Gaps.


def gaps(times: list[int | None]) -> list[int]:
    """Positions of the packets in front of which something is missing."""
    watch = GapWatch()
    return [position for position, dts in enumerate(times) if watch.is_gap(dts)]


STEADY: list[int | None] = [3600 * step for step in range(12)]


def test_no_gap_in_a_steady_stream() -> None:
    jitter = [0, 700, -700, 300, -200, 0, 900, -900, 0, 100, 0, -600]
    assert gaps(STEADY) == []
    assert gaps([3600 * step + late for step, late in enumerate(jitter * 3)]) == []


@pytest.mark.parametrize("lost", [1, 2, 25])
def test_a_gap(lost: int) -> None:
    after = 3600 * (11 + 1 + lost)
    assert gaps([*STEADY, after, after + 3600]) == [12]


def test_time_that_runs_backwards_is_a_gap() -> None:
    assert gaps([*STEADY, 0, 3600]) == [12]


def test_packets_without_time_and_a_short_past_tell_nothing() -> None:
    assert gaps([None, 0, 3600, 20_000]) == []
    assert gaps([*STEADY, None, 90_000]) == []


def test_a_slower_camera_is_no_endless_row_of_gaps() -> None:
    slower: list[int | None] = [3600 * 11 + 9000 * step for step in range(1, 30)]
    found = gaps([*STEADY, *slower])
    assert found
    assert found[-1] < 12 + 9


# Clocks.


class ReportedPacket:
    """As RTSP delivers packets once the camera has sent an RTCP report; PyAV reads such side data, but writes none."""

    def __init__(self, microseconds: int) -> None:
        self.payload = struct.pack("=qi4x", microseconds, 24)

    def has_sidedata(self, kind: str) -> bool:
        return kind == "prft"

    def get_sidedata(self, kind: str) -> bytes:
        assert kind == "prft"
        return self.payload


def packet_taken_at(moment: datetime) -> ReportedPacket:
    return ReportedPacket(round(moment.timestamp() * 1_000_000))


def test_the_cameras_time() -> None:
    taken = NOW - timedelta(seconds=0.123456)
    assert camera_time(packet_taken_at(taken), NOW) == taken
    assert camera_time(Packet(b"x"), NOW) is None


@pytest.mark.parametrize(
    "wrong", [datetime(1970, 1, 1, tzinfo=UTC), NOW + timedelta(hours=2), NOW - timedelta(minutes=2)]
)
def test_a_clock_that_was_never_set_is_not_believed(wrong: datetime) -> None:
    assert camera_time(packet_taken_at(wrong), NOW) is None


def test_time_beyond_all_calendars() -> None:
    assert camera_time(ReportedPacket(2**63 - 1), NOW) is None


def test_arrivals_belong_to_their_pictures() -> None:
    arrivals = Arrivals()
    for pts in (0, 3, 1, 2):  # in order of decoding
        arrivals.note(pts, Arrival(NOW, "arrival", float(pts)))
    assert [arrivals.of(pts).monotonic for pts in range(4)] == [0.0, 1.0, 2.0, 3.0]
    assert arrivals.of(None).monotonic == 2.0  # of the last packet, where nothing better is known


def test_arrivals_are_forgotten() -> None:
    arrivals = Arrivals()
    for pts in range(10 * REMEMBERED):
        arrivals.note(pts, Arrival(NOW, "arrival", float(pts)))
    assert len(arrivals._by_pts) == REMEMBERED


# Pace.


def test_a_burst_is_played_at_its_own_speed() -> None:
    pacer = Pacer()
    assert [pacer.ahead_seconds(seconds, now=100.0) for seconds in (40.0, 40.5, 41.0)] == [0.0, 0.5, 1.0]
    assert pacer.ahead_seconds(41.0, now=100.75) == 0.25
    assert pacer.ahead_seconds(None, now=100.75) == 0.0


def test_who_is_a_little_late_catches_up() -> None:
    pacer = Pacer()
    pacer.ahead_seconds(0.0, now=100.0)
    assert pacer.ahead_seconds(1.0, now=101.25) == 0.0
    assert pacer.ahead_seconds(2.0, now=101.25) == 0.75


@pytest.mark.parametrize(("seconds", "now"), [(1.0, 104.0), (EARLY_SECONDS + 1, 100.0), (-5.0, 100.0)])
def test_after_a_stall_or_a_jump_it_starts_anew(seconds: float, now: float) -> None:
    pacer = Pacer()
    pacer.ahead_seconds(0.0, now=100.0)
    assert pacer.ahead_seconds(seconds, now) == 0.0
    assert pacer.ahead_seconds(seconds + 0.5, now) == 0.5


# Words for errors.

CAMERA = Address("rtsp", "rtsp://me:hush-hush@cam/live", "rtsp://me:hush-hush@cam/live")


def raised(kind: type[Exception], number: int, text: str) -> Exception:
    return kind(number, text, CAMERA.location)


@pytest.mark.parametrize(
    ("error", "reason", "helps"),
    [
        (raised(av.error.HTTPUnauthorizedError, 1, "401"), "it wants another user or password (401)", False),
        (raised(av.error.HTTPForbiddenError, 1, "403"), "it denies access (403)", False),
        (raised(av.error.HTTPNotFoundError, 1, "404"), "it has no such stream (404)", False),
        (raised(av.error.HTTPServerError, 1, "Server returned 5XX"), "server returned 5XX", True),
        (raised(av.error.ConnectionRefusedError, 111, "Connection refused"), "connection refused", True),
        (raised(av.error.ExitError, 1, "Immediate exit requested"), "no answer in time", True),
        (raised(av.error.TimeoutError, 110, "Connection timed out"), "no answer in time", True),
        (raised(av.error.InvalidDataError, 1, "Invalid data found"), "what it sends cannot be read", True),
        (raised(av.error.OSError, errno.EHOSTUNREACH, "No route to host"), "no route to host", True),
        (raised(av.error.OSError, errno.EIO, "Input/output error"), "no such host, or it broke off", True),
        (
            raised(av.error.OSError, 1, "cannot open rtsp://me:hush-hush@cam/live"),
            "cannot open rtsp://***@cam/live",
            True,
        ),
        (raised(av.error.OSError, 1, "RTSP error"), "RTSP error", True),
        (ValueError("rtsp://me:hush-hush@cam/live"), "ValueError", True),
    ],
)
def test_what_an_error_means(error: Exception, reason: str, helps: bool) -> None:
    outage = outage_of(error, CAMERA)
    assert (outage.reason, not outage.remedy) == (reason, helps)
    assert "hush" not in f"{outage} {outage.args} {outage.remedy}"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory"),
            "check its number and its cable (cameras here: ",
        ),
        (PermissionError(errno.EACCES, "Permission denied"), "let this user read /dev/video99"),
        (OSError(errno.ENOTTY, "Inappropriate ioctl for device"), "it is no camera that delivers video"),
        (OSError(errno.EBUSY, "Device or resource busy"), ""),
    ],
)
def test_what_an_error_of_a_device_means(error: Exception, remedy: str) -> None:
    outage = outage_of(error, parse_address("99"))
    assert outage.remedy.startswith(remedy)
    assert bool(outage.remedy) == bool(remedy)


# Settings.


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"read_timeout_seconds": 0.0}, "setting live.read_timeout_seconds is 0.0, expected seconds above 0"),
        ({"connect_timeout_seconds": float("nan")}, "setting live.connect_timeout_seconds is nan"),
        ({"first_backoff_seconds": -1.0}, "setting live.first_backoff_seconds is -1.0"),
        ({"first_backoff_seconds": 5.0, "max_backoff_seconds": 2.0}, "setting live.max_backoff_seconds is 2.0"),
        ({"read_timeout_seconds": 15.0}, "setting live.watchdog_seconds is 20.0, expected at least twice"),
        ({"max_attempts": 0}, "setting live.max_attempts is 0"),
        ({"transport": "http"}, "setting transport is 'http', expected one of tcp, udp"),
    ],
)
def test_settings_that_make_no_sense(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_mapping(LiveSettings, values)
    assert str(caught.value).startswith(complaint)
