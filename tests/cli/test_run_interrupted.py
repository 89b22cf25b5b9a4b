"""`streamseg run` in processes of its own: signals, kills, pipes, terminals, full disks."""

import json
import multiprocessing
import os
import pty
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from streamseg.runs.folder import RunFolder
from tests.cli import quick_run
from tests.cli.quick_run import Child
from tests.media import CLIPS, make

PATIENCE_SECONDS = 180  # on a busy machine the first child waits for torch to load
FRAMES = 24
SLOW = 0.05  # seconds a frame: long enough to be met in the middle
ENDLESS = 600.0

Context = multiprocessing.context.ForkServerContext


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    make(folder, CLIPS["mkv"], name="street.mkv")
    return folder


@pytest.fixture
def child(tmp_path: Path, clips: Path) -> Child:
    (tmp_path / "street.mkv").symlink_to(clips / "street.mkv")
    return Child(("run", "street.mkv", "-o", "out"), tmp_path)


@contextmanager
def running(processes: Context, child: Child) -> Iterator[BaseProcess]:
    process = processes.Process(target=quick_run.run_child, args=(child,))
    process.start()
    try:
        yield process
        process.join(PATIENCE_SECONDS)
        assert process.exitcode is not None, f"still running: {text_of(child.folder / child.err)}"
    finally:
        process.kill()
        process.join()


def finished(processes: Context, child: Child) -> int | None:
    with running(processes, child) as process:
        pass
    return process.exitcode


def wait_for(process: BaseProcess, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert process.is_alive(), "it has ended too early"
        assert time.monotonic() < deadline, "it has not come so far"
        time.sleep(0.002)


def send(process: BaseProcess, number: int) -> None:
    assert process.pid is not None
    os.kill(process.pid, number)


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def has_records(child: Child, count: int) -> Callable[[], bool]:
    path = child.folder / "out" / "street" / "records.jsonl"
    return lambda: text_of(path).count("\n") >= count


def says(child: Child, text: str) -> Callable[[], bool]:
    return lambda: text in text_of(child.folder / child.err)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("run.json", "commit.npz")
    }


def state_of(child: Child) -> str:
    return str(RunFolder.open(child.folder / "out").manifest["state"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_leaves_a_run_that_can_be_gone_on_with(
    number: int, processes: Context, child: Child
) -> None:
    child = replace(child, arguments=(*child.arguments, "--save", "jsonl,tracks,png"), frame_seconds=SLOW)
    with running(processes, child) as process:
        wait_for(process, has_records(child, 3))
        send(process, number)
    assert process.exitcode == 130
    out, err = text_of(child.folder / "out.txt"), text_of(child.folder / "err.txt")
    assert "Traceback" not in err
    assert err.splitlines()[-2].startswith("stopping: what has been segmented is still written")
    assert err.endswith("\ninterrupted\n")
    assert "stopped after" in out
    assert "results are in out; the same command with --resume goes on" in out
    assert state_of(child) == "stopped"
    totals = RunFolder.open(child.folder / "out").manifest["streams"]["street"]["totals"]
    assert totals["in_flight"] == 0
    assert 3 <= totals["emitted"] < FRAMES
    again = replace(child, arguments=(*child.arguments, "--resume"), frame_seconds=0.0)
    assert finished(processes, again) == 0
    whole = replace(again, arguments=("run", "street.mkv", "-o", "whole", *child.arguments[4:]))
    assert finished(processes, whole) == 0
    assert contents(child.folder / "out") == contents(child.folder / "whole")
    assert state_of(child) == "finished"


def test_under_nohup_a_terminal_may_close(processes: Context, child: Child) -> None:
    child = replace(child, frame_seconds=SLOW, ignored=signal.SIGHUP)
    with running(processes, child) as process:
        wait_for(process, has_records(child, 1))
        send(process, signal.SIGHUP)
    assert process.exitcode == 0
    assert state_of(child) == "finished"
    assert has_records(child, FRAMES)()


def test_killed_and_gone_on_with_to_the_same_bytes(processes: Context, child: Child) -> None:
    kinds = ("--save", "jsonl,tracks", "commit_seconds=0.05")
    child = replace(child, arguments=(*child.arguments, *kinds), frame_seconds=SLOW)
    with running(processes, child) as process:
        wait_for(process, has_records(child, 5))
        process.kill()
    assert state_of(child) == "running"
    assert finished(processes, replace(child, arguments=(*child.arguments, "--resume"), frame_seconds=0.0)) == 0
    assert finished(processes, replace(child, arguments=("run", "street.mkv", "-o", "whole", *kinds))) == 0
    assert contents(child.folder / "out") == contents(child.folder / "whole")


def test_a_signal_while_the_model_is_loaded_leaves_nothing(processes: Context, child: Child) -> None:
    child = replace(child, load_seconds=ENDLESS)
    with running(processes, child) as process:
        wait_for(process, says(child, "loading"))
        send(process, signal.SIGINT)
    assert process.exitcode == 130
    assert text_of(child.folder / "err.txt").splitlines()[-1] == "interrupted"
    assert not (child.folder / "out").exists()


def test_a_signal_just_as_the_run_begins(processes: Context, child: Child) -> None:
    with running(processes, replace(child, frame_seconds=SLOW)) as process:
        wait_for(process, (child.folder / "out" / "run.json").exists)
        send(process, signal.SIGINT)
    assert process.exitcode == 130
    assert "Traceback" not in text_of(child.folder / "err.txt")


def test_the_second_signal_is_answered_and_the_third_ends_it_at_once(processes: Context, child: Child) -> None:
    child = replace(child, frame_seconds=ENDLESS)
    with running(processes, child) as process:
        wait_for(process, (child.folder / quick_run.AT_WORK).exists)
        for expected in ("stopping: ", "once more ends it at once"):
            send(process, signal.SIGINT)
            wait_for(process, says(child, expected))
        send(process, signal.SIGINT)
    assert process.exitcode == 130
    err = text_of(child.folder / "err.txt")
    assert err.endswith("\ninterrupted\n")
    assert "Traceback" not in err
    assert state_of(child) == "running"  # as after a kill: it can be gone on with


def test_a_camera_that_is_not_there_is_waited_for_until_somebody_stops_it(processes: Context, child: Child) -> None:
    child = replace(child, arguments=("run", "rtsp://bob:geheim@127.0.0.1:1/x", "-o", "out", "--save", "jsonl,video"))
    with running(processes, child) as process:
        wait_for(process, says(child, "not there yet"))
        send(process, signal.SIGINT)
    assert process.exitcode == 130
    err = text_of(child.folder / "err.txt")
    assert "geheim" not in err + text_of(child.folder / "out.txt")
    assert "Traceback" not in err
    assert state_of(child) == "stopped"


def test_a_reader_that_has_seen_enough_is_no_error(processes: Context, child: Child) -> None:
    os.mkfifo(child.folder / "pipe")
    child = replace(child, arguments=(*child.arguments, "--save", "stdout,jsonl"), out="pipe", frame_seconds=SLOW)
    with running(processes, child) as process, (child.folder / "pipe").open("rb", buffering=0) as pipe:
        while pipe.read(1) != b"\n":
            assert process.is_alive()
    assert process.exitcode == 1
    err = text_of(child.folder / "err.txt")
    assert "error" not in err
    assert "Traceback" not in err
    assert "lost" not in err
    assert "stopped after" in err
    assert state_of(child) == "stopped"
    assert has_records(child, 1)()


def test_standard_input(processes: Context, child: Child) -> None:
    child = replace(child, arguments=("run", "-", "--save", "stdout"), stdin="street.mkv")
    assert finished(processes, child) == 0
    records = [json.loads(line) for line in text_of(child.folder / "out.txt").splitlines()]
    assert [(record["stream"], record["frame"]) for record in records] == [("stdin", index) for index in range(FRAMES)]


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(processes: Context, child: Child) -> None:
    room = 12_000  # for run.json, not for everything else
    child = replace(
        child, largest_file=room, arguments=(*child.arguments, "--classes", "car; person", "--background", "none")
    )
    assert finished(processes, child) == 1
    err = text_of(child.folder / "err.txt")
    assert err.splitlines()[-1].startswith("error: cannot write 'out/street/")
    assert err.splitlines()[-1].endswith(": File too large; make room, or choose another --output")
    assert "Traceback" not in err
    assert state_of(child) == "failed"
    totals = RunFolder.open(child.folder / "out").manifest["streams"]["street"]["totals"]
    assert totals["decoded"] == totals["emitted"] + totals["dropped"]["stopped"]
    assert finished(processes, replace(child, largest_file=None, arguments=(*child.arguments, "--resume"))) == 0
    assert text_of(child.folder / "out/street/records.jsonl").count("\n") == FRAMES


def test_a_full_standard_output(processes: Context, child: Child) -> None:
    assert finished(processes, replace(child, out="/dev/full")) == 1
    assert text_of(child.folder / "err.txt").splitlines()[-1] == (
        "error: cannot write to standard output: No space left on device; make room, or redirect it elsewhere"
    )
    assert state_of(child) == "finished"


def test_a_terminal_shows_a_live_line_for_each_stream(processes: Context, child: Child) -> None:
    master, slave = pty.openpty()
    shown = bytearray()

    def read() -> None:
        try:
            while piece := os.read(master, 4096):
                shown.extend(piece)
        except OSError:  # nobody has the other end any more
            pass

    reader = threading.Thread(target=read)
    reader.start()
    terminal = os.ttyname(slave)
    child = replace(child, out=terminal, err=terminal, frame_seconds=SLOW)
    assert finished(processes, child) == 0
    os.close(slave)
    reader.join(PATIENCE_SECONDS)
    os.close(master)
    text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", bytes(shown)).decode()
    assert re.search(r"street +\d+/24 frames +\d+\.\d fps +2 tracks +0:00:\d\d left +decode: cpu", text)
    assert "next: streamseg view out, or streamseg stats out" in text
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l")  # the cursor is back
