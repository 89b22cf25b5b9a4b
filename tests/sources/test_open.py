"""From what the user names to sources."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streamseg.config.sources import DecodeSettings, LiveSettings, SourceSettings
from streamseg.errors import ConfigError, SourceError
from streamseg.frames import Frame
from streamseg.sources.address import parse_address
from streamseg.sources.base import everything
from streamseg.sources.live import LiveSource
from streamseg.sources.open import expand, kind_of, open_source
from streamseg.sources.pictures import Pictures
from streamseg.sources.pipe import VideoPipe
from streamseg.sources.video import VideoFile
from streamseg.sources.world import WorldSource
from tests.media import CLIPS, make

RUNNING = threading.Event()
QUICK = LiveSettings(connect_timeout_seconds=2.0, read_timeout_seconds=2.0)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def expanded(*sources: str | SourceSettings) -> list[tuple[str, str | None]]:
    return [(source.url, source.name) for source in expand(sources)]


def test_each_source_is_a_stream() -> None:
    touch("street.mp4", "a.png")
    assert expanded("street.mp4", "a.png", "world:seed=7", "0", "rtsp://cam/1", "-", "street.mp4") == [
        ("street.mp4", "street"),
        ("a.png", "a"),
        ("world:seed=7", "world"),
        ("0", "cam0"),
        ("rtsp://cam/1", "cam-1"),
        ("-", "stdin"),
        ("street.mp4", "street-2"),
    ]


def test_videos_of_a_folder_are_streams_of_their_own() -> None:
    touch("clips/b10.mkv", "clips/b9.MP4", "clips/a.gif", "clips/notes.txt", "clips/._b9.MP4", "clips/more/c.mp4")
    assert expanded("clips") == [("clips/a.gif", "a"), ("clips/b9.MP4", "b9"), ("clips/b10.mkv", "b10")]
    assert expanded("clips/b*") == [("clips/b9.MP4", "b9"), ("clips/b10.mkv", "b10")]
    assert expanded("clips/**/*.mp4") == [("clips/more/c.mp4", "c")]


def test_pictures_of_a_folder_are_one_stream() -> None:
    touch("frames/b10.png", "frames/b9.JPG", "frames/notes.txt")
    assert expanded("frames", "frames/*.png") == [("frames", "frames"), ("frames/*.png", "frames-2")]
    source = open_source(expand(["frames"])[0])
    assert isinstance(source, Pictures)
    assert [path.name for path in source.paths] == ["b9.JPG", "b10.png"]
    only = open_source(parse_address("frames/*.png"), "only")
    assert isinstance(only, Pictures)
    assert [path.name for path in only.paths] == ["b10.png"]


def test_a_glob_of_endings_that_say_nothing() -> None:
    touch("dump/1.dat", "dump/2.dat")
    assert expanded("dump/*.dat") == [("dump/1.dat", "1"), ("dump/2.dat", "2")]


def test_a_name_for_several_streams() -> None:
    touch("clips/a.mp4", "clips/b.mp4", "one/a.mp4")
    assert expanded(SourceSettings("clips", name="gate", classes="car")) == [
        ("clips/a.mp4", "gate-a"),
        ("clips/b.mp4", "gate-b"),
    ]
    assert expanded(SourceSettings("one", name="gate")) == [("one/a.mp4", "gate")]
    assert [source.classes for source in expand([SourceSettings("clips", classes="car")])] == ["car", "car"]


def test_mistakes() -> None:
    touch("mixed/a.mp4", "mixed/b.png", "texts/a.txt")
    Path("empty").mkdir()
    for source, message in {
        "mixed": "'mixed' holds 1 videos and 1 pictures, expected one of both",
        "mixed/*": "holds 1 videos and 1 pictures",
        "texts": "folder 'texts' holds neither videos nor pictures",
        "empty": "folder 'empty' holds neither videos nor pictures",
        "none/*.mp4": "no file matches 'none/*.mp4'",
        "none.mp4": "no such file: 'none.mp4'",
    }.items():
        with pytest.raises(SourceError) as raised:
            expand([source])
        assert message in str(raised.value)
    with pytest.raises(ConfigError, match="expected key=value"):
        open_source(parse_address("world:nonsense=1"))
    with pytest.raises(ConfigError, match="stands twice"):
        expand([SourceSettings("0", name="gate"), SourceSettings("1", name="gate")])


def test_every_kind_has_its_source() -> None:
    touch("street.mp4", "a.png")
    os.mkfifo("video.fifo")
    for text, kind in {
        "street.mp4": VideoFile,
        "a.png": Pictures,
        "world": WorldSource,
        "-": VideoPipe,
        "video.fifo": VideoPipe,
        "0": LiveSource,
        "rtsp://cam/1": LiveSource,
        "https://host/street.mp4": VideoFile,
    }.items():
        source = open_source(SourceSettings(text), "name", DecodeSettings(), QUICK)
        assert type(source) is kind
        assert source.stream_id == "name"
        assert source.kind == ("live" if kind is LiveSource else "recorded")


def test_the_name_of_a_source() -> None:
    assert open_source(parse_address("0")).stream_id == "cam0"
    assert open_source(SourceSettings("0", name="gate")).stream_id == "gate"
    assert open_source(SourceSettings("0", name="gate"), "other").stream_id == "other"


def test_settings_do_not_show_the_password() -> None:
    assert "hunter22" not in repr(SourceSettings("rtsp://operator:hunter22@cam/1", name="gate"))


# Behind HTTP.


class Files(SimpleHTTPRequestHandler):
    """A folder, without ranges: as simple as servers get."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def copyfile(self, source: object, outputfile: object) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked has seen enough
            super().copyfile(source, outputfile)  # type: ignore[misc]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(tmp_path))) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield f"http://operator:hunter22@127.0.0.1:{serving.server_port}"
        finally:
            serving.shutdown()
            thread.join()


def kind_at(url: str) -> str:
    return kind_of(parse_address(url), DecodeSettings(), QUICK)


def test_a_file_behind_http(tmp_path: Path, server: str) -> None:
    make(tmp_path, CLIPS["moov_first"])
    source = open_source(SourceSettings(f"{server}/moov_first.mp4"), live=QUICK)
    assert isinstance(source, VideoFile)
    assert source.stream_id == "127.0.0.1-moov_first"
    frames = [item for item in source.frames(RUNNING, wanted=everything) if isinstance(item, Frame)]
    assert [frame.index for frame in frames] == list(range(24))
    assert source.info().frames == 24


def test_a_playlist_that_ends_is_a_recording(tmp_path: Path, server: str) -> None:
    make(tmp_path, CLIPS["ts"], name="part.ts")
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXTINF:1.0,", "part.ts"]
    Path("vod.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
    Path("live.m3u8").write_text("\n".join([*lines, *lines[2:] * 3, ""]))
    assert kind_at(f"{server}/vod.m3u8") == "recorded"
    assert kind_at(f"{server}/live.m3u8") == "live"
    source = open_source(SourceSettings(f"{server}/vod.m3u8"), live=QUICK)
    assert sum(isinstance(item, Frame) for item in source.frames(RUNNING, wanted=everything)) == 24


def test_containers_tell_their_length(tmp_path: Path, server: str) -> None:
    make(tmp_path, CLIPS["mkv"])
    assert kind_at(f"{server}/plain.mkv") == "recorded"


def test_who_does_not_answer_is_waited_for() -> None:
    assert kind_at("http://127.0.0.1:9/camera") == "live"
    assert kind_at("http://127.0.0.1:9/street.mp4") == "recorded"


def test_errors_behind_http_show_no_password(server: str) -> None:
    for url in (f"{server}/missing.mp4", "http://operator:hunter22@127.0.0.1:9/a.mp4?token=third"):
        source = open_source(SourceSettings(url), live=QUICK)
        with pytest.raises(SourceError, match=r"cannot open 'http.*check the address") as raised:
            list(source.frames(RUNNING, wanted=everything))
        for secret in ("operator", "hunter22", "third"):
            assert secret not in str(raised.value)
        assert raised.value.__cause__ is None
