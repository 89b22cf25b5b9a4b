"""What predictions and ground truth may be stored as: runs, MOTS text, YouTube-VIS documents, panoptic folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamseg.cli import main as streamseg
from streamseg.errors import ConfigError, EvaluationError
from streamseg.evaluation.inputs.mots_text import MotsFolder
from streamseg.evaluation.inputs.opening import open_inputs
from streamseg.evaluation.inputs.panoptic_folders import PanopticFolder
from streamseg.evaluation.inputs.panoptic_sides import PanopticPredictions, PanopticTruth
from streamseg.evaluation.inputs.run_predictions import RunPredictions
from streamseg.evaluation.inputs.sides import feed
from streamseg.evaluation.metrics.video_scores import VideoScores
from streamseg.rle import encode_mask
from streamseg.world.names import world_vocabulary
from tests.recorded import run_folder, world_results

FRAMES = 4


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two streams, exported in every layout."""
    folder = tmp_path_factory.mktemp("runs")
    words, results = world_vocabulary("shapes"), world_results(FRAMES)
    made = run_folder(folder, {"door": (results, words), "cam": (results[:3], words)})
    for kind in ("vps", "mots", "coco", "ytvis"):
        assert streamseg(["export", str(made), "--format", kind, "--quiet"]) == 0
    return made


def score(truth: Path, predictions: Path) -> dict[str, Any]:
    inputs = open_inputs(truth, predictions)
    assert inputs.truth is not None
    assert inputs.predictions is not None
    scores = VideoScores(inputs.truth.categories, inputs.truth.labels, metrics=inputs.chosen(None))
    feed(scores, inputs.truth, inputs.predictions)
    return scores.to_dict()


def edited(path: Path, change: Callable[[Any], object]) -> Path:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


# --- runs


def test_a_run_against_its_own_export_is_perfect(run: Path) -> None:
    document = score(run / "vps", run)
    assert document["pq"]["All"]["pq"] == 1.0
    assert document["stq"]["STQ"] == pytest.approx(1.0)
    assert document["stq"]["per_sequence"]["door"]["length"] == FRAMES
    assert document["tracking"]["agnostic_plain"]["combined"]["thing"]["HOTA"] == pytest.approx(1.0)
    assert document["video_ap"]["AP"] == pytest.approx(1.0)


def test_a_run_scores_as_its_export_does(run: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    truth.mkdir()
    (truth / "panoptic.json").write_text((run / "vps" / next(p.name for p in (run / "vps").glob("*.json"))).read_text())

    def shifted(content: dict[str, Any]) -> None:  # another category for one object
        segments = content["annotations"][0]["annotations"][0]["segments_info"]
        segments[0]["category_id"] = segments[-1]["category_id"]

    edited(truth / "panoptic.json", shifted)
    for folder in (run / "vps").iterdir():
        if folder.is_dir():
            (truth / folder.name).symlink_to(folder)
    by_run, by_export = score(truth, run), score(truth, run / "vps")
    assert by_run["pq"]["All"]["pq"] < 1
    for metric in ("pq", "vpq", "stq", "tracking", "miou", "vc"):
        assert by_run[metric] == by_export[metric]


def test_categories_of_a_run_are_found_by_label(run: Path) -> None:
    truth = PanopticTruth(PanopticFolder.read(run / "vps"))
    labels = {key + 100: label.upper() for key, label in truth.labels.items()}
    video = next(truth.videos())
    found = next(RunPredictions(run, labels).follow(video))
    assert {s.category_id - 100 for s in found.segments} == {s.category_id for s in video.frames[0].segments}
    with pytest.raises(EvaluationError, match=r"the run calls a segment '.*', expected one of only this"):
        next(RunPredictions(run, {1: "only this"}).follow(video))


def test_a_run_of_other_frames_is_refused(run: Path, tmp_path: Path) -> None:
    truth = PanopticTruth(PanopticFolder.read(run / "vps"))
    door, cam = truth.videos()
    words = world_vocabulary("shapes")
    short = run_folder(tmp_path, {"door": (world_results(2), words), "hall": (world_results(2), words)})
    with pytest.raises(EvaluationError, match=f"recorded 2 frames of door, expected {FRAMES}"):
        list(RunPredictions(short, truth.labels).follow(door))
    with pytest.raises(EvaluationError, match="has no stream 'cam'"):
        list(RunPredictions(short, truth.labels).follow(cam))
    (short / "run.json").write_text("[]")
    with pytest.raises(EvaluationError, match=r"cannot read .*run.json \(TypeError\)"):
        RunPredictions(short, truth.labels)


def test_one_stream_and_one_video_go_together(run: Path, tmp_path: Path) -> None:
    truth = PanopticTruth(PanopticFolder.read(run / "vps"))
    alone = run_folder(tmp_path, {"other": (world_results(FRAMES), world_vocabulary("shapes"))})
    assert len(list(RunPredictions(alone, truth.labels).follow(next(truth.videos())))) == FRAMES


# --- MOTS


def lines(*objects: tuple[int, int, int, list[int]]) -> str:
    """frame, id, class and the columns of a 2 x 10 picture that the object covers."""
    text = ""
    for frame, id_, class_id, columns in objects:
        mask = np.zeros((2, 10), bool)
        mask[:, columns] = True
        text += f"{frame} {id_} {class_id} 2 10 {encode_mask(mask)['counts']}\n"
    return text


@pytest.fixture
def mots(tmp_path: Path) -> Path:
    """A car over three frames and a region to be ignored; a prediction that changes its id, one in the region, junk."""
    (tmp_path / "gt").mkdir()
    (tmp_path / "pred" / "data").mkdir(parents=True)
    ignored = (1, 10000, 10, [8, 9])
    (tmp_path / "gt" / "a.txt").write_text(
        lines((1, 1001, 1, [0, 1]), ignored, (2, 1001, 1, [1, 2]), (3, 1001, 1, [2, 3]))
    )
    (tmp_path / "pred" / "data" / "a.txt").write_text(
        lines(
            (1, 5, 1, [0, 1]),
            (1, 6, 1, [8, 9]),
            (2, 5, 1, [1, 2]),
            (3, 7, 1, [2, 3]),
            (3, 8, 2, [6]),
            (5, 9, 1, [4]),
        )
    )
    return tmp_path


def test_text_is_scored(mots: Path) -> None:
    tracking = score(mots / "gt", mots / "pred")["tracking"]
    plain, ignore = (tracking[f"agnostic_{name}"]["combined"]["thing"] for name in ("plain", "ignore"))
    assert (plain["CLR_TP"], plain["CLR_FN"], plain["CLR_FP"], plain["IDSW"]) == (3, 0, 3, 1)
    assert ignore["CLR_FP"] == 2  # open ground is no void: what is predicted there is false
    assert ignore["IDTP"] == 2
    assert set(tracking["per_class_ignore"]["combined"]) == {"car", "pedestrian"}


def test_a_runs_text_against_itself_is_perfect(run: Path) -> None:
    scores = score(run / "mots", run / "mots")["tracking"]
    assert scores["agnostic_plain"]["combined"]["thing"]["HOTA"] == pytest.approx(1.0)
    assert scores["per_class_plain"]["detection_average"]["MOTA"] == 1.0


def test_the_official_folders_are_found(mots: Path) -> None:
    (mots / "official" / "a" / "gt").mkdir(parents=True)
    (mots / "gt" / "a.txt").rename(mots / "official" / "a" / "gt" / "gt.txt")
    assert [video.name for video in MotsFolder(mots / "official").videos()] == ["a"]
    assert score(mots / "official", mots / "pred")["tracking"]["agnostic_plain"]["combined"]["thing"]["CLR_TP"] == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 5 1 2 10\n", "line 1 of .*a.txt is '1 5 1 2 10', expected: frame id class height width rle"),
        (lines((1, 0, 1, [0])), "line 1 of .*a.txt has id 0, expected ids from 1"),
        (lines((1, 5, 1, [0, 1]), (1, 6, 1, [1])), "line 2 of .*a.txt: object 6 covers pixels of another"),
        ("1 5 1 2 9 ...\n", "line 1 of .*a.txt: mask"),
        ("1 5 1 3 10 0N0\n", "frame a/1: ground truth is 2x10 and prediction 3x10|line 1 of .*a.txt: mask"),
    ],
)
def test_text_that_is_damaged_is_refused(mots: Path, text: str, message: str) -> None:
    (mots / "pred" / "data" / "a.txt").write_text(text)
    with pytest.raises(EvaluationError, match=message):
        score(mots / "gt", mots / "pred")


def test_text_without_its_counterpart_is_refused(mots: Path, tmp_path: Path) -> None:
    (mots / "pred" / "data" / "a.txt").rename(mots / "pred" / "data" / "b.txt")
    with pytest.raises(EvaluationError, match=r"has no a\.txt"):
        score(mots / "gt", mots / "pred")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(EvaluationError, match="nothing holds no sequence"):
        open_inputs(mots / "gt", tmp_path / "nothing")


# --- panoptic folders


def test_frames_of_video_that_are_named_otherwise_go_by_place(run: Path, tmp_path: Path) -> None:
    document = next((run / "vps").glob("*.json"))
    content = json.loads(document.read_text())
    for video in content["annotations"]:
        for frame in video["annotations"]:
            frame["image_id"] = f"img-{frame['image_id']}"
    content.pop("videos")
    (tmp_path / "pred.json").write_text(json.dumps(content))
    truth, predictions = (PanopticFolder.read(path) for path in (run / "vps", tmp_path))
    for video in PanopticTruth(truth).videos():
        frames = list(PanopticPredictions(predictions).follow(video))
        assert [frame.segments for frame in frames] == [frame.segments for frame in video.frames]
    content["annotations"][0]["annotations"].pop()
    (tmp_path / "pred.json").write_text(json.dumps(content))
    with pytest.raises(EvaluationError, match=f"lacks {FRAMES} of {FRAMES} frames of door, first "):
        next(PanopticPredictions(PanopticFolder.read(tmp_path)).follow(next(PanopticTruth(truth).videos())))


def test_more_frames_than_the_truth_are_refused(run: Path, tmp_path: Path) -> None:
    document = next((run / "vps").glob("*.json"))
    fewer = tmp_path / "panoptic_gt.json"
    fewer.write_text(document.read_text())
    edited(fewer, lambda content: content["annotations"][0]["annotations"].pop())
    truth = PanopticTruth(PanopticFolder.read(fewer))
    with pytest.raises(EvaluationError, match=f"predicts {FRAMES} frames of door, expected {FRAMES - 1}"):
        next(PanopticPredictions(PanopticFolder.read(run / "vps")).follow(next(truth.videos())))


def test_pictures_have_no_time(run: Path) -> None:
    pictures = next(path for path in sorted((run / "coco").rglob("*.json")))
    inputs = open_inputs(pictures, pictures)
    assert inputs.metrics == ("pq", "miou")
    with pytest.raises(ConfigError, match="'vpq' cannot be measured on this ground truth, expected some of pq, miou"):
        inputs.chosen(("vpq",))
    assert score(pictures, pictures)["pq"]["All"]["pq"] == 1.0
