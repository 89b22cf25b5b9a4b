"""`streamseg plan`: how many machines so many cameras take."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .app import app
from .options import JsonOption
from .text import printable

if TYPE_CHECKING:
    from ..planning.demand import Demand


@app.command()
def plan(
    streams: Annotated[int, typer.Argument(help="Cameras, or recordings at once.", show_default=False)],
    fps: Annotated[float, typer.Option(help="Frames a second of each that are segmented.")] = 10.0,
    camera_fps: Annotated[
        float | None, typer.Option(help="Frames a second that it sends; all are decoded.", show_default="as --fps")
    ] = None,
    size: Annotated[str, typer.Option(help="Of its pictures.", metavar="WIDTHxHEIGHT")] = "1280x720",
    codec: Annotated[str, typer.Option(help="h264, hevc, av1 or mjpeg.")] = "h264",
    model: Annotated[str, typer.Option(help="A model's name.")] = "fcclip-convnext-large",
    device: Annotated[str, typer.Option(help="A kind of GPU (T4, L4, A100, H100, H200), or cpu.")] = "L4",
    decoder: Annotated[str, typer.Option(help="cpu or nvdec.")] = "cpu",
    max_batch: Annotated[int, typer.Option(help="Frames of a forward pass.")] = 8,
    load: Annotated[float, typer.Option(help="Share of a worker that is used; the rest is for bursts.")] = 0.7,
    near: Annotated[bool, typer.Option("--near", help="Decoders stand on their worker's machine.")] = False,
    cores: Annotated[int, typer.Option(help="Of a machine.")] = 64,
    memory: Annotated[float, typer.Option(help="Of a machine, GB.")] = 512.0,
    gpus: Annotated[int, typer.Option(help="Of a machine.")] = 8,
    network: Annotated[float, typer.Option(help="Of a machine, Gbit/s.")] = 100.0,
    costs: Annotated[
        Path | None,
        typer.Option(help="Measured on your machine: NAME.json of `python -m pipelines.benchmark`.", metavar="FILE"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell on paper what so many cameras take: workers, GPUs, cores, memory, network, disk, machines.

    Numbers are computed from stage costs, of which some are measured, some published and some assumed; --json shows
    each with its source. One worker is simulated, frame by frame, as a check.
    """
    from ..planning.costs import load_costs
    from ..planning.demand import Demand, Node
    from ..planning.placement import plan_cluster
    from ..planning.report import plan_document, plan_rows

    values: dict[str, Any] = {"codec": codec, "decoder": decoder}
    demand = Demand(
        streams=streams,
        fps=fps,
        camera_fps=camera_fps,
        size_hw=_size(size),
        model=model,
        device=device,
        max_batch=max_batch,
        load=load,
        near=near,
        node=Node(cores, memory, gpus, network),
        **values,
    )
    known = load_costs(costs)
    document = plan_document(plan_cluster(demand, known), known)
    if as_json:
        print(json.dumps(document, indent=2))
        return
    print(_title(demand))
    for label, text in plan_rows(document):
        print(printable(f"{label:<10}{text}", sys.stdout))


def _title(demand: "Demand") -> str:
    height, width = demand.size_hw
    return (
        f"{demand.streams:,} streams of {width}x{height} {demand.codec} at {demand.fps:g} frames/s, {demand.model} on "
        f"{demand.device}"
    )


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"--size is {text!r}, expected WIDTHxHEIGHT in pixels, such as 1280x720")
    return int(height), int(width)
