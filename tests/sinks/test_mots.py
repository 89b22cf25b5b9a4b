from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from streamseg.frames import FrameResult
from streamseg.sinks.documents.records import RecordedStream
from streamseg.sinks.export import export_streams
from streamseg.world.names import world_vocabulary
from tests.recorded import record, world_results

WORDS = world_vocabulary("shapes")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools


def exported(tmp_path: Path, results: list[FrameResult]) -> Path:
    export_streams("mots", [RecordedStream("cam", record(tmp_path / "cam", results), WORDS)], tmp_path / "mots")
    return tmp_path / "mots"


def read(path: Path) -> dict[tuple[int, int], tuple[int, np.ndarray]]:
    """As TrackEval does: by time and id, the class and the mask."""
    found = {}
    for line in path.read_text().splitlines():
        time, id_, class_id, height, width, counts = line.split(" ")
        rle = {"size": [int(height), int(width)], "counts": counts.encode()}
        assert (int(time), int(id_)) not in found
        found[int(time), int(id_)] = (int(class_id), coco.decode(rle).astype(bool))
    return found


def test_pycocotools_reads_every_thing_back(tmp_path: Path) -> None:
    results = world_results()
    found = read(exported(tmp_path, results) / "data" / "cam.txt")
    expected = {
        (result.index + 1, segment.id): (segment.category_id, result.mask(segment.id))
        for result in results
        for segment in result.segments
        if segment.isthing
    }
    assert found.keys() == expected.keys()
    assert expected
    for key, (class_id, mask) in expected.items():
        assert found[key][0] == class_id
        assert (found[key][1] == mask).all()


def test_masks_of_one_time_do_not_overlap(tmp_path: Path) -> None:
    by_time: dict[int, np.ndarray] = {}
    for (time, _), (_, mask) in read(exported(tmp_path, world_results()) / "data" / "cam.txt").items():
        covered = by_time.setdefault(time, np.zeros_like(mask))
        assert not (covered & mask).any()
        covered |= mask


@pytest.mark.parametrize("stride", [1, 3])
def test_times_and_names(tmp_path: Path, stride: int) -> None:
    results = [
        replace(result, index=4 + stride * index, epoch=index // 2) for index, result in enumerate(world_results(4))
    ]
    folder = exported(tmp_path, results)
    assert sorted({time for time, _ in read(folder / "data" / "cam.txt")}) == [5, 5 + stride]
    assert sorted({time for time, _ in read(folder / "data" / "cam-epoch-1.txt")}) == [1, 1 + stride]
    assert (folder / "seqmap.txt").read_text() == "name\ncam\ncam-epoch-1\n"
    labels = dict(line.split(" ", 1) for line in (folder / "labels.txt").read_text().splitlines())
    assert labels == {str(category.id): category.label for category in WORDS.categories if category.isthing}


def test_a_video_without_things_has_an_empty_file(tmp_path: Path) -> None:
    empty = [replace(result, segments=(), panoptic=np.zeros((96, 128), np.int32)) for result in world_results(2)]
    assert (exported(tmp_path, empty) / "data" / "cam.txt").read_bytes() == b""
