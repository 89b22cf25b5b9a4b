"""The command line of the benchmarks: `python -m pipelines.benchmark model|text|throughput|pipeline`.

Every variant runs in a process of its own, so that peak memory is its own and no compiled graph or cast weight of one
is there when the next is timed.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import ConfigError, StreamsegError
from ..fcclip.spec import get_spec
from .machine import describe_machine
from .model import VARIANTS, benchmark_model
from .pipeline import benchmark_pipeline, pipeline_settings
from .pipeline_clip import world_clip
from .text import benchmark_text
from .throughput import benchmark_throughput

__all__ = ["main", "model_table", "pipeline_table", "text_table", "throughput_table"]

STAGES = ("backbone", "pixel decoder", "mask decoder", "panoptic merge", "rest")
DEFAULT_MODELS = ("fcclip-r50", "fcclip-convnext-large")
PIPELINE_MODELS = ("demo",)
SAVES = ("jsonl", "jsonl,png", "jsonl,video")


def main(arguments: Sequence[str]) -> int:
    """0 if everything was measured, 1 if a part failed, 2 for a mistake in the call."""
    options = _parser().parse_args(arguments)
    options.model = options.model or list(PIPELINE_MODELS if options.what == "pipeline" else DEFAULT_MODELS)
    try:
        torch.set_num_threads(options.threads)
        if options.only:
            print(json.dumps(_measure(options)))
            return 0
        return _run_all(options)
    except StreamsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def _run_all(options: argparse.Namespace) -> int:
    for model in options.model:
        get_spec(model)
    if options.what == "pipeline":
        options.source = options.source or world_clip(options.frames)
    parts = [(model, variant) for model in options.model for variant in _variants(options)]
    results: list[dict[str, Any]] = []
    failed = 0
    for number, (model, variant) in enumerate(parts, start=1):
        print(f"[{number}/{len(parts)}] {model}: {variant}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "streamseg.benchmark", options.what, "--model", model, "--only", variant]
        command += ["--threads", str(options.threads), "--runs", str(options.runs), "--seconds", str(options.seconds)]
        command += ["--size", *options.size, "--batch", *map(str, options.batch), "--device", options.device]
        command += ["--frames", str(options.frames), "--soak", str(options.soak)]
        for name in ("weights", "source"):
            if getattr(options, name):
                command += [f"--{name}", str(getattr(options, name))]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            failed += 1
        else:
            results += json.loads(done.stdout.splitlines()[-1])
    report = {"machine": describe_machine(), options.what: results}
    table = _markdown(options.what, report)
    print(table)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        options.output.with_suffix(".md").write_text(table + "\n", encoding="utf-8")
    return 1 if failed else 0


def _variants(options: argparse.Namespace) -> list[str]:
    if options.what == "pipeline":
        return list(options.save)
    if options.what != "model":
        return [options.what] if options.what == "text" else ["fp32", "bf16", "bf16 compiled"]
    known = [variant.name for variant in VARIANTS]
    for name in options.variant or []:
        if name not in known:
            raise ConfigError(f"unknown variant {name!r}, expected one of {', '.join(map(repr, known))}")
    return options.variant or known


def _measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    [model] = options.model
    if options.what == "throughput":
        rows = benchmark_throughput(
            model,
            precision=options.only.split()[0],
            compiled="compiled" in options.only,
            sizes_hw=[_size(size) for size in options.size],
            batches=options.batch,
            device=options.device,
            runs=options.runs,
            weights=options.weights,
        )
        return [row.to_dict() for row in rows]
    if options.what == "pipeline":
        settings = pipeline_settings(model, options.source, options.only, options.frames, weights=options.weights)
        return [benchmark_pipeline(settings, runs=options.runs, soak=options.soak).to_dict()]
    if options.what == "text":
        return [benchmark_text(get_spec(model), seconds=options.seconds)]
    [variant] = [variant for variant in VARIANTS if variant.name == options.only]
    sizes = map(_size, options.size)
    timings = (benchmark_model(model, variant, size_hw=s, runs=options.runs, weights=options.weights) for s in sizes)
    return [timing.to_dict() for timing in timings]


def _markdown(what: str, report: dict[str, Any]) -> str:
    machine = report["machine"]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("torch", "open_clip_torch", "timm"))
    head = f"{machine['cpu']}, {machine['threads']} threads, Python {machine['python']}, {versions}, {machine['date']}."
    return f"{head}\n\n{TABLES[what](report[what])}"


def model_table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row per model and variant."""
    columns = (
        "model",
        "variant",
        "input",
        "trunk, s",
        "frame, s",
        "**trunks a frame** (range)",
        f"of it: {' / '.join(STAGES)}",
        "peak memory: loading / running, GB",
        "first frame, s",
    )
    return "\n".join([_row(columns), _row(["---"] * len(columns)), *(_row(_model_cells(row)) for row in results)])


def _model_cells(row: dict[str, Any]) -> list[str]:
    height, width = row["size_hw"]
    return [
        row["model"],
        row["variant"],
        f"{height}x{width}",
        f"{row['trunk_seconds']:.3f}",
        f"{row['frame_seconds']:.3f}",
        f"**{row['trunks']:.2f}** ({row['trunks_low']:.2f}-{row['trunks_high']:.2f})",
        " / ".join(f"{row['stages'][name]:.2f}" for name in STAGES) if row["stages"] else "one graph",
        f"{row['load_peak_bytes'] / 1e9:.1f} / {row['run_peak_bytes'] / 1e9:.1f}",
        f"{row['first_frame_seconds']:.0f}",
    ]


def text_table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row per model."""
    columns = (
        "model",
        "full-length encoder, prompts/s",
        "streamseg, prompts/s",
        "**speed-up**",
        "largest difference",
    )
    rows = [
        [
            row["model"],
            f"{row['full_length_prompts_per_second']:.0f}",
            f"{row['prompts_per_second']:.0f}",
            f"**{row['speedup']:.1f}**",
            f"{row['max_difference']:.1e}",
        ]
        for row in results
    ]
    return "\n".join([_row(columns), _row(["---"] * len(columns)), *map(_row, rows)])


def throughput_table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row per model, precision, size and batch."""
    columns = (
        "model",
        "precision",
        "input",
        "batch",
        "image pass, frames/s",
        "to panoptic map, frames/s",
        "TFLOP a frame",
        "share of peak",
        "device memory, GB",
    )
    rows = [
        [
            row["model"],
            f"{row['precision']}{' compiled' if row['compiled'] else ''}",
            "x".join(map(str, row["size_hw"])),
            str(row["batch"]),
            f"{row['image_pass_fps']:.1f}",
            f"{row['frame_fps']:.1f}",
            f"{row['flop_per_frame'] / 1e12:.2f}",
            "unknown" if row["share_of_peak"] is None else f"{row['share_of_peak']:.0%}",
            "-" if row["peak_memory_bytes"] is None else f"{row['peak_memory_bytes'] / 1e9:.1f}",
        ]
        for row in results
    ]
    return "\n".join([_row(columns), _row(["---"] * len(columns)), *map(_row, rows)])


def pipeline_table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row per model and choice of sinks, and below it what each part takes by itself."""
    columns = (
        "model",
        "saved",
        "input",
        "segmenter alone, frames/s",
        "pipeline, frames/s",
        "**pipeline / segmenter** (range)",
        "CPU a frame: segmenter / pipeline, ms",
        "peak memory, GB",
        "growth over frames",
        "by itself, ms a frame",
    )
    return "\n".join([_row(columns), _row(["---"] * len(columns)), *(_row(_pipeline_cells(row)) for row in results)])


def _pipeline_cells(row: dict[str, Any]) -> list[str]:
    height, width = row["size_hw"]
    growth = row["growth"]
    return [
        row["model"],
        row["save"],
        f"{height}x{width}",
        f"{row['segmenter_fps']:.1f}",
        f"{row['pipeline_fps']:.1f}",
        f"**{row['ratio']:.2f}** ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})",
        f"{row['segmenter_cpu_ms']:.0f} / {row['pipeline_cpu_ms']:.0f}",
        f"{row['peak_bytes'] / 1e9:.2f}",
        f"{growth['bytes_per_1000_frames'] / 1e6:+.2f} MB per 1000 over {growth['frames']}" if growth else "-",
        ", ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in row["stages"].items()),
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


TABLES = {"model": model_table, "text": text_table, "throughput": throughput_table, "pipeline": pipeline_table}


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise ConfigError(f"size is {text!r}, expected HEIGHTxWIDTH in pixels, such as 480x640")
    return int(height), int(width)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.benchmark",
        description="Measure as ratios in one run: frames in multiples of the bare CLIP trunk, text against the "
        "full-length encoder, the pipeline against the segmenter alone. Leave the machine alone meanwhile.",
    )
    parser.add_argument("what", choices=tuple(TABLES))
    parser.add_argument(
        "--model", nargs="+", help=f"default: {', '.join(DEFAULT_MODELS)}; pipeline: {', '.join(PIPELINE_MODELS)}"
    )
    parser.add_argument("--variant", nargs="+", help=f"default: all of {[variant.name for variant in VARIANTS]}")
    parser.add_argument("--size", nargs="+", default=["480x640"], help="pictures and network input, HEIGHTxWIDTH")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4, 8, 16], help="throughput: frames per pass")
    parser.add_argument("--device", default="auto", help="throughput: auto (default), cpu, cuda, cuda:N")
    parser.add_argument("--source", help="pipeline: a recording; default: 720p H.264 of the procedural world")
    parser.add_argument("--frames", type=int, default=150, help="pipeline: of a run (default: %(default)s)")
    parser.add_argument(
        "--save", nargs="+", default=list(SAVES), help="pipeline: sinks of each run (default: %(default)s)"
    )
    parser.add_argument("--soak", type=int, default=0, help="pipeline: frames of a long run, for the growth of memory")
    parser.add_argument("--runs", type=int, default=7, help="counted turns (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="text: time per model (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--weights", type=Path, help="a checkpoint, instead of deterministic weights")
    parser.add_argument("--output", type=Path, help="write NAME.md and NAME.json")
    parser.add_argument("--only", help=argparse.SUPPRESS)  # one part, in this process, as JSON
    return parser
