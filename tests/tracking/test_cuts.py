"""Scene cuts."""

import numpy as np
import pytest

from streamseg.config.tracking import TrackingSettings
from streamseg.tracking.cuts import color_histogram, histogram_change, is_scene_cut
from streamseg.world.dials import Dials
from streamseg.world.video import World

BLACK, WHITE = np.zeros((40, 60, 3), np.uint8), np.full((40, 60, 3), 255, np.uint8)


def test_change_goes_from_nothing_to_everything() -> None:
    half = np.concatenate((BLACK[:20], WHITE[20:]))
    black, white, both = map(color_histogram, (BLACK, WHITE, half))
    assert histogram_change(black, black) == 0
    assert histogram_change(black, white) == 1
    assert histogram_change(black, both) == pytest.approx(0.5)
    assert black.sum() == pytest.approx(1)
    assert color_histogram(BLACK[:1, :1]).shape == (64,)


def test_cuts_of_the_world_change_its_colours_and_motion_does_not() -> None:
    world = World(seed=4, size_hw=(96, 160), seconds=8, dials=Dials.from_difficulty(0.9))
    cuts, others, before = [], [], None
    for frame in world:
        histogram = color_histogram(frame.rgb)
        if before is not None:
            (cuts if frame.is_cut else others).append(histogram_change(before, histogram))
        before = histogram
    assert min(cuts) > TrackingSettings().cut_change > max(others)


@pytest.mark.parametrize(
    ("changed", "cut"),
    [
        ({}, True),
        ({"picture_change": None}, True),
        ({"picture_change": 0.1}, False),
        ({"matched": 5}, True),  # chance matches do not speak against it
        ({"matched": 7}, False),
        ({"clip_cosine": 0.8}, False),
        ({"active": 0, "matched": 0}, False),
    ],
)
def test_all_signs_are_needed(changed: dict[str, float], cut: bool) -> None:
    facts = {"matched": 1, "active": 10, "clip_cosine": 0.5, "picture_change": 0.9} | changed
    assert is_scene_cut(**facts, settings=TrackingSettings()) is cut
