"""The report: the worst frames and tracks are found, drawn, and written as HTML or a PNG."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.cli import main as streamseg
from streamseg.evaluation.command import main
from streamseg.evaluation.metrics.compared_frame import ComparedFrame
from streamseg.evaluation.metrics.panoptic_quality import SegmentInfo
from streamseg.evaluation.reports.fault_pictures import ERRORS, draw_comparison
from streamseg.evaluation.reports.faults import Faults
from streamseg.evaluation.speed_command import write_sequence
from streamseg.rle import encode_mask
from streamseg.world.names import world_vocabulary
from tests.evaluation.metrics.random_videos import CATEGORIES, PERSON, SKY, random_video
from tests.recorded import run_folder, world_results


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ground truth and predictions of a short video."""
    made = tmp_path_factory.mktemp("video")
    write_sequence(made, 9, (48, 64))
    return made


def call(folder: Path) -> list[str]:
    return ["--ground-truth", str(folder / "gt"), "--predictions", str(folder / "pred")]


def test_the_report_shows_frames_and_tracks(folder: Path, tmp_path: Path) -> None:
    html, png = tmp_path / "new" / "report.html", tmp_path / "report.png"
    for path in (html, png):
        assert main([*call(folder), "--quiet", "--metrics", "pq", "--report", str(path)]) == 0
    text = html.read_text()
    assert text.count("<img") == 6 + 5
    assert "video / 0000" in text
    assert text.index("Worst frames") < text.index("Worst tracks") < text.index("video / true #")
    assert "true tracks that lose the most pixels" in text
    assert "http" not in text.replace("http-equiv", "")
    picture = cv2.imread(str(png))
    assert picture is not None
    assert picture.shape[1] > 3 * 480
    assert len(np.unique(picture[::9, ::9].reshape(-1, 3), axis=0)) > 50


def test_the_report_is_the_same_every_time(folder: Path, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        assert main([*call(folder), "--quiet", "--metrics", "pq", "--report", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_worst_are_kept_and_no_others() -> None:
    faults = Faults(CATEGORIES, frames=3, tracks=2)
    qualities = []
    for number, frame in enumerate(random_video(5, length=12)):
        one = Faults(CATEGORIES, frames=1)
        compared = ComparedFrame.of(*frame)
        one.add_frame("v", str(number), compared)
        qualities.append(one.frames[0].quality)
        faults.add_frame("v", str(number), compared)
    assert [worst.quality for worst in faults.frames] == sorted(qualities)[:3]
    faults.end_video("v")
    assert len(faults.tracks) == 2


def test_the_worst_tracks_lose_the_most_pixels() -> None:
    """Of ten pixels all, of a hundred a half, of thirty all."""
    truth = np.repeat(np.array([1, 2, 3], np.int32), [10, 100, 30])[None]
    predicted = np.where((truth == 2) & (np.arange(140) < 60), 7, 0).astype(np.int32)
    faults = Faults(CATEGORIES, tracks=2)
    listed = [SegmentInfo(id_, PERSON) for id_ in (1, 2, 3)]
    for _ in range(3):
        faults.add_frame("v", "0", ComparedFrame.of(truth, listed, predicted, [SegmentInfo(7, PERSON)]))
    faults.end_video("v")
    assert [(worst.video, worst.loss.id, worst.loss.lost) for worst in faults.tracks] == [("v", 2, 0.75), ("v", 3, 1.0)]


def write_mots(folder: Path, side: str, ids: dict[int, int]) -> None:
    """Two frames with a car each, 2001 in the first, and what it is called in either."""
    (folder / side).mkdir(parents=True)
    mask = np.zeros((30, 40), np.bool_)
    mask[5:20, 10:30] = True
    rle = encode_mask(mask)["counts"]
    lines = [f"{frame} {id_} 1 30 40 {rle}" for frame, id_ in ids.items()]
    (folder / side / "0001.txt").write_text("\n".join(lines) + "\n")


def test_tracks_as_text_have_a_report_too(tmp_path: Path) -> None:
    write_mots(tmp_path, "gt", {1: 2001, 2: 2001})
    write_mots(tmp_path, "pred", {1: 2001, 2: 2002})
    assert main([*call(tmp_path), "--quiet", "--report", str(tmp_path / "report.html")]) == 0
    assert (
        "0001 / true #2001 (car): split over #2001, #2002. 600 pixels, 50.00 %"
        in (tmp_path / "report.html").read_text()
    )


def test_the_report_of_a_run_shows_tracks_of_all_its_streams(tmp_path: Path) -> None:
    """Records are read twice, stream by stream; against its own export no track loses anything."""
    results, words = world_results(3), world_vocabulary("shapes")
    run = run_folder(tmp_path, {"door": (results, words), "cam": (results[:2], words)})
    assert streamseg(["export", str(run), "--format", "vps", "--quiet"]) == 0
    report = tmp_path / "report.html"
    sides = ["--ground-truth", str(run / "vps"), "--predictions", str(run)]
    assert main([*sides, "--quiet", "--metrics", "pq", "--report", str(report)]) == 0
    captions = re.findall(r"<figcaption>(\w+ / true .*?)</figcaption>", report.read_text())
    assert len(captions) == 5
    assert all(caption.endswith("pixels, 0.00 % of its quality lost") for caption in captions)


def test_pictures_have_no_tracks(folder: Path, tmp_path: Path) -> None:
    """Ids mean nothing in the next picture."""
    for side, name in (("gt", "panoptic_gt.json"), ("pred", "pred.json")):
        document = json.loads((folder / side / name).read_text())
        video = document["annotations"][0]["annotations"]
        pngs = tmp_path / side / "maps"
        shutil.copytree(next((folder / side).glob("*/video")), pngs)
        images = [{"id": each["image_id"], "file_name": each["file_name"]} for each in video]
        pictures = {"annotations": video, "images": images, "categories": document["categories"]}
        (tmp_path / side / "maps.json").write_text(json.dumps(pictures))
    sides = [str(tmp_path / side / "maps.json") for side in ("gt", "pred")]
    report = tmp_path / "report.html"
    assert main(["--ground-truth", sides[0], "--predictions", sides[1], "--quiet", "--report", str(report)]) == 0
    assert "Worst frames" in report.read_text()
    assert "true #" not in report.read_text()
    assert "true tracks" not in report.read_text()


def test_every_kind_of_error_has_its_colour() -> None:
    truth = np.repeat(np.array([[1, 1, 2, 3, 3, 0]], np.int32), 4, axis=0)
    predicted = np.repeat(np.array([[7, 7, 8, 9, 0, 9]], np.int32), 4, axis=0)
    predicted[:1, :1] = 6
    frame = ComparedFrame.of(
        truth,
        [SegmentInfo(1, PERSON), SegmentInfo(2, PERSON), SegmentInfo(3, SKY)],
        predicted,
        [SegmentInfo(6, PERSON), SegmentInfo(7, PERSON), SegmentInfo(8, SKY), SegmentInfo(9, SKY)],
    )
    errors = draw_comparison(frame, {PERSON: "person", SKY: "sky"})[:, -480:]
    seen = {tuple(color) for color in np.unique(errors.reshape(-1, 3), axis=0).tolist()}
    assert seen == set(ERRORS.values())
