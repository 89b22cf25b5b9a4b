"""`python -m pipelines.evaluate tracking`: our association against the published one, on the same queries.

Three actions. `suite` (the default) fills the tables on the reporting seeds, `ablations` measures what each part of the
tracker is worth, `tune` searches the settings on the tuning seeds.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ...config.tracking import TrackingSettings
from ...errors import ConfigError, EvaluationError
from ..progress import ProgressBar
from ..reports.tables import print_table, write_json
from .ablations import ablations
from .machine import describe
from .pictures import picture_sequences
from .scenarios import SCENARIOS, Purpose, Sequence, sequences
from .scores import mean_row
from .suite import FUSED_MINVIS, PERFECT, Eyes, Eyesight, Method, run_suite
from .table import Rows, rows_as_dict, suite_markdown, suite_table, variant_table, variants_markdown
from .tune import Trial, search

__all__ = ["main"]

EYES: tuple[Eyes, ...] = ("demo", "oracle")
SEEN_BY = {"demo": "queries of the demo model", "oracle": "oracle queries"}
METHODS: Mapping[str, Method] = {
    "streamseg": TrackingSettings(),
    "minvis": TrackingSettings(method="minvis"),
    FUSED_MINVIS: FUSED_MINVIS,
    PERFECT: PERFECT,
}


@dataclass(slots=True)
class Report:
    """What an action found: a document for programs, and sections for people."""

    document: dict[str, Any] = field(default_factory=dict)
    sections: list[str] = field(default_factory=list)

    def markdown(self, title: str, command: str) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in describe().items())
        return "\n".join([f"# {title}\n", f"`{command}`\n", f"{facts}. {LEGEND}\n", *self.sections])


LEGEND = (
    "Shares in percent. IDSW: per scenario, its sequences together; flips: per minute of video; AssA shown and named: "
    "over true things where they are shown; means: over scenarios"
)


def main(arguments: Several[str], program: str) -> int:
    """0 when done.

    Raises:
        ConfigError: a number is out of range.
        EvaluationError: a file cannot be read or written.
    """
    options = _parser(program).parse_args(arguments)
    if options.trials < 1 or options.seed < 0:
        raise ConfigError(
            f"--trials is {options.trials} and --seed {options.seed}, expected at least one trial and a seed from 0 on"
        )
    torch.set_num_threads(1)  # sums in one order, whatever the number of cores
    title, action = ACTIONS[options.action]
    report = action(options)
    if options.output:
        command = " ".join([program, *arguments])
        write_json(options.output.with_suffix(".json"), {"command": command, **describe(), **report.document})
        _write(options.output.with_suffix(".md"), report.markdown(title, command))
    return 0


def _suite(options: argparse.Namespace) -> Report:
    """Every method on every scenario, for both kinds of queries, and for real pictures."""
    report, purpose = Report(), _purpose(options)
    for eyes in options.queries:
        rows = _scored(list(sequences(purpose, tuple(options.scenarios))), METHODS, eyes, options)
        _add(report, eyes, f"{SEEN_BY[eyes]}, {purpose} seeds", rows)
    if options.pictures is not None:
        if (options.pictures / "panoptic_examples.json").exists():
            rows = _scored(picture_sequences(options.pictures), METHODS, "oracle", options)
            _add(report, "pictures", "pseudo-video of real pictures, oracle queries", rows)
        else:
            print(f"pictures skipped: there is no panoptic_examples.json in {options.pictures}", file=sys.stderr)
            report.document["pictures"] = None
    return report


def _purpose(options: argparse.Namespace) -> Purpose:
    return "tuning" if options.tuning_seeds else "reporting"


def _add(report: Report, key: str, title: str, rows: Rows) -> None:
    print_table(suite_table(title, rows))
    report.document[key] = rows_as_dict(rows)
    report.sections.append(f"## {title[0].upper()}{title[1:]}\n\n{suite_markdown(rows)}")


def _ablations(options: argparse.Namespace) -> Report:
    """The tracker without one part at a time, over the mean of all scenarios."""
    report, purpose = Report(), _purpose(options)
    for eyes in options.queries:
        chosen = list(sequences(purpose, tuple(options.scenarios)))
        rows = _scored(chosen, ablations(TrackingSettings()), eyes, options)
        title = f"{SEEN_BY[eyes]}, {purpose} seeds"
        print_table(variant_table(title, rows))
        report.document[eyes] = rows_as_dict(rows)
        report.sections.append(f"## {title[0].upper()}{title[1:]}\n\n{variants_markdown(rows)}")
    return report


def _tune(options: argparse.Namespace) -> Report:
    """Mean STQ over scenarios and kinds of queries, climbed on the tuning seeds."""
    chosen = list(sequences("tuning", tuple(options.scenarios)))
    eyesights = [Eyesight(eyes, options.cache, keep=True) for eyes in options.queries]

    def score(settings: TrackingSettings) -> float:
        runs = (run_suite(chosen, {"": settings}, eyesight, metrics=("stq",)) for eyesight in eyesights)
        means = [mean_row([by_method[""] for by_method in rows.values()]).stq for rows in runs]
        return sum(means) / len(means)

    found = search(score, TrackingSettings(), trials=options.trials, seed=options.seed, on_trial=_print_trial)
    document = found.to_dict()
    lines = [f"| {name} | {change['from']:g} | {change['to']:g} |\n" for name, change in document["changed"].items()]
    head = "| setting | from | to |\n| --- | --- | --- |\n"
    summary = f"Mean STQ {100 * found.start_score:.2f} to {100 * found.best_score:.2f} in {len(found.trials)} trials."
    print(summary)
    return Report(document, [f"{summary}\n\n{head}{''.join(lines)}"])


def _print_trial(trial: Trial) -> None:
    print(f"{trial.setting}={trial.value:g}: {100 * trial.score:.2f}{' kept' if trial.kept else ''}", flush=True)


def _scored(chosen: Several[Sequence], methods: Mapping[str, Method], eyes: Eyes, options: argparse.Namespace) -> Rows:
    with ProgressBar(f"sequences, {eyes}") as progress:
        return run_suite(chosen, methods, Eyesight(eyes, options.cache), progress=progress)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error.strerror or error}; choose another --output") from None


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Score association over time on procedural sequences, one difficulty at a time: ours, the "
        "published baseline, and perfect identities, on the same queries and with the same merge.",
    )
    names = [scenario.name for scenario in SCENARIOS]
    add = parser.add_argument
    add("action", nargs="?", choices=tuple(ACTIONS), default="suite", help="default: %(default)s")
    add("--queries", nargs="+", choices=EYES, default=list(EYES), help="whose (default: both)")
    add("--scenarios", nargs="+", choices=names, default=names, metavar="NAME", help=f"some of {', '.join(names)}")
    add("--tuning-seeds", action="store_true", help="take the tuning seeds instead of the reporting ones")
    add("--pictures", type=Path, metavar="DIR", help="COCO's panoptic sample: pseudo-video of its pictures too")
    add("--cache", type=Path, default=Path("runs/tracking"), metavar="DIR", help="keeps queries (default: %(default)s)")
    add("--trials", type=int, default=64, help="of tune (default: %(default)s)")
    add("--seed", type=int, default=0, help="of tune (default: %(default)s)")
    add("--output", type=Path, metavar="STEM", help="write STEM.json and STEM.md")
    return parser


ACTIONS: Mapping[str, tuple[str, Callable[[argparse.Namespace], Report]]] = {
    "suite": ("Tracking: the suite", _suite),
    "ablations": ("Tracking: what each part is worth", _ablations),
    "tune": ("Tracking: the search for settings", _tune),
}
