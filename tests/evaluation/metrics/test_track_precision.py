"""Average precision of tracks: against pycocotools where one frame makes a video a picture, and rule by rule."""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from streamseg.errors import EvaluationError
from streamseg.evaluation.inputs.youtube_vis import YoutubeVisTruth, find_documents, score_tracks
from streamseg.evaluation.metrics.track_precision import AREAS, PredictedTrack, TrackPrecision, TrueTrack
from streamseg.rle import decode_mask, decode_runs

Mask = npt.NDArray[np.bool_]
Document = Any

CATEGORIES = [{"id": id_, "name": f"c{id_}"} for id_ in (0, 3, 7)]
NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


def rle(mask: Mask) -> dict[str, Any]:
    found = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": found["size"], "counts": found["counts"].decode()}


def random_sets(seed: int, frames: int) -> tuple[Document, Document]:
    """Overlapping boxes of every size, with ties in score and predictions of several per object."""
    rng = np.random.default_rng(seed)
    size = 60, 70
    truth: list[Document] = []
    predicted: list[Document] = []
    for video in range(1, 9):
        for _ in range(int(rng.integers(0, 6))):
            box, category = rng.integers(2, 40, 4), int(rng.choice([0, 3, 7], p=[0.5, 0.4, 0.1]))
            masks = [rle(_box(size, box + time)) for time in range(frames)]
            areas = [int(mask_utils.area(mask)) for mask in masks]
            truth.append(
                {"id": len(truth) + 1, "video_id": video, "category_id": category, "iscrowd": 0, "segmentations": masks}
                | {"areas": areas}
            )
            for _ in range(int(rng.integers(0, 5))):
                shift = rng.integers(-2, 3, 4)
                guess = [rle(_box(size, box + time + shift)) if rng.random() < 0.9 else None for time in range(frames)]
                kind = category if rng.random() < 0.9 else 3
                score = float(np.round(rng.random(), 1))
                predicted.append({"video_id": video, "category_id": kind, "score": score, "segmentations": guess})
    videos = [{"id": video, "length": frames, "width": size[1], "height": size[0]} for video in range(1, 9)]
    return {"videos": videos, "annotations": truth, "categories": CATEGORIES}, predicted


def _box(size: tuple[int, int], box: npt.NDArray[np.int64]) -> Mask:
    top, left, height, width = box.tolist()
    mask = np.zeros(size, bool)
    mask[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)] = True
    return mask


def coco_scores(truth: Document, predicted: Document) -> list[float]:
    """pycocotools on one frame, with the areas and limits of YouTube-VIS."""
    images = [{"id": video["id"], "width": video["width"], "height": video["height"]} for video in truth["videos"]]
    annotations = [
        {"id": t["id"], "image_id": t["video_id"], "category_id": t["category_id"], "iscrowd": 0, "area": t["areas"][0]}
        | {"segmentation": t["segmentations"][0], "bbox": [0, 0, 1, 1]}
        for t in truth["annotations"]
    ]
    results = [
        {"image_id": p["video_id"], "category_id": p["category_id"], "score": p["score"]}
        | {"segmentation": p["segmentations"][0] or rle(np.zeros((60, 70), bool))}
        for p in predicted
    ]
    with redirect_stdout(StringIO()):
        coco = COCO()
        coco.dataset = {"images": images, "annotations": annotations, "categories": CATEGORIES, "info": {}}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "segm")
        evaluation.params.areaRng = [list(area) for area in AREAS.values()]
        evaluation.params.maxDets = [1, 10, 100]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def write(folder: Path, truth: Document, predicted: Document) -> tuple[YoutubeVisTruth, Path]:
    (folder / "ytvis_gt.json").write_text(json.dumps(truth))
    (folder / "ytvis_pred.json").write_text(json.dumps(predicted))
    return YoutubeVisTruth.read(folder / "ytvis_gt.json"), folder / "ytvis_pred.json"


@pytest.mark.parametrize("seed", range(6))
def test_one_frame_scores_as_pycocotools_does(seed: int, tmp_path: Path) -> None:
    truth, predicted = random_sets(seed, 1)
    found = score_tracks(*write(tmp_path, truth, predicted)).to_dict()
    assert [found[name] for name in NAMES] == pytest.approx(coco_scores(truth, predicted), abs=1e-9)
    assert 0 < found["AP"] < 1


@pytest.mark.parametrize("seed", range(3))
def test_iou_of_tracks_is_the_sum_over_frames(seed: int, tmp_path: Path) -> None:
    """Against matches of plain masks, laid side by side: then a track is one large picture."""
    truth, predicted = random_sets(seed, 5)
    found = score_tracks(*write(tmp_path, truth, predicted)).to_dict()
    for track in truth["annotations"]:
        track["areas"] = [sum(track["areas"]) / 5]  # pycocotools takes areas at their word
        track["segmentations"] = [_side_by_side(track["segmentations"])]
    for track in predicted:
        track["segmentations"] = [_side_by_side(track["segmentations"])]
    beside = coco_scores(truth, predicted)
    compared = [place for place, name in enumerate(NAMES) if name[-1] not in "sml"]
    assert [found[NAMES[place]] for place in compared] == pytest.approx([beside[place] for place in compared], abs=1e-9)


def _side_by_side(masks: list[dict[str, Any] | None]) -> dict[str, Any]:
    return rle(np.hstack([decode_mask(mask) if mask else np.zeros((60, 70), bool) for mask in masks]))


@pytest.mark.parametrize("seed", range(5))
def test_runs_of_a_mask(seed: int) -> None:
    mask = np.random.default_rng(seed).random((7, 9)) < (0.0, 0.1, 0.5, 0.9, 1.0)[seed]
    starts, ends = decode_runs(rle(mask))
    rebuilt = np.zeros(mask.size, bool)
    for start, end in zip(starts, ends, strict=True):
        assert start < end
        rebuilt[start:end] = True
    assert np.array_equal(rebuilt.reshape(9, 7).T, mask)
    plain = np.diff(np.flatnonzero(np.diff(mask.T.ravel(), prepend=False, append=not mask[-1, -1])), prepend=0).tolist()
    assert [x.tolist() for x in decode_runs({"size": [7, 9], "counts": plain})] == [starts.tolist(), ends.tolist()]


# --- one rule at a time


def scores(truth: list[TrueTrack], predicted: list[PredictedTrack], iou: list[list[float]]) -> dict[str, Any]:
    precision = TrackPrecision([1])
    precision.add(truth, predicted, np.array(iou).reshape(len(truth), len(predicted)))
    return precision.result().to_dict()


def test_an_iou_of_exactly_half_matches() -> None:
    found = scores([TrueTrack(1, False, 9.0)], [PredictedTrack(1, 0.5, 9.0)], [[0.5]])
    assert (found["AP50"], found["AP75"]) == (pytest.approx(1.0), 0.0)
    assert found["AR1"] == pytest.approx(0.1)


def test_several_predictions_may_lie_on_one_crowd() -> None:
    truth = [TrueTrack(1, True, 9.0), TrueTrack(1, False, 9.0)]
    predicted = [PredictedTrack(1, score, 9.0) for score in (0.9, 0.8, 0.7)]
    found = scores(truth, predicted, [[0.9, 0.9, 0.0], [0.0, 0.0, 1.0]])
    assert found["AP50"] == pytest.approx(1.0)  # neither true nor false


def test_a_track_is_no_match_for_a_crowd_while_another_is_free() -> None:
    truth = [TrueTrack(1, True, 9.0), TrueTrack(1, False, 9.0)]
    assert scores(truth, [PredictedTrack(1, 0.9, 9.0)], [[1.0], [0.6]])["AP50"] == pytest.approx(1.0)


def test_equal_scores_keep_their_order() -> None:
    truth = [TrueTrack(1, False, 9.0)]
    right, wrong = PredictedTrack(1, 0.5, 9.0), PredictedTrack(1, 0.5, 9.0)
    assert scores(truth, [right, wrong], [[1.0, 0.0]])["AP"] == pytest.approx(1.0)
    assert scores(truth, [wrong, right], [[0.0, 1.0]])["AP"] == pytest.approx(0.5)


def test_nothing_predicted_and_nothing_true() -> None:
    assert scores([TrueTrack(1, False, 9.0)], [], []) == {"error": "IndexError (empty result list)"}
    found = scores([], [PredictedTrack(1, 0.5, 9.0)], [])
    assert found["AP"] == found["AR100"] == found["per_class"]["1"]["AP"] == -1.0


# --- documents


def test_results_are_found_by_name(tmp_path: Path) -> None:
    assert find_documents(tmp_path, tmp_path) is None
    write(tmp_path, *random_sets(0, 1))
    (tmp_path / "ytvis_pred_dense.json").write_text("[]")
    found = find_documents(tmp_path, tmp_path)
    assert found is not None
    assert list(found[1]) == ["video_ap", "video_ap_dense"]


def _set(track: Document, **values: Any) -> None:
    track.update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, p: p[0].pop("score"), "is no YouTube-VIS result (KeyError: 'score')"),
        (lambda _, p: _set(p[0], video_id=77), "predicts video 77, expected one of those in"),
        (lambda _, p: _set(p[0], segmentations="x"), "has a track without a list of segmentations"),
        (lambda t, _: t.pop("videos"), "is no YouTube-VIS ground truth (KeyError: 'videos')"),
        (lambda t, _: _set(t["annotations"][0], id=0), "has a track of id 0, expected ids from 1"),
        (lambda _, p: [_set(x, segmentations=[None] * 3) for x in p], "frames, expected the same"),
        (lambda _, p: [_set(x, segmentations=[{"size": [2, 2], "counts": "?"}]) for x in p], "mask"),
        (lambda _, p: [_set(x, segmentations=[rle(np.ones((2, 2), bool))]) for x in p], "expected one size"),
    ],
)
def test_documents_that_make_no_sense_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    truth, predicted = random_sets(1, 1)
    change(truth, predicted)
    with pytest.raises(EvaluationError) as caught:
        score_tracks(*write(tmp_path, truth, predicted))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
