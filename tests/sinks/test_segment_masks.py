import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamseg.config.sinks import RotationSettings
from streamseg.errors import SinkError
from streamseg.sinks.segment_masks import SegmentMasksSink
from tests.sinks.small_stream import (
    FAILED_FRAME,
    assert_resumes_exactly,
    emission,
    facts,
    full_disk,
    stream,
    tree,
    write_all,
    write_and_kill,
)


def test_one_picture_for_each_segment(tmp_path: Path) -> None:
    written = stream(10)
    write_all(SegmentMasksSink(facts(tmp_path)), written)
    names = set()
    for each in written:
        result = each.result
        for segment in result.segments:
            name = f"epoch-{result.epoch}/masks/{result.index:08d}/{segment.id}.png"
            with Image.open(tmp_path / name) as picture:
                assert picture.mode == "L"
                assert (np.asarray(picture) == 255 * result.mask(segment.id).astype(np.uint8)).all()
            names.add(name)
    assert tree(tmp_path).keys() == names


def test_a_frame_without_segments_has_an_empty_folder(tmp_path: Path) -> None:
    write_all(SegmentMasksSink(facts(tmp_path)), [emission(FAILED_FRAME)])
    assert list((tmp_path / "epoch-0" / "masks").iterdir()) == [tmp_path / "epoch-0" / "masks" / "00000005"]


def test_resume_is_exact(tmp_path: Path) -> None:
    assert_resumes_exactly(SegmentMasksSink, tmp_path, stream(20), every=2)


def test_resume_is_exact_across_parts(tmp_path: Path) -> None:
    rotation = RotationSettings(when="always", seconds=0.19, megabytes=None, keep=2, keep_megabytes=None)
    files = assert_resumes_exactly(lambda of: SegmentMasksSink(of, rotation), tmp_path, stream(20), every=3)
    assert {name.split("/")[1] for name in files} == {"masks", "masks.000002", "masks.000003"}


def test_a_full_disk_leaves_whole_frames(tmp_path: Path) -> None:
    sink = SegmentMasksSink(facts(tmp_path))
    sink.open(None)
    sink.write(emission(0))
    before = tree(tmp_path)
    with full_disk(20), pytest.raises(SinkError, match=r"masks/00000001': File too large; make room"):
        sink.write(emission(1))
    assert tree(tmp_path) == before
    assert [path.name for path in (tmp_path / "epoch-0" / "masks").iterdir()] == ["00000000"]
    sink.write(emission(2))
    assert len(tree(tmp_path)) == 4
    sink.close()


def test_what_a_kill_left_half_done_goes(tmp_path: Path) -> None:
    state = write_and_kill(SegmentMasksSink(facts(tmp_path)), stream(4), 4, 4)
    before = tree(tmp_path)
    half = tmp_path / "epoch-0" / "masks" / ".streamseg-1-1.tmp"
    half.mkdir()
    (half / "3.png").write_text("half")
    SegmentMasksSink(facts(tmp_path)).open(json.loads(json.dumps(state)))
    assert tree(tmp_path) == before
