"""Single pictures: each from its seed, with what the dials and the pool allow."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from streamseg.errors import ConfigError
from streamseg.world.dials import Dials
from streamseg.world.names import Pool, compositions, pool
from streamseg.world.renderer import render
from streamseg.world.seeds import generator
from streamseg.world.snapshot import CROWD_ID, FIRST_THING_ID, Snapshot
from streamseg.world.stills import ATTEMPTS, CROWD_SIZE, VARIANTS, pick_kind, random_effects, random_still, render_still

ASPECT = 1.75
SIZE_HW = (48, 84)
CALM = replace(Dials.from_difficulty(0.5), crowds=0.0, clutter=0.0)


def stills(count: int, dials: Dials, things: Pool = "all") -> list[Snapshot]:
    return [random_still(generator("test stills", seed), ASPECT, things, dials) for seed in range(count)]


def test_a_seed_is_one_picture() -> None:
    first, again, other = (render_still(seed, size_hw=SIZE_HW) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.ids, again.ids)
    assert first.segments == again.segments
    assert (first.rgb != other.rgb).mean() > 0.5
    assert first.rgb.shape == (*SIZE_HW, 3)


@pytest.mark.parametrize("things", ["seen", "clip", "unseen", "unseen-shapes"])
def test_only_compositions_of_the_pool_appear(things: Pool) -> None:
    allowed = set(pool(things))
    dials = replace(CALM, crowds=1.0)
    shown = {sprite.composition for still in stills(60, dials, things) for sprite in still.sprites}
    assert shown <= allowed
    assert len(shown) > 50


def test_a_bad_pool_or_difficulty_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown pool"):
        render_still(0, things="novel")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="difficulty is 2"):
        render_still(0, difficulty=2)


def test_as_many_things_as_the_dials_say() -> None:
    counts = Counter(len(still.sprites) for still in stills(200, replace(CALM, things=4)))
    assert set(counts) == {1, 2, 3, 4}


def test_sizes_stay_within_the_dials_and_the_near_ones_come_last() -> None:
    for still in stills(50, replace(CALM, smallest=0.2, largest=0.3)):
        sizes = [sprite.pose.size for sprite in still.sprites]
        assert sizes == sorted(sizes)
        assert 0.2 <= sizes[0] <= sizes[-1] <= 0.3


def test_identities_are_those_of_things() -> None:
    for still in stills(30, CALM):
        ids = [sprite.id for sprite in still.sprites]
        assert ids == list(range(FIRST_THING_ID, FIRST_THING_ID + len(ids)))


def test_look_alikes() -> None:
    def repeated(still: Snapshot) -> int:
        kinds = [sprite.composition for sprite in still.sprites]
        return len(kinds) - len(set(kinds))

    assert sum(map(repeated, stills(40, replace(CALM, lookalikes=0.0)))) <= 1
    assert all(
        len({sprite.composition for sprite in still.sprites}) == 1
        for still in stills(40, replace(CALM, lookalikes=1.0))
    )


def test_a_crowd_appears_where_the_dials_say() -> None:
    assert not any(sprite.iscrowd for still in stills(30, CALM) for sprite in still.sprites)
    for still in stills(30, replace(CALM, crowds=1.0)):
        crowd = [sprite for sprite in still.sprites if sprite.iscrowd]
        assert CROWD_SIZE[0] <= len(crowd) < CROWD_SIZE[1]
        assert {sprite.id for sprite in crowd} == {CROWD_ID}
        assert len({sprite.composition.shape for sprite in crowd}) == 1


def test_void_appears_where_the_dials_say() -> None:
    def void(dials: Dials) -> list[int]:
        return [int((render(still, SIZE_HW).ids == 0).sum()) for still in stills(12, dials)]

    assert not any(void(CALM))
    amounts = void(replace(CALM, clutter=1.0))
    assert sum(amount > 20 for amount in amounts) >= 11


def test_things_overlap_less_where_the_dials_say() -> None:
    def hidden(dials: Dials) -> float:
        shares = [segment.visibility for still in stills(25, dials) for segment in render(still, SIZE_HW).segments]
        return 1 - float(np.mean(shares))

    many = replace(CALM, things=8)
    assert hidden(replace(many, overlap=0.1)) < 0.8 * hidden(replace(many, overlap=1.0))
    assert ATTEMPTS > 1


def test_shapes_are_drawn_evenly() -> None:
    rng = generator("test stills", "kinds")
    counts = Counter(pick_kind(rng, "seen").shape for _ in range(2900))
    assert len(counts) == 29
    assert 60 < min(counts.values()) <= max(counts.values()) < 145


def test_few_looks_of_one_kind() -> None:
    variants = {sprite.variant for still in stills(40, CALM) for sprite in still.sprites}
    assert variants == set(range(VARIANTS))


def test_clear_dials_give_a_clear_picture() -> None:
    dials = replace(CALM, light=0.0, blur=0.0, noise=0.0, compression=0.0)
    effects = random_effects(generator("test stills", "effects"), dials)
    assert (effects.gain, effects.blur, effects.noise, effects.quality) == ((1.0, 1.0, 1.0), 0.0, 0.0, None)


def test_effects_stay_within_the_dials() -> None:
    rng, dials = generator("test stills", "effects"), replace(CALM, light=1.0, blur=3.0, noise=5.0, compression=1.0)
    every = [random_effects(rng, dials) for _ in range(100)]
    assert all(0 <= entry.blur <= 3 and 0 <= entry.noise <= 5 for entry in every)
    assert all(entry.quality is not None and 35 <= entry.quality < 95 for entry in every)
    assert len({entry.noise_seed for entry in every}) == 100
    assert np.std([entry.gain for entry in every]) > 0.1


def test_everything_can_appear() -> None:
    rng = generator("test stills", "everything")
    shown = {pick_kind(rng, "all") for _ in range(20_000)}
    assert len(shown) == len(compositions())
