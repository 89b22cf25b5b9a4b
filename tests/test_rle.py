import numpy as np
import numpy.typing as npt
import pytest
from pycocotools import mask as coco

from streamseg.errors import ConfigError
from streamseg.rle import Rle, decode_mask, encode_map, encode_mask, measure_map

CASES = ("noise", "blocks", "stripes", "full", "one pixel", "single row", "single column")


def map_of(case: str, seed: int) -> npt.NDArray[np.int32]:
    """A map with a few ids, of odd size."""
    generator = np.random.default_rng(seed)
    height, width = (int(length) for length in generator.integers(2, 40, 2))
    shapes = {"one pixel": (1, 1), "single row": (1, width), "single column": (height, 1)}
    ids = generator.integers(0, 5, shapes.get(case, (height, width))).astype(np.int32)
    if case == "blocks":
        ids = np.kron(ids, np.ones((7, 11), np.int32))
    if case == "stripes":
        ids = np.broadcast_to(np.arange(width, dtype=np.int32) % 3, (height, width)).copy()
    if case == "full":
        ids[:] = 7
    return ids * 5_000_000 % 2**24  # large ids cost nothing


def reference(mask: npt.NDArray[np.bool_]) -> Rle:
    rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(20))
def test_equals_pycocotools(case: str, seed: int) -> None:
    ids = map_of(case, seed)
    encoded, measured = encode_map(ids), measure_map(ids)
    assert list(encoded) == list(measured) == [i for i in np.unique(ids).tolist() if i]
    for id_, rle in encoded.items():
        mask = ids == id_
        assert rle == reference(mask) == encode_mask(mask)
        assert (decode_mask(rle) == mask).all()
        assert measured[id_].area == mask.sum()
        assert list(measured[id_].bbox) == coco.toBbox(coco.encode(np.asfortranarray(mask.astype(np.uint8)))).tolist()


@pytest.mark.parametrize("shape", [(1, 1), (5, 4), (1080, 1920)])
def test_empty_mask(shape: tuple[int, int]) -> None:
    empty = np.zeros(shape, bool)
    assert encode_mask(empty) == reference(empty)
    assert not decode_mask(encode_mask(empty)).any()
    assert encode_map(empty.astype(np.int32)) == measure_map(empty.astype(np.int32)) == {}


def test_counts_longer_than_one_letter_and_negative_differences() -> None:
    mask = np.zeros((2160, 3840), bool)
    mask[5:2100, 10:3000] = True
    mask[7, 3500] = True
    assert encode_mask(mask) == reference(mask)
    assert (decode_mask(encode_mask(mask)) == mask).all()


@pytest.mark.parametrize(
    ("rle", "says"),
    [
        ({"size": [2, 2], "counts": "9"}, "cover 9 pixels, expected 4"),
        ({"size": [2, 2], "counts": ""}, "cover 0 pixels"),
        ({"size": [2, 2], "counts": "T"}, "end within a number"),
        ({"size": [2, 2], "counts": "\x01"}, "letter outside"),
        ({"size": [2, 2], "counts": "é"}, "no run-length encoding"),
        ({"size": [2, 2], "counts": "o" * 14 + "0"}, "too long"),
        ({"size": [2], "counts": "4"}, "no run-length encoding"),
        ({"size": [2, 2]}, "'counts'"),
        ({"size": [2, 2], "counts": 4}, "no run-length encoding"),
    ],
)
def test_damaged_masks_are_refused(rle: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        decode_mask(rle)
