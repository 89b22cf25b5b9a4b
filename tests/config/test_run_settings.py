from pathlib import Path

import pytest
import yaml

from streamseg.config.describe import commented_yaml, meanings
from streamseg.config.packaged import PACKAGED_CONFIGS, find_config
from streamseg.config.run import RunSettings, merged, read_settings
from streamseg.config.sinks import JsonlSettings, VideoSettings
from streamseg.config.sources import SourceSettings
from streamseg.errors import ConfigError
from streamseg.parsing import flatten, from_mapping, to_plain

REPOSITORY = Path(__file__).resolve().parents[2]


def test_file_options_and_overrides_count_in_that_order(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("model: {name: demo, device: cpu}\nbatch: {queue: 9}\noutput: here\nsinks: [jsonl, video]\n")
    settings = read_settings(path, ["batch.queue=3", "tracking.method=none"], {"model": {"device": "cuda"}})
    assert (settings.model.name, settings.model.device) == ("demo", "cuda")
    assert (settings.batch.queue, settings.tracking.method, settings.output) == (3, "none", "here")
    assert settings.sinks == (JsonlSettings(), VideoSettings())


def test_texts_stand_for_sources_and_sinks() -> None:
    settings = read_settings(given={"sources": ["a.mp4", {"url": "b.mp4", "name": "yard"}]})
    assert settings.sources == (SourceSettings("a.mp4"), SourceSettings("b.mp4", "yard"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("batch.max_bach=4", "unknown setting batch.max_bach: did you mean 'max_batch'?"),
        ("batch.queue=0", "setting batch.queue is 0, expected at least 1"),
        ("sinks=[jsonl, jsonl]", "expected each kind at most once"),
        ("sinks=[josnl]", "did you mean 'jsonl'?"),
        ("sinks=[{kind: video, quality: 99}]", "setting video.quality is 99"),
        ("runtime=cloud", "setting runtime is 'cloud', expected one of local, ray"),
        ("vocabulary={classes: car, vocabulary: coco}", "expected either classes or a vocabulary"),
        ("panoptic.output_size=[0, 5]", "setting panoptic.output_size"),
        ("tracking.method=sort", "setting tracking.method is 'sort', expected one of streamseg, minvis, none"),
    ],
)
def test_mistakes_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(overrides=[override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_merging_keeps_what_is_not_replaced() -> None:
    under = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merged(under, {"a": {"b": 9}, "e": 4}) == {"a": {"b": 9, "c": 2}, "d": 3, "e": 4}
    assert under == {"a": {"b": 1, "c": 2}, "d": 3}


def test_commented_settings_read_back_as_they_were() -> None:
    settings = RunSettings(
        sources=(SourceSettings("rtsp://cam/1: a 'quoted' # name", "yard"), SourceSettings("-")),
        sinks=(JsonlSettings(masks=False), VideoSettings(max_side=640)),
        output="out dir",
    )
    assert from_mapping(RunSettings, yaml.safe_load(commented_yaml(settings))) == settings


def test_every_setting_is_explained() -> None:
    def classes(settings: object) -> list[type]:
        found = [type(settings)]
        for name in getattr(type(settings), "__dataclass_fields__", {}):
            value = getattr(settings, name)
            for item in value if isinstance(value, tuple) else (value,):
                found += classes(item) if hasattr(item, "__dataclass_fields__") else []
        return found

    for cls in classes(RunSettings(sources=(SourceSettings("x"),))):
        explained = meanings(cls)
        for name in cls.__dataclass_fields__:
            assert explained.get(name) or name in ("kind", "on_error"), f"{cls.__name__}.{name} has no meaning"


@pytest.mark.parametrize("name", PACKAGED_CONFIGS)
def test_config_files_are_complete_and_say_what_the_code_says(name: str) -> None:
    path = REPOSITORY / "configs" / f"{name}.yaml"
    text = path.read_text()
    settings = read_settings(path)
    header = text[: text.index("\n\n") + 1]
    assert all(line.startswith("#") for line in header.splitlines())
    assert text == header + commented_yaml(settings)
    assert set(flatten(yaml.safe_load(text))) == set(flatten(to_plain(settings)))
    assert find_config(name).read_text() == text


def test_a_config_is_found_by_path_or_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("live").name == "live.yaml"
    (tmp_path / "live").write_text("")
    assert find_config("live") == Path("live")
    with pytest.raises(ConfigError, match=r"no config file 'lvie\.yaml', expected .*demo, files, live"):
        find_config("lvie.yaml")
