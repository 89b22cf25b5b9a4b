"""Names of streams."""

from pathlib import Path

import pytest

from streamseg.errors import ConfigError
from streamseg.sources.address import parse_address
from streamseg.sources.naming import stream_names


def named(*texts: str, given: tuple[str | None, ...] = ()) -> list[str]:
    return stream_names([parse_address(text) for text in texts], given)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("0", "cam0"),
        ("/dev/null", "dev-null"),
        ("-", "stdin"),
        ("world:seed=7", "world"),
        ("rtsp://cam1.local:554/h264/ch1/main", "cam1.local-h264-ch1-main"),
        ("rtsp://u:hunter22@cam1/stream", "cam1-stream"),
        ("rtsp://[fe80::1]:554/a", "fe80-1-a"),
        ("https://host/videos/street.mp4?token=hunter22", "host-videos-street"),
        ("https://host", "host"),
        ("frames/*.png", "frames"),
        ("**/*.png", "pictures"),
    ],
)
def test_names_are_made_of_what_is_known(text: str, name: str) -> None:
    assert named(text) == [name]


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gate 3"
    folder.mkdir()
    (folder / "A street, at night.final.mp4").touch()
    (folder / "ストリート.mp4").touch()
    (folder / "--.mp4").touch()
    monkeypatch.chdir(folder)
    assert named(".", "A street, at night.final.mp4", "ストリート.mp4", "--.mp4") == [
        "gate-3",
        "A-street-at-night.final",
        "ストリート",
        "stream",
    ]


def test_values_of_variables_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAM", "rtsp://operator:hunter22@cam/secret-path")
    monkeypatch.setenv("KEY", "hunter22")
    assert named("${CAM}", "https://host/${KEY}/live.m3u8") == ["CAM", "host-KEY-live"]


def test_equal_names_are_numbered() -> None:
    assert named("rtsp://cam/a", "rtsp://CAM/A", "rtsp://cam/a/", "world", "world:seed=2") == [
        "cam-a",
        "cam-A-2",
        "cam-a-3",
        "world",
        "world-2",
    ]


def test_chosen_names_come_first() -> None:
    assert named("0", "1", "2", given=(None, "cam0", None)) == ["cam0-2", "cam0", "cam2"]


def test_long_names_are_cut() -> None:
    (name,) = named(f"rtsp://cam/{'x' * 200}")
    assert name == "cam-" + "x" * 60


@pytest.mark.parametrize(
    "name", ["", "a/b", "../up", ".hidden", "front door", "x" * 65, "run.json", "RUN.json", "-a", "a\n"]
)
def test_names_that_cannot_name_a_folder(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a folder, expected at most 64 letters"):
        named("0", given=(name,))


def test_a_name_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError) as raised:
        named("0", given=("rtsp://operator:hunter22@cam/1",))
    assert "hunter22" not in str(raised.value)


def test_a_name_that_stands_twice() -> None:
    with pytest.raises(ConfigError, match="stream name 'Gate' stands twice"):
        named("0", "1", given=("gate", "Gate"))
