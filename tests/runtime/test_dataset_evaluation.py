"""A data set scored by Ray workers: the numbers of one process, also when a worker dies."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pycocotools.mask as mask_tools
import pytest
import torch

from streamseg.errors import ConfigError, EvaluationError
from streamseg.evaluation.datasets.run import BLOCK, DatasetReport, Plan, evaluate_dataset
from streamseg.panoptic import panoptic_from_queries
from streamseg.runtime import dataset_evaluation
from streamseg.runtime.dataset_evaluation import evaluate_on_ray
from streamseg.segmenter import Segmenter
from streamseg.sinks.files import encode_panoptic_png
from streamseg.vocabulary import Vocabulary
from tests.evaluation.datasets import tiny_sets as tiny


@pytest.fixture(scope="module")
def many_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures for four blocks, the last one short, in ADE20K's layout. Their truth is what the model itself says of
    them, moved a little, so that overlaps are no round numbers."""
    root = tmp_path_factory.mktemp("ade20k")
    home = root / "ADEChallengeData2016"
    masks = home / "ade20k_panoptic_val"
    masks.mkdir(parents=True)
    vocabulary = Vocabulary.load("ade20k")
    place = {category.id: number for number, category in enumerate(vocabulary.categories)}
    segmenter = Segmenter.load("demo", device="cpu", short_side=64, max_long_side=96, min_objectness=0)
    panoptic, instances = [], []
    for number in range(3 * BLOCK + 3):
        name = f"ADE_val_{number:08}"
        picture = np.random.default_rng(number).integers(0, 256, (4, 6, 3), np.uint8).repeat(12, 0).repeat(12, 1)
        tiny.save(home / f"images/validation/{name}.jpg", picture)
        found = panoptic_from_queries(segmenter.segment([picture], vocabulary)[0])
        ids = np.roll(found.ids, (1, 2), axis=(0, 1))
        (masks / f"{name}.png").write_bytes(encode_panoptic_png(ids))
        labels = np.full(ids.shape, 255, np.uint8)
        segments = []
        for segment in found.segments:
            mask = ids == segment.id
            labels[mask] = place[segment.category_id]
            segments.append({"id": segment.id, "category_id": segment.category_id, "area": segment.area, "iscrowd": 0})
            if segment.isthing:
                encoded = mask_tools.encode(np.asfortranarray(mask.astype(np.uint8)))
                instances.append(
                    {
                        "id": len(instances) + 1,
                        "image_id": name,
                        "category_id": segment.category_id,
                        "iscrowd": 0,
                        "area": segment.area,
                        "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode()},
                    }
                )
        tiny.save(home / f"annotations_detectron2/validation/{name}.png", labels)
        panoptic.append({"image_id": name, "file_name": f"{name}.png", "segments_info": segments})
    images = [{"id": entry["image_id"], "height": 48, "width": 72} for entry in panoptic]
    tiny.write_json(home / "ade20k_panoptic_val.json", {"annotations": panoptic})
    tiny.write_json(home / "ade20k_instance_val.json", {"images": images, "annotations": instances})
    return root


@pytest.fixture(scope="module")
def with_ray() -> Iterator[None]:
    """One cluster for all: a connection that is there already is used."""
    pytest.importorskip("ray", reason="needs ray")
    from streamseg.runtime.cluster.joining import join

    membership = join(None)
    yield
    membership.close()


def small(root: Path, name: str = "ade20k") -> Plan:
    return Plan(name, str(root), "demo", device="cpu", short_side=64, max_long_side=96)


def alone(plan: Plan) -> DatasetReport:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return evaluate_dataset(plan)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("with_ray")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_workers_give_the_numbers_of_one_process(many_pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit; paths may be relative; progress tells the pictures that are added."""
    expected = alone(small(many_pictures))
    told: list[tuple[int, int]] = []
    monkeypatch.chdir(many_pictures)
    found = evaluate_on_ray(small(Path()), 2, None, lambda *counts: told.append(counts), threads=1)
    assert found.scores == expected.scores
    assert found.per_class == expected.per_class
    assert found.pictures == 3 * BLOCK + 3
    for name in ("PQ", "AP", "mIoU"):
        value = found.scores[name]
        assert value is not None
        assert 1 < value < 99
    assert told[-1] == (found.pictures, found.pictures)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


class DiesOnce(dataset_evaluation._Scorer):
    """Kills its own process in the midst of the second block; the mark tells the next worker not to."""

    def score(self, number: int) -> object:  # type: ignore[override]
        mark = Path(self._plan.root) / "died"
        if number == 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score(number)


@pytest.mark.slow
@pytest.mark.usefixtures("with_ray")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_worker_that_dies_costs_nothing(many_pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = alone(small(many_pictures))
    monkeypatch.setattr(dataset_evaluation, "_Scorer", DiesOnce)
    found = evaluate_on_ray(small(many_pictures), 2, None, lambda *_: None, threads=1)
    assert (many_pictures / "died").exists()
    assert found.scores == expected.scores


@pytest.mark.slow
@pytest.mark.usefixtures("with_ray")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_what_a_worker_finds_wrong_comes_through_as_it_is(many_pictures: Path) -> None:
    picture = many_pictures / "ADEChallengeData2016/ade20k_panoptic_val" / f"ADE_val_{BLOCK + 2:08}.png"
    kept = picture.rename(picture.with_suffix(".away"))
    try:
        with pytest.raises(EvaluationError, match=rf"picture {picture.stem}: cannot read .* expected a panoptic PNG"):
            evaluate_on_ray(small(many_pictures), 2, None, lambda *_: None, threads=1)
    finally:
        kept.rename(picture)


@pytest.mark.slow
@pytest.mark.usefixtures("with_ray")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_videos_are_shared_among_workers(tmp_path: Path) -> None:
    tiny.write_vipseg(tmp_path, ["0_one", "1_two", "2_three"])
    expected = alone(small(tmp_path, "vipseg"))
    found = evaluate_on_ray(small(tmp_path, "vipseg"), 2, None, lambda *_: None, threads=1)
    assert found.scores == expected.scores
    assert found.pictures == 24


def test_no_workers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="workers is 0, expected at least 1"):
        evaluate_on_ray(small(tmp_path), 0, None, lambda *_: None)


def test_a_data_set_that_is_not_there_needs_no_cluster_to_be_found_missing(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"no .*images/validation, expected the pictures of ADE20K"):
        evaluate_on_ray(small(tmp_path), 2, None, lambda *_: None)


def test_the_word_offers_workers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="workers is 0, expected at least 1"):
        dataset_evaluation.dataset_command(
            ["--name", "coco", "--root", str(tmp_path), "--workers", "0"], "evaluate dataset"
        )
