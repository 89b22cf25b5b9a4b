"""The command line of the benchmarks: `python -m pipelines.benchmark model|text|throughput|pipeline|memory|ray|soak`.

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
from .pipeline_memory import benchmark_memory
from .ray_table import ray_table
from .soak import SoakOptions
from .soak_table import soak_table
from .tables import memory_table, model_table, pipeline_table, text_table, throughput_table
from .text import benchmark_text
from .throughput import benchmark_throughput

__all__ = ["main"]

DEFAULT_MODELS = ("fcclip-r50", "fcclip-convnext-large")
SMALL_MODELS = ("demo",)  # where a slow one would hide what is measured
ON_DEMO = ("pipeline", "memory", "ray", "soak")
ON_CLIP = ("pipeline", "memory", "ray")
RAY_PARTS = ("overhead", "fairness", "latency", "batching")
SAVES = ("jsonl", "jsonl,png", "jsonl,video")


def main(arguments: Sequence[str]) -> int:
    """0 if everything was measured, 1 if a part failed, 2 for a mistake in the call."""
    options = _parser().parse_args(arguments)
    options.model = options.model or list(SMALL_MODELS if options.what in ON_DEMO else DEFAULT_MODELS)
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
    if options.what in ON_CLIP:
        options.source = options.source or world_clip(options.frames)
    parts = [(model, variant) for model in options.model for variant in _variants(options)]
    results: list[dict[str, Any]] = []
    failed = 0
    for number, (model, variant) in enumerate(parts, start=1):
        print(f"[{number}/{len(parts)}] {model}: {variant}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "streamseg.benchmark", options.what, "--model", model, "--only", variant]
        command += ["--threads", str(options.threads), "--runs", str(options.runs), "--seconds", str(options.seconds)]
        command += ["--size", *options.size, "--batch", *map(str, options.batch), "--device", options.device]
        command += ["--frames", str(options.frames), "--long", str(options.long), "--minutes", str(options.minutes)]
        command += ["--streams", str(options.streams), "--fps", str(options.fps)]
        command += ["--kill-every", str(options.kill_every)]
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
    if options.what == "memory":
        return [",".join(dict.fromkeys(",".join(options.save).split(",")))]
    if options.what == "ray":
        return list(options.part)
    if options.what != "model":
        return ["fp32", "bf16", "bf16 compiled"] if options.what == "throughput" else [options.what]
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
    if options.what in ("pipeline", "memory"):
        settings = pipeline_settings(model, options.source, options.only, options.frames, weights=options.weights)
        if options.what == "memory":
            return [benchmark_memory(settings, options.long).to_dict()]
        return [benchmark_pipeline(settings, runs=options.runs).to_dict()]
    if options.what == "ray":
        from .ray_command import measure_ray  # only here: it loads Ray

        return measure_ray(options.only, source=options.source, frames=options.frames, runs=options.runs)
    if options.what == "soak":
        from .soak_run import run_soak  # only here: it loads Ray

        return [run_soak(SoakOptions(options.minutes, options.streams, options.kill_every, options.fps)).to_dict()]
    if options.what == "text":
        return [benchmark_text(get_spec(model), seconds=options.seconds)]
    [variant] = [variant for variant in VARIANTS if variant.name == options.only]
    sizes = map(_size, options.size)
    timings = (benchmark_model(model, variant, size_hw=s, runs=options.runs, weights=options.weights) for s in sizes)
    return [timing.to_dict() for timing in timings]


def _markdown(what: str, report: dict[str, Any]) -> str:
    machine = report["machine"]
    names = ("torch", "ray", "av") if what in ("ray", "soak") else ("torch", "open_clip_torch", "timm")
    versions = ", ".join(f"{name} {machine[name]}" for name in names)
    head = f"{machine['cpu']}, {machine['threads']} threads, Python {machine['python']}, {versions}, {machine['date']}."
    return f"{head}\n\n{TABLES[what](report[what])}"


TABLES = {
    "model": model_table,
    "text": text_table,
    "throughput": throughput_table,
    "pipeline": pipeline_table,
    "memory": memory_table,
    "ray": ray_table,
    "soak": soak_table,
}


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
        "--model",
        nargs="+",
        help=f"default: {', '.join(DEFAULT_MODELS)}; {', '.join(ON_DEMO)}: {', '.join(SMALL_MODELS)}",
    )
    parser.add_argument("--variant", nargs="+", help=f"default: all of {[variant.name for variant in VARIANTS]}")
    parser.add_argument("--size", nargs="+", default=["480x640"], help="pictures and network input, HEIGHTxWIDTH")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4, 8, 16], help="throughput: frames per pass")
    parser.add_argument("--device", default="auto", help="throughput: auto (default), cpu, cuda, cuda:N")
    parser.add_argument(
        "--source", help="pipeline, memory, ray: a recording; default: 720p H.264 of the procedural world"
    )
    parser.add_argument(
        "--frames", type=int, default=150, help="pipeline, ray: of a run; memory: of each round (default: %(default)s)"
    )
    parser.add_argument(
        "--save",
        nargs="+",
        default=list(SAVES),
        help="pipeline: sinks of each run; memory: all of them at once (default: %(default)s)",
    )
    parser.add_argument("--long", type=int, default=20_000, help="memory: frames of the run (default: %(default)s)")
    parser.add_argument("--part", nargs="+", choices=RAY_PARTS, default=RAY_PARTS, help="ray: default: all")
    parser.add_argument("--minutes", type=float, default=30.0, help="soak: for how long (default: %(default)s)")
    parser.add_argument("--streams", type=int, default=4, help="soak: cameras (default: %(default)s)")
    parser.add_argument("--fps", type=int, default=2, help="soak: frames a second of each (default: %(default)s)")
    parser.add_argument(
        "--kill-every",
        type=float,
        default=60.0,
        help="soak: seconds between deaths; 0: none (default: %(default)s)",
    )
    parser.add_argument("--runs", type=int, default=7, help="counted turns (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="text: time per model (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--weights", type=Path, help="a checkpoint, instead of deterministic weights")
    parser.add_argument("--output", type=Path, help="write NAME.md and NAME.json")
    parser.add_argument("--only", help=argparse.SUPPRESS)  # one part, in this process, as JSON
    return parser
