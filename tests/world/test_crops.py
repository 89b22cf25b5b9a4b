"""Crops: what their captions say is what they show, and nobody sees what is held out."""

from collections import Counter

import numpy as np
import pytest

from streamseg.world import crops
from streamseg.world.captions import meaning
from streamseg.world.crops import STUFF_SHARE, THEMES, crop_batch, render_crop
from streamseg.world.names import STUFF, Pool, exposure, pool
from streamseg.world.renderer import RenderedWorld, render
from streamseg.world.seeds import generator
from streamseg.world.snapshot import Snapshot

SIZE = 32

PARTS = ("shape", "color", "pattern")


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Snapshot, RenderedWorld]]:
    """Every moment that was painted, with its truth."""
    seen: list[tuple[Snapshot, RenderedWorld]] = []

    def recorded(snapshot: Snapshot, size_hw: tuple[int, int]) -> RenderedWorld:
        seen.append((snapshot, render(snapshot, size_hw)))
        return seen[-1][1]

    monkeypatch.setattr(crops, "render", recorded)
    return seen


def test_a_batch_is_its_numbers() -> None:
    pictures, captions = crop_batch(1, 2, 6, SIZE)
    again, captions_again = crop_batch(1, 2, 6, SIZE)
    np.testing.assert_array_equal(pictures, again)
    assert captions == captions_again
    assert (pictures.shape, pictures.dtype, len(captions)) == ((6, SIZE, SIZE, 3), np.uint8, 6)
    for seed, step in ((2, 2), (1, 3)):
        assert (crop_batch(seed, step, 6, SIZE)[0] != pictures).mean() > 0.5


def test_a_longer_batch_begins_with_the_shorter_one() -> None:
    pictures, captions = crop_batch(1, 2, 3, SIZE)
    longer, more_captions = crop_batch(1, 2, 8, SIZE)
    np.testing.assert_array_equal(longer[:3], pictures)
    assert more_captions[:3] == captions


def test_captions_agree_with_what_is_shown(painted: list[tuple[Snapshot, RenderedWorld]]) -> None:
    captions = [line for step in range(8) for line in crop_batch(5, step, 20, SIZE)[1]]
    assert len(captions) == len(painted)
    for line, (snapshot, rendered) in zip(captions, painted, strict=True):
        said = meaning(line)
        areas = {segment.label: segment.area for segment in rendered.segments if not segment.isthing}
        if not snapshot.sprites:
            assert areas.keys() == {said.subject}
            continue
        kinds = [sprite.composition for sprite in snapshot.sprites if sprite.id == min(s.id for s in snapshot.sprites)]
        assert said.subject == kinds[0].shape
        assert said.color in (None, kinds[0].color)
        assert said.pattern in (None, kinds[0].pattern)
        if said.background is not None and areas:
            assert areas[said.background] == max(areas.values())


def test_the_subject_is_what_one_sees(painted: list[tuple[Snapshot, RenderedWorld]]) -> None:
    """It is large and mostly uncovered, and an intruder shows less of itself."""
    for step in range(8):
        crop_batch(6, step, 20, SIZE)
    shares, larger = [], []
    for snapshot, rendered in painted:
        if not snapshot.sprites:
            continue
        subject = min(sprite.id for sprite in snapshot.sprites)
        areas = {segment.id: segment.area for segment in rendered.segments if segment.isthing}
        shares.append(areas.get(subject, 0) / SIZE**2)
        larger.append(max(areas, key=lambda id_: areas[id_]) == subject)
    assert min(shares) > 0.02
    assert np.mean(shares) > 0.15
    assert np.mean(larger) > 0.95


@pytest.mark.parametrize("things", ["clip", "seen"])
def test_what_is_held_out_is_never_shown(things: Pool, painted: list[tuple[Snapshot, RenderedWorld]]) -> None:
    for step in range(30):
        crop_batch(7, step, 10, SIZE, things=things)
    shown = {sprite.composition for snapshot, _ in painted for sprite in snapshot.sprites}
    assert len(shown) > 80
    assert shown <= set(pool(things))
    assert "never" not in {exposure(kind) for kind in shown}


def test_some_crops_show_ground_alone() -> None:
    rng = generator("test crops")
    kinds = [render_crop(rng, SIZE, pool("clip"))[1:] for _ in range(300)]
    grounds = Counter(ground for kind, ground in kinds if kind is None)
    assert sum(grounds.values()) / 300 == pytest.approx(STUFF_SHARE, abs=0.06)
    assert set(grounds) <= {entry.name for entry in STUFF}
    assert len(grounds) > 8


def test_batches_have_themes(painted: list[tuple[Snapshot, RenderedWorld]]) -> None:
    counts: Counter[frozenset[str]] = Counter()
    batches = 120
    for step in range(batches):
        painted.clear()
        crop_batch(8, step, 8, SIZE)
        kinds = {sprite.composition for snapshot, _ in painted for sprite in snapshot.sprites}
        counts[frozenset(part for part in PARTS if len({getattr(kind, part) for kind in kinds}) == 1)] += 1
    before = 0.0
    for share, parts in THEMES:
        assert counts[frozenset(parts)] / batches == pytest.approx(share - before, abs=0.09), parts
        before = share
    assert counts[frozenset()] / batches == pytest.approx(1 - before, abs=0.12)
