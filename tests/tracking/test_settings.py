"""Settings of tracking: what makes no sense is refused in one line."""

import re
from dataclasses import fields
from typing import Any

import pytest

from streamseg.config.tracking import TrackingSettings
from streamseg.errors import ConfigError
from streamseg.parsing import from_mapping, to_plain


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("high_objectness", 1.5),
        ("low_objectness", 0.6),
        ("gate_iou", -0.1),
        ("query_weight", -1.0),
        ("gallery_seconds", -1.0),
        ("gallery_embeddings", 0),
        ("label_frames", 0),
        ("label_ratio", 0.5),
        ("confirm_hits", 5),
        ("confirm_window", 63),
        ("assumed_fps", 0.0),
        ("cut_cosine", float("nan")),
    ],
)
def test_a_value_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"tracking\.{name} is {value}, expected") as error:
        TrackingSettings(**{name: value})
    assert "\n" not in str(error.value)


def test_some_cue_has_to_count() -> None:
    with pytest.raises(ConfigError, match="expected at least one cue above 0"):
        TrackingSettings(query_weight=0, iou_weight=0, feature_weight=0, class_weight=0)


def test_settings_are_read_back_from_plain_values() -> None:
    settings = TrackingSettings(method="minvis", gallery=False, iou_weight=0.0)
    assert from_mapping(TrackingSettings, to_plain(settings)) == settings


def test_every_setting_is_explained() -> None:
    text = TrackingSettings.__doc__ or ""
    named = set(re.findall(r"\w+", " ".join(line.split(":")[0] for line in text.splitlines() if ":" in line)))
    assert {field.name for field in fields(TrackingSettings)} <= named
