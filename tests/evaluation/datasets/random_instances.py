"""Pictures full of instances from a seed, with everything that average precision makes exceptions for.

Objects of all sizes, groups, void, caravans; predictions that are right, shifted, doubled, of another category, empty,
equally sure, and made up.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from streamseg.panoptic import Instances
from streamseg.vocabulary import Vocabulary

SIZE_HW = (96, 128)
NO_OBJECTS = (0, 4, 7, 11, 23, 1, 29001, 24, 26)  # void, stuff, a caravan, groups of persons and cars

Ids = npt.NDArray[np.int32]


def random_pictures(seed: int, count: int, vocabulary: Vocabulary) -> Iterator[tuple[Ids, Instances]]:
    """(H, W) ids as in Cityscapes' `instanceIds`, and what is predicted."""
    rng = np.random.default_rng(seed)
    things = [place for place, category in enumerate(vocabulary.categories) if category.isthing][:4]
    for _ in range(count):
        truth = np.full(SIZE_HW, rng.choice(NO_OBJECTS), np.int32)
        for _ in range(3):
            truth[box(rng, 60)] = rng.choice(NO_OBJECTS)
        for number in range(int(rng.integers(1, 12))):
            label = vocabulary.categories[rng.choice(things)].id
            truth[box(rng, 28)] = 1000 * label + number
        yield truth, predicted(rng, truth, things, vocabulary)


def predicted(rng: np.random.Generator, truth: Ids, things: list[int], vocabulary: Vocabulary) -> Instances:
    place_of = {category.id: place for place, category in enumerate(vocabulary.categories)}
    masks, places = [], []
    for id_ in np.unique(truth[truth >= 1000]).tolist():
        for _ in range(int(rng.integers(0, 3))):
            place = place_of.get(id_ // 1000, things[0]) if rng.random() < 0.8 else rng.choice(things)
            masks.append(np.roll(truth == id_, tuple(rng.integers(-3, 4, 2)), axis=(0, 1)))
            places.append(int(place))
    for _ in range(int(rng.integers(0, 4))):
        mask = np.zeros(SIZE_HW, bool)
        if rng.random() < 0.8:
            mask[box(rng, 40)] = True
        masks.append(mask)
        places.append(int(rng.choice(things)))
    scores = np.round(rng.random(len(masks)), 1).astype(np.float32)
    return Instances(
        torch.from_numpy(scores),
        torch.tensor(places, dtype=torch.int64),
        torch.from_numpy(np.array(masks, bool).reshape(-1, *SIZE_HW)),
        torch.zeros(len(masks), 4),
    )


def box(rng: np.random.Generator, largest: int) -> tuple[slice, slice]:
    top, left = (int(rng.integers(0, side - 4)) for side in SIZE_HW)
    tall, wide = rng.integers(4, largest, 2).tolist()
    return slice(top, top + tall), slice(left, left + wide)


def coco_truth(ids: Ids, vocabulary: Vocabulary, first: int) -> list[dict[str, Any]]:
    """The same as COCO's annotations; groups become crowds."""
    import pycocotools.mask as mask_tools

    things = {category.id for category in vocabulary.categories if category.isthing}
    found = []
    for id_ in np.unique(ids).tolist():
        label = id_ // 1000 if id_ >= 1000 else id_
        if label in things:
            encoded = mask_tools.encode(np.asfortranarray((ids == id_).astype(np.uint8)))
            crowd = int(id_ < 1000)
            found.append(
                {
                    "id": first + len(found),
                    "category_id": label,
                    "iscrowd": crowd,
                    "ignore": crowd,
                    "area": int(mask_tools.area(encoded)),
                    "segmentation": encoded,
                }
            )
    return found
