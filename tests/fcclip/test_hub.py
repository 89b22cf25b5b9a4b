"""Fetching weights, against a server that plays the Hub."""

import errno
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants, try_to_load_from_cache
from safetensors.torch import save

from streamseg.errors import DownloadError
from streamseg.fcclip import hub_transfer
from streamseg.fcclip.hub import (
    CLIP_FILES,
    CLIP_REPOS,
    GOOGLE_DRIVE_IDS,
    WeightsStatus,
    _ways_out,
    download,
    ensure_clip_weights,
    ensure_weights,
    weights_status,
)
from streamseg.fcclip.spec import MODEL_SPECS, get_spec
from streamseg.fcclip.weights import read_state_dict
from tests.fake_hub import COMMIT, FakeHub, serve, sha256

SPEC = get_spec("fcclip-convnext-large")
CLIP_REPO = CLIP_REPOS[SPEC.clip_model, SPEC.clip_tag or ""]
HEAD_KEY = (SPEC.hub_repo or "", SPEC.hub_file or "")
CLIP_KEY = (CLIP_REPO, CLIP_FILES[0])
HEAD = save({"sem_seg_head.predictor.x": torch.randn(300_000)})
CLIP = save({"visual.x": torch.randn(1000)})
WAYS_OUT = ("streamseg download fcclip-convnext-large", "--weights FILE", "--model demo")


def point_at(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT does, which is read at import."""
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A Hub that holds everything, an empty cache, and no waiting between attempts."""
    with serve(FakeHub({HEAD_KEY: HEAD, CLIP_KEY: CLIP})) as server:
        point_at(server.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hub_transfer, "_RETRY_WAITS_SECONDS", (0.0, 0.0))
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "localhost,127.0.0.1")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        huggingface_hub.close_session()
        yield server
        huggingface_hub.close_session()


def refusal(**options: Any) -> str:
    with pytest.raises(DownloadError) as caught:
        ensure_weights(SPEC, progress=False, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def partial_file() -> Path:
    return hub_transfer.repo_folder(HEAD_KEY[0]) / "blobs" / f"{sha256(HEAD)}.incomplete"


# --- when all goes well ----------------------------------------------------------------------------------


def test_a_file_is_fetched_once_and_lies_in_the_usual_cache(hub: FakeHub) -> None:
    path = ensure_weights(SPEC, progress=False)
    assert path.read_bytes() == HEAD
    assert path == hub_transfer.repo_folder(HEAD_KEY[0]) / "snapshots" / COMMIT / HEAD_KEY[1]
    assert path.resolve().name == sha256(HEAD)
    assert try_to_load_from_cache(*HEAD_KEY, cache_dir=constants.HF_HUB_CACHE) == str(path)
    assert huggingface_hub.hf_hub_download(*HEAD_KEY, cache_dir=constants.HF_HUB_CACHE, local_files_only=True) == str(
        path
    )
    assert read_state_dict(path).keys() == {"sem_seg_head.predictor.x"}

    asked = len(hub.requests)
    assert ensure_weights(SPEC, progress=False) == path
    assert ensure_weights(SPEC, offline=True) == path
    assert len(hub.requests) == asked


def test_the_library_itself_could_have_fetched_it(hub: FakeHub) -> None:
    """The server is a fair copy of the Hub: the library's own client gets along with it, and we find its file."""
    del hub
    path = huggingface_hub.hf_hub_download(*HEAD_KEY, cache_dir=constants.HF_HUB_CACHE)
    assert str(ensure_weights(SPEC, offline=True)) == path


def test_everything_a_model_needs(hub: FakeHub) -> None:
    before = weights_status(SPEC)
    assert (before.head, before.clip, before.ready) == (None, None, False)
    assert before.source == "Voxel51/fc-clip on the Hugging Face Hub"
    assert hub.requests == [], "a status asks nobody"

    head, clip = download(SPEC, progress=False)

    assert (head.read_bytes(), clip.read_bytes()) == (HEAD, CLIP)
    after = weights_status(SPEC)
    assert (after.head, after.clip, after.ready) == (head, clip, True)
    assert (after.head_bytes, after.clip_bytes) == (len(HEAD), len(CLIP))


def test_a_head_with_clip_inside_needs_no_second_file(hub: FakeHub) -> None:
    hub.files = {HEAD_KEY: save({"backbone.clip_model.visual.x": torch.ones(3)})}
    (path,) = download(SPEC, progress=False)
    assert weights_status(SPEC).clip == path
    assert weights_status(SPEC).ready


def test_clip_falls_back_to_the_older_format(hub: FakeHub) -> None:
    hub.files = {(CLIP_REPO, CLIP_FILES[1]): b"pickle"}
    path = ensure_clip_weights(SPEC, progress=False)
    assert (path.name, path.read_bytes()) == (CLIP_FILES[1], b"pickle")
    assert ensure_clip_weights(SPEC, offline=True) == path


def test_the_same_content_in_two_revisions_is_fetched_once(hub: FakeHub) -> None:
    path = ensure_weights(SPEC, progress=False)
    path.unlink()
    assert ensure_weights(SPEC, progress=False).read_bytes() == HEAD
    assert len(hub.ranges) == 1


def test_a_link_to_nothing_is_mended(hub: FakeHub) -> None:
    path = ensure_weights(SPEC, progress=False)
    path.resolve().unlink()
    assert weights_status(SPEC).head is None
    assert ensure_weights(SPEC, progress=False).read_bytes() == HEAD
    assert len(hub.ranges) == 2


def test_file_systems_without_links_hold_the_file_itself(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    del hub

    def no_links(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    path = ensure_weights(SPEC, progress=False)
    assert path.read_bytes() == HEAD
    assert not path.is_symlink()


def test_two_at_once_fetch_one_copy(hub: FakeHub) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(ensure_weights(SPEC, progress=False))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    assert len(hub.ranges) == 1


def test_a_token_goes_to_the_hub_and_nowhere_else(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    ensure_weights(SPEC, progress=False)
    by_path = [
        (path.split("/")[1], token) for (_, path, _), token in zip(hub.requests, hub.authorizations, strict=True)
    ]
    assert by_path == [("Voxel51", "Bearer hf_secret"), ("Voxel51", "Bearer hf_secret"), ("content", None)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "progress", "shown"),
    [(Terminal(), True, True), (Terminal(), False, False), (io.StringIO(), True, False)],
)
def test_a_bar_is_for_terminals(
    stream: io.StringIO, progress: bool, shown: bool, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    del hub
    monkeypatch.setattr(sys, "stderr", stream)
    ensure_weights(SPEC, progress=progress)
    assert ("model.safetensors" in stream.getvalue()) == shown
    assert ("1.2/1.2 MB" in stream.getvalue()) == shown
    if not shown:
        assert stream.getvalue() == ""


# --- connections that break ------------------------------------------------------------------------------


def half_of(start: int) -> int:
    return start + (len(HEAD) - start) // 2


@pytest.mark.parametrize("accident", ["cut", "reset", "stall"])
def test_a_broken_connection_is_resumed_where_it_broke(
    accident: Any, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    hub.accidents = [accident, accident]
    assert ensure_weights(SPEC, progress=False).read_bytes() == HEAD
    first, second, third = hub.ranges
    assert first is None
    assert second is not None
    assert third is not None
    starts = [int(ranged.removeprefix("bytes=").rstrip("-")) for ranged in (second, third)]
    if accident == "reset":  # what was under way may be lost
        assert 0 < starts[0] <= half_of(0)
    else:
        assert starts == [half_of(0), half_of(half_of(0))]


def test_what_one_run_has_fetched_the_next_continues(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_transfer, "_RETRY_WAITS_SECONDS", ())
    hub.accidents = ["cut"]
    message = refusal()
    assert "the connection broke" in message
    assert partial_file().read_bytes() == HEAD[: half_of(0)]

    assert ensure_weights(SPEC, progress=False).read_bytes() == HEAD
    assert hub.ranges == [None, f"bytes={half_of(0)}-"]
    assert not partial_file().exists()


def test_progress_earns_new_attempts(hub: FakeHub) -> None:
    hub.accidents = ["cut"] * 8  # more than the two retries that attempts without progress get
    assert ensure_weights(SPEC, progress=False).read_bytes() == HEAD


def test_attempts_without_progress_end(hub: FakeHub) -> None:
    hub.accidents = ["500"] * 10
    message = refusal()
    assert "answered HTTP 500" in message
    assert len(hub.ranges) == 3


def test_a_server_that_ignores_ranges_starts_again(hub: FakeHub) -> None:
    hub.accidents = ["cut"]
    hub.honours_range = False
    assert ensure_weights(SPEC, progress=False).read_bytes() == HEAD
    assert hub.ranges == [None, f"bytes={half_of(0)}-"]


@pytest.mark.parametrize("left", [HEAD, HEAD + b"too much"], ids=["whole", "longer"])
def test_leftovers_of_an_earlier_run(left: bytes, hub: FakeHub) -> None:
    partial_file().parent.mkdir(parents=True)
    partial_file().write_bytes(left)
    assert ensure_weights(SPEC, progress=False).read_bytes() == HEAD
    assert len(hub.ranges) == (0 if left == HEAD else 2)


def test_leftovers_with_other_content_are_found_out_and_deleted(hub: FakeHub) -> None:
    partial_file().parent.mkdir(parents=True)
    partial_file().write_bytes(b"?" * 1000)
    assert "it arrived damaged" in refusal()
    assert ensure_weights(SPEC, progress=False).read_bytes() == HEAD
    assert hub.ranges == ["bytes=1000-", None]


# --- refusals --------------------------------------------------------------------------------------------


def test_damaged_content_never_reaches_the_cache(hub: FakeHub) -> None:
    hub.accidents = ["corrupt"]
    message = refusal()
    assert "it arrived damaged (sha256 " in message
    assert message.endswith("and was deleted; run it again")
    assert weights_status(SPEC).head is None
    assert not partial_file().exists()
    assert ensure_weights(SPEC, progress=False).read_bytes() == HEAD


def test_content_of_the_wrong_size(hub: FakeHub) -> None:
    hub.accidents = ["longer"]
    assert f"it arrived damaged ({len(HEAD) + 4} bytes instead of {len(HEAD)})" in refusal()
    assert ensure_weights(SPEC, progress=False).read_bytes() == HEAD


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_offline(how: str, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "environment":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = refusal(offline=True if how == "argument" else None)
    assert "it is not in the cache, and the network is off" in message
    assert all(way in message for way in WAYS_OUT)
    assert hub.requests == []


def test_the_way_by_copying_says_from_where_to_where(hub: FakeHub) -> None:
    del hub
    message = refusal(offline=True)
    assert "copy models--Voxel51--fc-clip and models--laion--CLIP-convnext_large_d_320.laion2B" in message
    assert f"from ~/.cache/huggingface/hub there to {constants.HF_HUB_CACHE} here" in message


def test_copying_the_named_folders_is_enough(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del hub
    download(SPEC, progress=False)
    elsewhere = tmp_path / "elsewhere"
    for repo in (HEAD_KEY[0], CLIP_REPO):
        folder = hub_transfer.repo_folder(repo)
        shutil.copytree(folder, elsewhere / folder.name, symlinks=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(elsewhere))
    assert ensure_weights(SPEC, offline=True).read_bytes() == HEAD
    assert ensure_clip_weights(SPEC, offline=True).read_bytes() == CLIP


def test_unreachable(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    del hub
    with socket.socket() as taken:  # a port that nobody listens on
        taken.bind(("127.0.0.1", 0))
        point_at(f"http://127.0.0.1:{taken.getsockname()[1]}", monkeypatch)
        message = refusal()
    assert "cannot be reached" in message
    assert all(way in message for way in WAYS_OUT)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (404, "RepoNotFound", "has no repository Voxel51/fc-clip, or shows it to others only (set HF_TOKEN)"),
        (404, "EntryNotFound", "Voxel51/fc-clip has no such file"),
        (401, None, "answered HTTP 401: check HF_TOKEN"),
        (403, "GatedRepo", "access to Voxel51/fc-clip has to be granted"),
        (403, None, "answered HTTP 403: check HF_TOKEN"),
        (500, None, "answered HTTP 500"),
    ],
)
def test_answers_that_are_no_file(status: int, code: str | None, reason: str, hub: FakeHub) -> None:
    hub.resolve_status, hub.error_code = status, code
    message = refusal()
    assert message.startswith("cannot fetch model.safetensors")
    assert reason in message
    assert all(way in message for way in WAYS_OUT)


def test_a_refusal_in_the_middle(hub: FakeHub) -> None:
    hub.accidents = ["cut", "403"]
    assert "answered HTTP 403: check HF_TOKEN" in refusal()
    assert partial_file().stat().st_size == half_of(0)


def test_a_server_that_is_no_hub(hub: FakeHub) -> None:
    hub.plain_server = True
    assert "does not answer like a Hugging Face Hub" in refusal()


def test_no_clip_in_its_repository(hub: FakeHub) -> None:
    del hub.files[CLIP_KEY]
    with pytest.raises(DownloadError, match=r"has neither open_clip_model\.safetensors nor .*; three ways out: "):
        ensure_clip_weights(SPEC, progress=False)


def test_full_disk_is_noticed_before_the_first_byte(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))  # type: ignore[attr-defined]
    message = refusal()
    assert f"the disk of {constants.HF_HUB_CACHE} is full (1 MB needed); make room there, or set HF_HOME" in message
    assert hub.ranges == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "is full; make room there, or set HF_HOME to another disk"),
        (errno.EACCES, "cannot be written (Permission denied); set HF_HOME to a folder of yours"),
        (errno.EROFS, "cannot be written (Read-only file system); set HF_HOME to a folder of yours"),
    ],
)
def test_disks_that_refuse(code: int, reason: str, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    del hub

    def refuse(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(hub_transfer, "_write", refuse)
    message = refusal()
    assert reason in message
    assert "three ways out" not in message


def test_a_cache_that_is_a_file(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del hub
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    assert "cannot be written (Not a directory); set HF_HOME" in refusal()


# --- where models are published --------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(GOOGLE_DRIVE_IDS) - {SPEC.name}))
def test_models_on_google_drive_say_where(name: str) -> None:
    with pytest.raises(DownloadError) as caught:
        download(get_spec(name))
    link = f"https://drive.google.com/file/d/{GOOGLE_DRIVE_IDS[name]}/view"
    assert str(caught.value) == (
        f"{name} is published on Google Drive only: save {link} with a browser and pass --weights FILE"
    )
    assert weights_status(get_spec(name)).source == link


@pytest.mark.parametrize("name", ["fcclip-convnext-base", "fcclip-convnext-xxlarge"])
def test_models_that_nobody_published(name: str) -> None:
    with pytest.raises(DownloadError, match=f"no trained weights are published for {name}: pass --weights FILE"):
        ensure_weights(get_spec(name))
    assert weights_status(get_spec(name)).source == "not published"


def test_a_shipped_model_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "data" / "models" / "demo.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(save({"backbone.clip_model.x": torch.zeros(5)}))
    monkeypatch.setattr("streamseg.fcclip.hub.files", lambda _: tmp_path)
    demo, size = get_spec("demo"), weights.stat().st_size
    assert ensure_weights(demo, offline=True) == weights
    assert download(demo) == (weights,)
    assert weights_status(demo) == WeightsStatus("demo", "part of the package", weights, size, weights, size, True)
    assert weights_status(demo).ready
    assert not weights_status(get_spec("demo-untrained")).shipped
    assert "--model demo, which needs no download" in _ways_out(SPEC)


def test_a_model_whose_file_is_missing_from_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamseg.fcclip.hub.files", lambda _: tmp_path)
    with pytest.raises(
        DownloadError, match=r"demo comes with .*demo.safetensors is missing there: install .*--weights FILE"
    ):
        ensure_weights(get_spec("demo"))
    assert not weights_status(get_spec("demo")).ready
    assert "--model demo-untrained, which needs no download" in _ways_out(SPEC)


def test_random_weights_are_not_fetched() -> None:
    with pytest.raises(
        DownloadError, match="demo-untrained has random weights by definition: there is nothing to download"
    ):
        download(get_spec("demo-untrained"))


def test_a_spec_without_a_clip_of_its_own() -> None:
    with pytest.raises(DownloadError, match="has no published CLIP"):
        ensure_clip_weights(replace(SPEC, clip_tag=None))


def test_clip_repositories_are_those_of_open_clip() -> None:
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
    from open_clip.pretrained import get_pretrained_cfg

    assert CLIP_FILES == (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
    for spec in MODEL_SPECS.values():
        if spec.clip_tag is not None:
            config = get_pretrained_cfg(spec.clip_model, spec.clip_tag)
            assert config["hf_hub"] == CLIP_REPOS[spec.clip_model, spec.clip_tag] + "/"


# --- as a user has it: settings in the environment, another process --------------------------------------

SCRIPT = """
import json, sys
from streamseg.errors import DownloadError
from streamseg.fcclip.hub import download
from streamseg.fcclip.spec import get_spec
assert "torch" not in sys.modules and "open_clip" not in sys.modules
try:
    print(json.dumps([str(path) for path in download(get_spec("fcclip-convnext-large"))]))
except DownloadError as error:
    print(json.dumps(str(error)))
"""


def run_script(**environment: str) -> Any:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_the_environment_decides(hub: FakeHub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    offline = run_script(HF_HOME=str(home), HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1")
    assert "offline mode" in offline
    hub.accidents = ["cut"]
    paths = [Path(path) for path in run_script(HF_HOME=str(home), HF_ENDPOINT=hub.url)]
    assert [path.read_bytes() for path in paths] == [HEAD, CLIP]
    assert all(path.is_relative_to(home / "hub") for path in paths)
    assert run_script(HF_HOME=str(home), HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="1") == [
        str(p) for p in paths
    ]
