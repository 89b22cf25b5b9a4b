"""A scene over time: who is there, who comes back, who crosses whom, and that time can be asked for in any order."""

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from streamseg.world.dials import Dials
from streamseg.world.names import Pool, pool
from streamseg.world.renderer import render
from streamseg.world.scene import IDS_PER_SCENE, RESIDENT_IDS, Scene
from streamseg.world.snapshot import FIRST_THING_ID, Snapshot, Sprite

ASPECT = 1.75
SIZE_HW = (32, 56)
CALM = Dials(traffic_seconds=0.0, leaving=0.0, pan=0.0, zoom=0.0, shake=0.0, lookalikes=0.0)


def scene(dials: Dials = CALM, *, seed: int = 1, number: int = 0, things: Pool = "all") -> Scene:
    return Scene(seed, number, ASPECT, dials, things)


def things_at(place: Scene, seconds: float) -> dict[int, Sprite]:
    return {sprite.id: sprite for sprite in place.snapshot(seconds).sprites}


def in_sight(snapshot: Snapshot) -> set[int]:
    return set(np.unique(render(snapshot, SIZE_HW).ids).tolist()) - set(range(FIRST_THING_ID))


def test_time_in_any_order() -> None:
    dials = Dials.from_difficulty(1.0)
    forwards = [scene(dials).snapshot(t) for t in (0.0, 1.0, 50.0)]
    one = scene(dials)
    backwards = [one.snapshot(t) for t in (50.0, 1.0, 0.0)][::-1]
    assert forwards == backwards
    assert scene(dials, seed=2).snapshot(0.0) != forwards[0]
    assert scene(dials, number=1).snapshot(0.0).sprites != forwards[0].sprites


def test_only_compositions_of_the_pool_appear() -> None:
    dials = replace(Dials.from_difficulty(1.0), clutter=0.0, crowds=1.0)
    for number in range(5):
        shown = {sprite.composition for sprite in scene(dials, number=number, things="seen").snapshot(9.0).sprites}
        assert shown <= set(pool("seen"))


def test_a_thing_stays_what_it_is() -> None:
    place = scene(replace(Dials.from_difficulty(0.9), crowds=0.0, clutter=0.0))
    looks = defaultdict(set)
    for seconds in np.linspace(0, 120, 240):
        for sprite in place.snapshot(seconds).sprites:
            looks[sprite.id].add((sprite.composition, sprite.variant, sprite.light))
    assert len(looks) > 15
    assert all(len(seen) == 1 for seen in looks.values())


def test_no_two_things_share_an_identity() -> None:
    crowded = Dials(things=50, occluders=10, traffic_seconds=0.5, crowds=1.0)
    for number in range(3):
        sprites = [sprite for sprite in scene(crowded, number=number).snapshot(200.0).sprites if not sprite.iscrowd]
        ids = [sprite.id for sprite in sprites]
        assert len(ids) == len(set(ids)) > 40
        first = FIRST_THING_ID + number * IDS_PER_SCENE
        assert all(first <= id_ < first + IDS_PER_SCENE for id_ in ids)
        crowd = {sprite.id for sprite in scene(crowded, number=number).snapshot(200.0).sprites if sprite.iscrowd}
        assert crowd == {first + RESIDENT_IDS - 1}
        assert crowd.isdisjoint(ids)


def test_motion_is_smooth_and_as_fast_as_the_dials_say() -> None:
    place = scene(replace(CALM, speed=0.3))
    step = 0.04
    fastest = 0.0
    for seconds in np.arange(0, 40, step):
        before, after = things_at(place, seconds), things_at(place, seconds + step)
        assert before.keys() == after.keys()
        for id_, sprite in before.items():
            way = np.hypot(after[id_].pose.x - sprite.pose.x, after[id_].pose.y - sprite.pose.y)
            fastest = max(fastest, way / step)
    assert 0.2 < fastest < 0.3 * 1.3 * 1.6


def test_things_leave_and_come_back() -> None:
    place = scene(replace(CALM, leaving=1.0, things=4, speed=0.5))
    residents = things_at(place, 0.0).keys()
    sightings = [in_sight(place.snapshot(seconds)) for seconds in np.arange(0, 120, 0.5)]
    returned = set()
    for id_ in residents:
        presence = [id_ in sighted for sighted in sightings]
        spells = sum(now and not before for before, now in pairwise(presence))
        if not all(presence) and spells >= 2:
            returned.add(id_)
    assert returned
    assert returned == residents


def test_without_leaving_a_calm_scene_keeps_everyone() -> None:
    place = scene(replace(CALM, things=3, largest=0.3, smallest=0.25))
    everyone = things_at(place, 0.0).keys()
    for seconds in range(0, 60, 5):
        middles = [(sprite.pose.x, sprite.pose.y) for sprite in place.snapshot(seconds).sprites]
        assert all(abs(x) < 0.75 * ASPECT and abs(y) < 0.55 for x, y in middles)
        assert things_at(place, seconds).keys() == everyone


def test_look_alike_twins_cross() -> None:
    place = scene(replace(CALM, lookalikes=1.0, things=2))
    number = next(n for n in range(20) if len(scene(place.dials, number=n).snapshot(0.0).sprites) == 2)
    place = scene(place.dials, number=number)
    ways = []
    for seconds in np.arange(0, 120, 0.1):
        one, other = (things_at(place, seconds)[id_] for id_ in sorted(things_at(place, 0.0)))
        assert one.composition == other.composition
        ways.append((one.pose.x - other.pose.x, abs(one.pose.y - other.pose.y), (one.pose.size + other.pose.size) / 2))
    signs = np.sign([x for x, _, _ in ways])
    crossings = np.flatnonzero(signs[1:] != signs[:-1])
    assert len(crossings) >= 3
    # At one of them at least they cover each other, not only pass above one another.
    assert min(ways[place][1] / ways[place][2] for place in crossings) < 0.5
    assert max(abs(x) for x, _, _ in ways) > 0.3  # and they part again


def test_a_twins_twin_does_not_stick_to_the_first() -> None:
    place = scene(replace(CALM, lookalikes=1.0, things=6))
    tracks = defaultdict(list)
    for seconds in np.arange(0, 200, 0.5):
        for id_, sprite in things_at(place, seconds).items():
            tracks[id_].append((sprite.pose.x, sprite.pose.y))
    assert len(tracks) >= 3
    positions = [np.array(track) for track in tracks.values()]
    for index, one in enumerate(positions):
        for other in positions[index + 1 :]:
            assert np.median(np.linalg.norm(one - other, axis=1)) > 0.08


def test_occluders_are_large_and_in_front() -> None:
    place = scene(replace(CALM, occluders=1, largest=0.4))
    sprites = place.snapshot(3.0).sprites
    assert sprites[-1].pose.size >= 0.75
    assert all(sprite.pose.size < 0.75 for sprite in sprites[:-1])


def test_passers_by_come_as_often_as_the_dials_say_and_never_twice() -> None:
    dials = replace(CALM, traffic_seconds=2.0, speed=1.0)
    place = scene(dials)
    residents = things_at(scene(CALM), 0.0).keys()
    spells = defaultdict(list)
    for step in range(1200):
        for id_ in things_at(place, step * 0.1).keys() - residents:
            spells[id_].append(step)
    assert 120 / 2 - 3 <= len(spells) <= 120 / 2 + 3
    for steps in spells.values():
        assert steps == list(range(steps[0], steps[-1] + 1))


def test_passers_by_come_into_sight_at_the_rim() -> None:
    """Nobody pops up in the middle of the picture, whatever the camera does."""
    place = scene(Dials(traffic_seconds=1.0, speed=1.0, pan=0.6, zoom=0.5, shake=0.01, leaving=0.0))
    step = 0.02
    for seconds in np.arange(3, 20, step):
        before, after = things_at(place, seconds), place.snapshot(seconds + step)
        appeared = {sprite.id for sprite in after.sprites} - before.keys()
        assert appeared.isdisjoint(in_sight(after))


@pytest.mark.parametrize("dial", ["crowds", "clutter"])
def test_crowds_and_clutter_stand_at_the_back(dial: str) -> None:
    def back(dials: Dials) -> list[Sprite]:
        return [sprite for sprite in scene(dials).snapshot(2.0).sprites if sprite.iscrowd or sprite.id == 0]

    assert back(CALM) == []
    dials = replace(CALM, **{dial: 1.0})
    assert len(back(dials)) >= 5
    assert list(scene(dials).snapshot(2.0).sprites[: len(back(dials))]) == back(dials)


def test_a_still_camera_stands_still_and_a_moving_one_keeps_to_its_dials() -> None:
    assert scene().camera(0.0) == scene().camera(77.0)
    place = scene(replace(CALM, pan=0.4, zoom=0.3))
    views = [place.camera(seconds) for seconds in np.arange(0, 300, 0.5)]
    assert 0.3 < max(abs(view.x) for view in views) <= 0.4 + 1e-9
    assert 0.2 < max(abs(np.log(view.zoom)) for view in views) <= 0.3 + 1e-9


def test_light_changes_over_time_and_noise_with_every_frame() -> None:
    place = scene(replace(CALM, light=1.0))
    effects = [place.snapshot(seconds).effects for seconds in np.arange(0, 20, 0.04)]
    gains = np.array([entry.gain[1] for entry in effects])
    assert gains.max() / gains.min() > 1.3
    assert np.abs(np.diff(np.log(gains))).max() < 0.05
    assert len({entry.noise_seed for entry in effects}) == len(effects)
    assert scene(place.dials, seed=2).snapshot(0.0).effects.noise_seed != effects[0].noise_seed


def test_a_moving_camera_smears() -> None:
    place = scene(replace(CALM, pan=1.0))
    smears = [np.hypot(*place.snapshot(seconds).effects.smear) for seconds in np.arange(0, 30, 0.5)]
    assert max(smears) > 0.001
    assert scene().snapshot(1.0).effects.smear == (0.0, 0.0)
