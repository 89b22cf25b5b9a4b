"""Figures as tables in Markdown, one function for each benchmark."""

from collections.abc import Sequence
from typing import Any

__all__ = [
    "STAGES",
    "head_of",
    "memory_table",
    "model_table",
    "pipeline_table",
    "row_of",
    "text_table",
    "throughput_table",
]

STAGES = ("backbone", "pixel decoder", "mask decoder", "panoptic merge", "rest")


def head_of(columns: Sequence[str]) -> list[str]:
    """The first two lines of a table."""
    return [row_of(columns), row_of(["---"] * len(columns))]


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
    return "\n".join([*head_of(columns), *(row_of(_model_cells(row)) for row in results)])


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
    return "\n".join([*head_of(columns), *map(row_of, rows)])


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
    return "\n".join([*head_of(columns), *map(row_of, rows)])


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
        "by itself, ms a frame",
    )
    return "\n".join([*head_of(columns), *(row_of(_pipeline_cells(row)) for row in results)])


def _pipeline_cells(row: dict[str, Any]) -> list[str]:
    height, width = row["size_hw"]
    return [
        row["model"],
        row["save"],
        f"{height}x{width}",
        f"{row['segmenter_fps']:.1f}",
        f"{row['pipeline_fps']:.1f}",
        f"**{row['ratio']:.2f}** ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})",
        f"{row['segmenter_cpu_ms']:.0f} / {row['pipeline_cpu_ms']:.0f}",
        f"{row['peak_bytes'] / 1e9:.2f}",
        ", ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in row["stages"].items()),
    ]


def memory_table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row per long run."""
    columns = (
        "model",
        "saved",
        "input",
        "frames",
        "resident after each quarter, MB",
        "**resident, MB per 1000 frames**",
        "allocated after each quarter, MB",
        "**allocated, MB per 1000 frames**",
    )
    return "\n".join([*head_of(columns), *(row_of(_memory_cells(row)) for row in results)])


def _memory_cells(row: dict[str, Any]) -> list[str]:
    height, width = row["size_hw"]
    return [
        row["model"],
        row["save"],
        f"{height}x{width}",
        str(row["resident"]["frames"]),
        *_growth_cells(row["resident"]),
        *_growth_cells(row["allocated"]),
    ]


def _growth_cells(growth: dict[str, Any] | None) -> list[str]:
    if growth is None:
        return ["-", "-"]
    quarters = " / ".join(f"{size / 1e6:.1f}" for size in growth["quarter_bytes"])
    return [quarters, f"**{growth['bytes_per_1000_frames'] / 1e6:+.3f}**"]


def row_of(cells: Sequence[str]) -> str:
    """One line of a table in Markdown."""
    return f"| {' | '.join(cells)} |"
