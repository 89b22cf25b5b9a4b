"""What a source's text means, and that no password leaves it."""

import os
import pickle
from pathlib import Path

import pytest

from streamseg.errors import ConfigError, SourceError
from streamseg.sources.address import Address, parse_address, redact, redact_text


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("street.mp4").touch()
    Path("loop.gif").touch()
    Path("a.PNG").touch()
    Path("frames").mkdir()
    Path("odd[1].mp4").touch()
    os.mkfifo("video.fifo")


@pytest.mark.parametrize(
    ("text", "kind", "location"),
    [
        ("street.mp4", "file", "street.mp4"),
        ("loop.gif", "file", "loop.gif"),
        ("odd[1].mp4", "file", "odd[1].mp4"),
        ("a.PNG", "image", "a.PNG"),
        ("frames", "folder", "frames"),
        ("frames/", "folder", "frames/"),
        ("*.mp4", "glob", "*.mp4"),
        ("no/such/*.mp4", "glob", "no/such/*.mp4"),
        ("video.fifo", "pipe", "video.fifo"),
        ("-", "pipe", "-"),
        ("0", "camera", "/dev/video0"),
        ("12", "camera", "/dev/video12"),
        ("/dev/null", "camera", "/dev/null"),
        ("rtsp://cam/1", "rtsp", "rtsp://cam/1"),
        ("RTSPS://cam/1", "rtsp", "RTSPS://cam/1"),
        ("http://host/live.m3u8", "http", "http://host/live.m3u8"),
        ("https://host:8443/a.mp4", "http", "https://host:8443/a.mp4"),
        ("world", "world", "world"),
        ("world:seed=7", "world", "world:seed=7"),
    ],
)
def test_kinds(text: str, kind: str, location: str) -> None:
    address = parse_address(text)
    assert (address.kind, address.text, address.location) == (kind, text, location)


def test_a_file_url(tmp_path: Path) -> None:
    (tmp_path / "with space.mp4").touch()
    address = parse_address(f"file://{tmp_path}/with%20space.mp4")
    assert (address.kind, address.location) == ("file", str(tmp_path / "with space.mp4"))
    assert parse_address(f"file://localhost{tmp_path}/street.mp4").kind == "file"


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_address("~/street.mp4").location == str(tmp_path / "street.mp4")


def test_what_is_there_is_a_path_whatever_it_looks_like() -> None:
    for name in ("0", "world", "${HOME}.mp4"):
        Path(name).touch()
        assert parse_address(name).kind == "file"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ConfigError, "a source is empty"),
        ("  ", ConfigError, "a source is empty"),
        ("nothing.mp4", SourceError, "no such file: 'nothing.mp4'"),
        ("file:///nothing.mp4", SourceError, "no such file"),
        ("file://elsewhere/a.mp4", ConfigError, "names the host 'elsewhere'"),
        ("ftp://host/a.mp4", ConfigError, "begins with ftp://, expected rtsp://"),
        ("rtsp:///path", ConfigError, "names no host"),
        ("rtsp://[broken/path", ConfigError, "names no host"),
        ("${NOT_SET}/a.mp4", ConfigError, "needs the environment variable NOT_SET, which is not set"),
        ("a\0b", SourceError, "no such file"),
    ],
)
def test_mistakes(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        parse_address(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAM_USER", "operator")
    monkeypatch.setenv("CAM_PASSWORD", "hunter22")
    address = parse_address("rtsp://${CAM_USER}:${CAM_PASSWORD}@cam/1")
    assert address.location == "rtsp://operator:hunter22@cam/1"
    assert address.shown == "rtsp://***@cam/1"
    assert address.clean("failed: operator/hunter22 at rtsp://operator:hunter22@cam/1") == (
        "failed: ***/*** at rtsp://***@cam/1"
    )


def test_a_variable_may_hold_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONT_DOOR", "rtsp://operator:hunter22@cam/1")
    address = parse_address("${FRONT_DOOR}")
    assert (address.kind, address.shown) == ("rtsp", "${FRONT_DOOR}")
    assert "hunter22" not in address.clean("open rtsp://operator:hunter22@cam/1 failed for hunter22")


def test_a_missing_variable_does_not_give_its_neighbours_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAM_USER", "operator")
    with pytest.raises(ConfigError) as raised:
        parse_address("rtsp://${CAM_USER}:${CAM_PASSWORD}:plain@cam/1")
    assert "CAM_PASSWORD, which is not set" in str(raised.value)
    assert "operator" not in str(raised.value)
    assert "plain" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://cam:554/1", "rtsp://cam:554/1"),
        ("rtsp://u:p@cam:554/1", "rtsp://***@cam:554/1"),
        ("rtsp://u@cam/1", "rtsp://***@cam/1"),
        ("rtsp://:p@cam/1", "rtsp://***@cam/1"),
        ("rtsp://u:p%40ss@cam/1", "rtsp://***@cam/1"),
        ("rtsp://u:p@ss@cam/1", "rtsp://***@cam/1"),
        ("rtsp://u:p/ss@cam/1", "rtsp://***@cam/1"),
        ("rtsp://u:p#s?s@cam/1", "rtsp://***@cam/1"),
        ("rtsp://u:two words@cam/1", "rtsp://***@cam/1"),
        ("rtsp:/u:p@cam/1", "rtsp:/***@cam/1"),
        ("u:p@cam/1", "***@cam/1"),
        ("https://host/@channel/live", "https://host/@channel/live"),
        ("https://h/a?token=abc&x=1", "https://h/a?token=***&x=1"),
        ("https://h/a?x=1&Password=a%20b#end", "https://h/a?x=1&Password=***#end"),
        ("https://h/a?X-Amz-Signature=abc&X-Amz-Credential=d", "https://h/a?X-Amz-Signature=***&X-Amz-Credential=***"),
        ("https://h/a?api_key=abc&sig=def", "https://h/a?api_key=***&sig=***"),
        ("rtsp://h:554/user=admin_password=abc_channel=1.sdp", "rtsp://h:554/user=***"),
        ("/data/12:30@gate.mp4", "/data/12:30@gate.mp4"),
        ("street.mp4", "street.mp4"),
    ],
)
def test_redact(url: str, shown: str) -> None:
    assert redact(url) == shown
    assert redact(shown) == shown


def test_redact_text() -> None:
    text = "[Errno 5] Input/output error: 'rtsp://u:secret@cam/1' (tried http://v:other@proxy:80/?token=third, too)"
    cleaned = redact_text(text)
    assert cleaned.startswith("[Errno 5] Input/output error: 'rtsp://***@cam/1' (tried http://***@proxy:80/?token=***")
    for secret in ("secret", "other", "third"):
        assert secret not in cleaned
    assert redact_text("nothing to hide at a:b@c") == "nothing to hide at a:b@c"


SECRET_URLS = (
    "rtsp://operator:hunter22@cam/1",
    "rtsp://operator:hunt%65r22@cam/1",
    "rtsp://operator:hunter22/x@cam/1",
    "https://operator@host/a.mp4?password=hunter22",
    "https://host/a.mp4?a=1&access_token=hunter22",
)


@pytest.mark.parametrize("url", SECRET_URLS)
def test_nothing_shows_the_password(url: str) -> None:
    address = parse_address(url)
    for text in (str(address), repr(address), address.shown, f"{address}", repr([address])):
        assert "hunt" not in text
        assert "operator" not in text
    written = "hunt%65r22" if "%" in url else "hunter22"
    library = f"cannot open {url}: password hunter22 (written {written}) refused by {address.location}"
    assert "hunt" not in address.clean(library)


def test_an_address_travels() -> None:
    address = parse_address(SECRET_URLS[0])
    assert pickle.loads(pickle.dumps(address)) == address
    assert isinstance(hash(address), int)
    assert isinstance(address, Address)
