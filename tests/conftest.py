"""What every test gets: caches of its own, no way to the network, and the rules of the `cuda` marker."""

import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# Nothing listens on the discard port, so whoever honours proxies fails at once, child processes included.
DEAD_PROXY = "http://127.0.0.1:9"
LOOPBACK = "localhost,127.0.0.1,::1"

# There is one fork server for all tests. What it has loaded, its children need not load: torch takes seconds.
PRELOADED = (
    "tests.cli.quick_run",
    "tests.runtime.killed_run",
    "streamseg.cli.summary",
    "streamseg.runtime.run",
    "streamseg.sinks.build",
)

CACHE_ROOT = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Redirect caches before any test module is imported: huggingface_hub reads its variables at import, once."""
    config.stash[CACHE_ROOT] = cache_root = tempfile.mkdtemp(prefix="streamseg-tests-")
    os.environ.update(cache_variables(Path(cache_root)))
    for scheme in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ[scheme] = os.environ[scheme.upper()] = DEAD_PROXY
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = LOOPBACK
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    multiprocessing.set_forkserver_preload([*PRELOADED])
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells start what runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as nohup does
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash.get(CACHE_ROOT, ""), ignore_errors=True)


def cache_variables(root: Path) -> dict[str, str]:
    return {
        "XDG_CACHE_HOME": str(root / "xdg"),
        "HF_HOME": str(root / "huggingface"),
        "STREAMSEG_CACHE": str(root / "streamseg"),
    }


@pytest.fixture(scope="session")
def processes() -> multiprocessing.context.ForkServerContext:
    """Where children come from that need not load torch again."""
    return multiprocessing.get_context("forkserver")


@pytest.fixture(autouse=True)
def own_caches(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what another one, or the user, has cached."""
    for name, value in cache_variables(tmp_path_factory.mktemp("caches")).items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """Runs set how many threads torch computes with, in the whole process; the next test begins as this one did."""
    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    yield
    if torch is not None and torch.get_num_threads() != before:
        torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections leave this process for the loopback interface only; a local server stays reachable."""

    def guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
        def checked(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
                raise OSError(f"tests may not connect to {address[0]!r}: serve what is needed from 127.0.0.1")
            return connect(self, address)

        return checked

    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with reference data beside the repository; tests that need it skip where it is missing."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the reference data in ../shared, which is not part of the repository")
    return folder


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`cuda` tests skip without a GPU, unless STREAMSEG_REQUIRE_CUDA=1 says that there must be one."""
    if item.get_closest_marker("cuda") is None:
        return
    import torch

    if torch.cuda.is_available():
        return
    if os.environ.get("STREAMSEG_REQUIRE_CUDA") == "1":
        pytest.fail("STREAMSEG_REQUIRE_CUDA=1, but torch finds no GPU", pytrace=False)
    pytest.skip("needs an NVIDIA GPU")
