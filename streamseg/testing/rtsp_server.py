"""A real RTSP camera on 127.0.0.1, to be switched off and on, frozen and resized: see `rtsp_server_process.py`."""

import functools
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import ConfigError, StreamsegError

__all__ = ["PACKAGES", "RtspServer", "missing", "require_programs"]

SYSTEM_PYTHON = "/usr/bin/python3"  # where the distribution puts GStreamer's bindings
PROGRAM = Path(__file__).with_name("rtsp_server_process.py")
MOUNT = "live"
PACKAGES = (
    "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gstreamer1.0-rtsp glib-networking"
)


class RtspServer:
    """A camera. As a context manager it is switched on, and off again at the end.

    Args:
        options: of `rtsp_server_process.py`, such as "--size", "320x240".
        port: where it listens; a free one by default, and the same one each time it is switched on.
    """

    def __init__(self, *options: str, port: int | None = None) -> None:
        self.options: Sequence[str] = options
        self.port = port or free_port()
        self._process: subprocess.Popen[str] | None = None

    def url(self, user_info: str = "", *, mount: str = MOUNT, scheme: str = "rtsp") -> str:
        return f"{scheme}://{user_info}{'@' if user_info else ''}127.0.0.1:{self.port}/{mount}"

    def on(self, *options: str) -> Self:
        """Switch it on; returns once it listens. `options` replace those it had."""
        assert self._process is None, "it is on"
        self.options = options or self.options
        process = subprocess.Popen(
            [SYSTEM_PYTHON, str(PROGRAM), "--port", str(self.port), *self.options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self._process = process
        assert process.stdout is not None
        if process.stdout.readline().split()[:1] != ["ready"]:
            self.off()
            raise StreamsegError(f"the RTSP server did not start with {' '.join(self.options)}: its own lines say why")
        return self

    def off(self) -> None:
        """SIGKILL: connections break without a word."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()

    def freeze(self) -> None:
        """It stops sending; connections stay open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def resize(self, size: str) -> None:
        """Another picture size, "320x240", in the running stream."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"size {size}\n")
        self._process.stdin.flush()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def __enter__(self) -> Self:
        return self.on()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.off()


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment() -> dict[str, str]:
    """Without the empty cache that every test gets: GStreamer would look at all of its plugins each time it starts."""
    return {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}


@functools.cache
def missing() -> str:
    """What keeps the server from running here; empty where nothing does."""
    if not os.access(SYSTEM_PYTHON, os.X_OK):
        return f"no {SYSTEM_PYTHON}"
    command = [SYSTEM_PYTHON, str(PROGRAM), "--check"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    return "" if found.returncode == 0 else (found.stderr.strip().splitlines() or ["it does not start"])[-1]


def require_programs() -> None:
    """ConfigError where the server cannot run here."""
    if reason := missing():
        raise ConfigError(f"there is no RTSP server here ({reason}): apt-get install {PACKAGES}")
