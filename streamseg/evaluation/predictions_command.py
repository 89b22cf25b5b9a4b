"""`evaluate`: predictions against ground truth, by any of the field's metrics."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .arguments import Parser
from .inputs.opening import Inputs, open_inputs
from .inputs.sides import Predictions, Truth, feed
from .inputs.youtube_vis import YoutubeVisTruth, score_tracks
from .metrics.compared_frame import ComparedFrame
from .metrics.video_scores import METRICS, VideoScores
from .progress import ProgressBar
from .reports.fault_report import check_report_path, write_report
from .reports.faults import Faults
from .reports.tables import print_table, score_tables, write_json
from .reports.track_moments import Moment, find_moments

__all__ = ["main"]

Document = dict[str, Any]

LAST = ("miou", "vc", "details")
IN_TIME = {"stq", "tracking"}  # where one of them can be measured, ids mean something from frame to frame
MOST_PICTURED = 5  # of the worst tracks


def main(arguments: Sequence[str], program: str, commands: Sequence[str]) -> int:
    """Score, print the tables, write the documents."""
    options = _parser(program, commands).parse_args(arguments)
    if options.report is not None:
        check_report_path(options.report)
    inputs = open_inputs(options.ground_truth, options.predictions)
    metrics = inputs.chosen(_split(options.metrics))
    labels = dict(inputs.truth.labels) if inputs.truth is not None else {}
    faults = _faults(inputs.truth) if inputs.truth is not None and options.report is not None else None
    document = _score(inputs, metrics, faults, details=options.details)
    if not options.quiet:
        for made in score_tables(document, labels):
            print_table(made)
    if options.output is not None:
        write_json(options.output, document)
    if options.report is not None:
        title = f"{options.predictions} against {options.ground_truth}"
        write_report(options.report, title, document, labels, faults or Faults({}), _moments(inputs, faults))
    return 0


def _faults(truth: Truth) -> Faults:
    return Faults(truth.categories) if IN_TIME & set(truth.metrics) else Faults(truth.categories, tracks=0)


def _moments(inputs: Inputs, faults: Faults | None) -> list[list[Moment]]:
    if inputs.truth is None or inputs.predictions is None or faults is None:
        return []
    return find_moments(inputs.truth, inputs.predictions, faults.tracks[:MOST_PICTURED])


def _score(inputs: Inputs, metrics: Sequence[str], faults: Faults | None, *, details: bool) -> Document:
    document: Document = {}
    of_frames = [metric for metric in metrics if metric != "ap" or inputs.tracks is None]
    if inputs.truth is not None and inputs.predictions is not None and of_frames:
        document |= _score_frames(inputs.truth, inputs.predictions, of_frames, faults, details=details)
    if "ap" in metrics and inputs.tracks is not None:
        path, results = inputs.tracks
        truth = YoutubeVisTruth.read(path)
        document |= {name: score_tracks(truth, result).to_dict() for name, result in results.items()}
    # In the order in which the reference numbers are written, what they do not have behind it.
    return dict(sorted(document.items(), key=lambda entry: entry[0] in LAST))


def _score_frames(
    truth: Truth, predictions: Predictions, metrics: Sequence[str], faults: Faults | None, *, details: bool
) -> Document:
    scores = VideoScores(truth.categories, truth.labels, metrics=metrics, keep_videos=details)
    with ProgressBar("frames") as bar:

        def frame_added(video: str, name: str, frame: ComparedFrame) -> None:
            bar(scores.frames, truth.frame_count or scores.frames)
            if faults is not None:
                faults.add_frame(video, name, frame)

        def video_ended(video: str) -> None:
            if faults is not None:
                faults.end_video(video)

        feed(scores, truth, predictions, video_ended=video_ended, frame_added=frame_added)
    return scores.to_dict()


def _split(given: Sequence[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    return tuple(dict.fromkeys(name for text in given for name in text.split(",") if name))


def _parser(program: str, commands: Sequence[str]) -> argparse.ArgumentParser:
    parser = Parser(
        prog=program,
        description="Score predictions against ground truth: panoptic pictures (COCO's layout), panoptic video "
        "(VIPSeg's), tracks (YouTube-VIS JSON, MOTS text), and runs of streamseg as predictions. "
        f"`{program} {' | '.join(commands)}` evaluates something else.",
    )
    parser.add_argument("--ground-truth", type=Path, required=True, metavar="DIR", help="or the JSON document in it")
    parser.add_argument(
        "--predictions", type=Path, required=True, metavar="DIR", help="or the JSON document in it, or a run's folder"
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help=f"some of {', '.join(METRICS)}; default: all that the ground truth allows",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the scores as JSON")
    parser.add_argument("--details", action="store_true", help="in the JSON, the scores of each video too")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="an .html or .png with the worst frames and tracks in pictures"
    )
    parser.add_argument("--quiet", action="store_true", help="print no tables")
    return parser
