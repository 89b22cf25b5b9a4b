"""Pseudo-video from pictures: here from two small ones made by the test, in the layout of COCO's sample."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.errors import EvaluationError
from streamseg.evaluation.tracking.pictures import PICTURE_SCENARIOS, picture_sequences, read_pictures
from streamseg.evaluation.tracking.suite import Eyesight

NAMES = ("pan", "zoom", "occluders", "picture cuts")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures: grass, a person and a crowd of persons; grass and a horse."""
    folder = tmp_path_factory.mktemp("sample")
    document: dict[str, list[object]] = {"images": [], "annotations": []}
    for number, category in enumerate((1, 19)):
        ids = np.full((240, 320), 7, np.int32)
        ids[60:180, 100:180] = 300
        ids[:20, :20] = 70000
        name = f"{number}"
        write(folder / "input_images" / f"{name}.jpg", np.stack((ids % 251,) * 3, axis=-1))
        write(folder / "panoptic_examples" / f"{name}.png", np.stack((ids & 255, ids >> 8 & 255, ids >> 16), axis=-1))
        document["images"].append({"id": number, "file_name": f"{name}.jpg"})
        segments = [
            {"id": 7, "category_id": 193, "iscrowd": 0},
            {"id": 300, "category_id": category, "iscrowd": 0},
            {"id": 70000, "category_id": 1, "iscrowd": 1},
        ]
        document["annotations"].append({"image_id": number, "file_name": f"{name}.png", "segments_info": segments})
    categories = [{"id": 1, "isthing": 1}, {"id": 19, "isthing": 1}, {"id": 193, "isthing": 0}]
    (folder / "panoptic_examples.json").write_text(json.dumps(document))
    (folder / "panoptic_coco_categories.json").write_text(json.dumps(categories))
    return folder


def write(path: Path, rgb: np.ndarray) -> None:  # type: ignore[type-arg]
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), rgb.astype(np.uint8)[..., ::-1])


def test_segments_are_numbered_and_crowds_are_void(sample: Path) -> None:
    first, second = read_pictures(sample)
    assert [label for label, _ in first.names.values()] == ["grass", "person"]
    assert list(second.names.values())[1] == ("horse", True)
    assert set(np.unique(first.ids)) == {0, 1, 2}


def test_every_scenario_does_what_it_says(sample: Path) -> None:
    videos = {sequence.scenario: sequence.video for sequence in picture_sequences(sample, seeds=1)}
    assert tuple(videos) == NAMES == tuple(scenario.name for scenario in PICTURE_SCENARIOS)
    frames = {name: [video.frame(index) for index in range(0, len(video), 4)] for name, video in videos.items()}
    zooms = [frame.camera.zoom for frame in frames["zoom"]]
    assert max(zooms) > 1.3 * min(zooms)
    places = [(frame.camera.x, frame.camera.y) for frame in frames["pan"]]
    assert len(set(places)) == len(places)
    assert {frame.scene for frame in frames["picture cuts"]} == {0, 1}
    assert {frame.scene for frame in frames["pan"]} == {0}
    crossing = {segment.id for frame in frames["occluders"] for segment in frame.segments if segment.id >= 2000}
    assert crossing


def test_truth_is_whole_and_the_same_each_time(sample: Path) -> None:
    sequence = picture_sequences(sample, seeds=1)[2]
    frame, again = sequence.video.frame(30), sequence.video.frame(30)
    np.testing.assert_array_equal(frame.rgb, again.rgb)
    np.testing.assert_array_equal(frame.ids, again.ids)
    assert frame.ids.shape == frame.rgb.shape[:2] == sequence.video.size_hw
    areas = {segment.id: segment.area for segment in frame.segments}
    assert areas == {id_: int((frame.ids == id_).sum()) for id_ in np.unique(frame.ids).tolist() if id_}
    assert all(0 < segment.visibility <= 1 for segment in frame.segments)


def test_the_scripted_segmenter_sees_them(sample: Path) -> None:
    sequence = picture_sequences(sample, seeds=1)[0]
    segmenter = Eyesight("oracle").segmenter_for(sequence)
    assert segmenter.identity()["model"] == "world-scripted"


def test_a_folder_without_a_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="expected COCO's panoptic sample data"):
        list(read_pictures(tmp_path))
