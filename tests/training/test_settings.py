"""Settings: the defaults are the published recipe, files are read strictly, and a resume knows what may differ."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamseg.errors import ConfigError
from streamseg.parsing import from_mapping
from streamseg.training.data.jitter import LargeScaleJitter
from streamseg.training.settings import CocoData, TrainSettings, WorldData, differences, load_settings
from tests.conftest import REPOSITORY

COCO, DEMO = (REPOSITORY / "configs" / name for name in ("train_coco.yaml", "train_demo.yaml"))
DATA = CocoData(images="i", annotations="a", masks="m")


def write(tmp_path: Path, **values: Any) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"data": {"kind": "world"}, **values}))
    return path


def test_the_defaults_are_the_published_recipe() -> None:
    """arXiv 2308.02487, section 4.1, and the configuration files published with it."""
    settings = TrainSettings(data=DATA)
    optimizer = settings.optimizer
    assert (optimizer.lr, optimizer.weight_decay, optimizer.clip_norm) == (1e-4, 0.05, 0.01)
    assert (optimizer.weight_decay_norm, optimizer.weight_decay_embed) == (0, 0)
    assert (settings.steps, optimizer.milestones, optimizer.gamma) == (368_750, (327_778, 355_092), 0.1)
    assert (settings.batch_size, settings.model) == (16, "fcclip-convnext-large")
    assert DATA.jitter == LargeScaleJitter(size=1024, scale=(0.1, 2.0), flip=0.5)
    criterion = settings.criterion
    assert (criterion.num_points, criterion.oversample_ratio, criterion.importance_ratio) == (12544, 3, 0.75)
    assert (criterion.class_weight, criterion.mask_weight, criterion.dice_weight) == (2, 5, 5)
    assert (criterion.no_object_weight, settings.pixel_decoder_fp32, settings.ema_decay) == (0.1, True, 0)


def test_the_coco_config_spells_the_defaults_out() -> None:
    """All of them: a default that changes, or a new setting, has to show there."""
    settings = load_settings(COCO)
    assert isinstance(settings.data, CocoData)
    data = CocoData(images=settings.data.images, annotations=settings.data.annotations, masks=settings.data.masks)
    assert settings == TrainSettings(data=data, output=settings.output)
    written = yaml.safe_load(COCO.read_text())
    assert written.keys() == settings.to_dict().keys()
    assert written["data"].keys() == settings.to_dict()["data"].keys()
    assert written["optimizer"].keys() == settings.to_dict()["optimizer"].keys() - {"final_factor"}
    assert written["criterion"].keys() == settings.to_dict()["criterion"].keys()


def test_the_demo_config_is_valid() -> None:
    settings = load_settings(DEMO)
    assert isinstance(settings.data, WorldData)
    assert (settings.model, settings.optimizer.schedule) == ("demo", "cosine")


def test_settings_survive_a_file(tmp_path: Path) -> None:
    settings = load_settings(DEMO)
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(settings.to_dict()))
    assert load_settings(path) == settings


def test_overrides_reach_into_sections(tmp_path: Path) -> None:
    path = write(tmp_path, optimizer={"lr": "1e-3", "schedule": "cosine"})
    overrides = ["optimizer.lr=2e-4", "steps=7", "clip=null", "data.scale=[1, 2]", "optimizer.milestones=[3, 4]"]
    settings = load_settings(path, overrides)
    assert settings.optimizer == replace(settings.optimizer, lr=2e-4, schedule="cosine", milestones=(3, 4))
    assert (settings.steps, settings.clip) == (7, None)
    assert isinstance(settings.data, WorldData)
    assert settings.data.scale == (1.0, 2.0)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("optimizer.clip=1", "unknown setting optimizer.clip: did you mean 'clip_norm'?"),
        ("data.crop=64", "unknown setting data.crop: known are kind, sizes_hw"),
        ("optimizer.lr=fast", "setting optimizer.lr is 'fast', expected a number"),
        ("optimizer.lr=0", "setting optimizer.lr is 0.0, expected a positive number"),
        ("optimizer.schedule=linear", "setting optimizer.schedule is 'linear', expected one of step, cosine"),
        ("optimizer.milestones=[5, 3]", r"setting optimizer.milestones is \[5, 3\], expected steps in ascending order"),
        ("optimizer.milestones=5", "setting optimizer.milestones is 5, expected a list"),
        ("optimizer=fast", "setting optimizer is 'fast', expected a section with its own keys"),
        ("data.scale=[1, 2, 3]", r"setting data.scale is \[1, 2, 3\], expected a list of 2"),
        ("steps=0", "setting steps is 0, expected a whole number of at least 1"),
        ("steps=1.5", "setting steps is 1.5, expected a whole number"),
        ("tensorboard=1", "setting tensorboard is 1, expected true or false"),
        ("seed=true", "setting seed is True, expected a whole number"),
        ("ema_decay=1", "setting ema_decay is 1.0, expected a number from 0 to below 1"),
        ("model.name=x", "override 'model.name=x': model is a value, not a section"),
        ("steps", "override 'steps': expected KEY=VALUE"),
        ("steps=[", r"override 'steps=\[': its value is not YAML"),
        ("criterion.num_points=0", "num_points is 0, expected a number at least 1"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, override: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_settings(write(tmp_path, model="demo"), [override])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not YAML"),
        ("- a list", r"holds \['a list'\], expected lines such as"),
        ("steps: 5", "setting data is missing: it has no default"),
        ("data: {kind: coco}", "setting data.images is missing"),
        ("data: {images: a}", "setting data.kind is None, expected one of coco, vipseg, world"),
    ],
)
def test_files_with_mistakes(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load_settings(path)


def test_what_forbids_a_resume() -> None:
    before = TrainSettings(data=DATA)
    free = replace(before, output="x", threads=3, prefetch=0, keep=9, data=replace(DATA, images="elsewhere"), steps=5)
    assert differences(before.to_dict(), free.to_dict()) == {}
    other = replace(before, seed=1, data=replace(DATA, jitter=LargeScaleJitter(size=512)))
    assert differences(before.to_dict(), other.to_dict()) == {"data.jitter.size": (1024, 512), "seed": (0, 1)}
    cosine = replace(before, optimizer=replace(before.optimizer, schedule="cosine"))
    longer = replace(cosine, steps=5)
    assert differences(cosine.to_dict(), longer.to_dict()) == {"steps": (368_750, 5)}
    world = replace(before, data=WorldData())
    assert differences(before.to_dict(), world.to_dict())["data.kind"] == ("coco", "world")


def test_a_section_read_back_is_equal() -> None:
    assert from_mapping(TrainSettings, TrainSettings(data=DATA).to_dict()) == TrainSettings(data=DATA)
