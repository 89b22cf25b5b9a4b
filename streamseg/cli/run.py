"""`streamseg run`: video to tracked panoptic results."""

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ..config.packaged import PACKAGED_CONFIGS, find_config
from ..config.run import RunSettings, read_settings
from ..errors import ConfigError
from ..parsing import flatten
from .app import app
from .interrupts import Interrupts
from .options import (
    BackgroundOption,
    ClassesOption,
    ClipOption,
    DeviceOption,
    MaxLongSideOption,
    ModelOption,
    PrecisionOption,
    QuietOption,
    ShortSideOption,
    ThresholdOption,
    VocabularyOption,
    WeightsOption,
)
from .values import one_of, positive, seconds, size, whole_number

DEFAULT_OUTPUT = "streamseg-out"

_OVERRIDE = re.compile(r"[a-z_]+(\.[a-z_0-9]+)*=", re.IGNORECASE)


@app.command()
def run(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Videos, folders or globs of pictures, camera numbers, URLs (rtsp, http), world:seed=7, or - for "
            "standard input; and any setting as KEY=VALUE, such as tracking.method=none.",
            metavar="SOURCE... [KEY=VALUE...]",
            show_default=False,
        ),
    ] = None,
    classes: ClassesOption = None,
    vocabulary: VocabularyOption = None,
    background: BackgroundOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    clip: ClipOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    short_side: ShortSideOption = None,
    max_long_side: MaxLongSideOption = None,
    threshold: ThresholdOption = None,
    output_size: Annotated[
        Any,
        typer.Option(help="Of maps and masks; default: the frame's own.", metavar="WxH", parser=size("--output-size")),
    ] = None,
    max_fps: Annotated[
        float | None,
        typer.Option(help="Segment at most so many frames a second.", metavar="RATE", parser=positive("--max-fps")),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(help="Segment every so many-th frame.", metavar="N", parser=whole_number("--stride")),
    ] = None,
    start: Annotated[
        float | None, typer.Option(help="Where in a recording to begin.", metavar="SECONDS", parser=seconds("--start"))
    ] = None,
    end: Annotated[
        float | None, typer.Option(help="Where in a recording to end.", metavar="SECONDS", parser=seconds("--end"))
    ] = None,
    max_frames: Annotated[
        int | None,
        typer.Option(help="Stop after so many frames of a stream.", metavar="N", parser=whole_number("--max-frames")),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help=f"Folder for the results. Default: {DEFAULT_OUTPUT}.", metavar="DIR"),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(
            help="What to write: jsonl, png, video, masks, tracks, vps, mots, ytvis, stdout, webhook. Default: jsonl.",
            metavar="KIND,...",
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            help=f"A YAML file of settings, or {', '.join(PACKAGED_CONFIGS)}; options count over it.",
            metavar="FILE|NAME",
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            help="local: this process; ray: many processes, machines and GPUs.",
            metavar="local|ray",
            parser=one_of("--runtime", ("local", "ray")),
        ),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(help="Join a running Ray cluster (auto: the one of this machine).", metavar="HOST:PORT|auto"),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Ray: leave the streams running; see `streamseg streams`.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the output folder.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the output folder.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved settings, and stop.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Segment and track video: every pixel of every frame gets a segment, with a label and an identity."""
    streams, overrides = split_arguments(sources or [])
    given = {
        "sources": streams,
        "vocabulary": _words(classes, vocabulary, background),
        "model": _given(
            name=model,
            weights=weights,
            clip=clip,
            device=device,
            precision=precision,
            short_side=short_side,
            max_long_side=max_long_side,
        ),
        "panoptic": _given(score_threshold=threshold, output_size=output_size),
        "selection": _given(
            max_fps=max_fps, stride=stride, start_seconds=start, end_seconds=end, max_frames=max_frames
        ),
        "output": output,
        "runtime": runtime or ("ray" if ray_address is not None or detach else None),
        "ray": _given(address=ray_address, detach=detach or None),
    }
    named = {key: value for key, value in given.items() if value not in (None, [], {})}
    settings = choose_settings(config, named, save, overrides)
    if dry_run:
        from .dry_run import print_settings

        print_settings(settings)
        return
    execute(settings, resume=resume, overwrite=overwrite, quiet=quiet)


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Sources, and settings as KEY=VALUE; a file of such a name is a file."""
    known = {field.name for field in fields(RunSettings)}
    streams: list[str] = []
    overrides: list[str] = []
    for argument in arguments:
        key = re.split(r"[.=]", argument, maxsplit=1)[0]
        is_setting = bool(_OVERRIDE.match(argument)) and (key in known or not Path(argument).exists())
        (overrides if is_setting else streams).append(argument)
    return streams, overrides


def choose_settings(
    config: str | None, given: dict[str, Any], save: str | None, overrides: Sequence[str]
) -> RunSettings:
    """Options and KEY=VALUE over the config file. Sinks named by `save` keep what the config says of them."""
    from ..sinks.build import parse_save

    optional = flatten(given)
    twice = next((text for text in overrides if text.partition("=")[0] in optional), None)
    if twice is not None:
        raise ConfigError(f"{twice!r} says again what an option or argument says already: leave one of them out")
    settings = read_settings(None if config is None else find_config(config), overrides, given)
    if save is not None:
        settings = replace(settings, sinks=parse_save(save, settings.sinks))
    needs_folder = settings.output is None and settings.file_sinks
    return replace(settings, output=DEFAULT_OUTPUT) if needs_folder else settings


def _words(classes: str | None, vocabulary: str | None, background: str | None) -> dict[str, str | None]:
    """Either of classes and vocabulary on the command line takes the place of both in a config."""
    chosen: dict[str, str | None] = _given(background=background)
    if classes is not None and vocabulary is not None:
        raise ConfigError("both --classes and --vocabulary are given, expected one of them: leave one out")
    if classes is not None or vocabulary is not None:
        chosen |= {"classes": classes, "vocabulary": vocabulary}
    return chosen


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def execute(settings: RunSettings, *, resume: bool, overwrite: bool, quiet: bool) -> None:
    """The run itself, told of as it goes; Ctrl-C at any moment leaves a whole folder behind."""
    if settings.ray.detach:
        deploy(settings, resume=resume, overwrite=overwrite, quiet=quiet)
        return
    from ..pipeline.plan import plan_run
    from ..runtime.run import check_run, prepare_run
    from ..sinks.stdout import ReaderGoneError
    from .progress import RunReport
    from .segment import warnings_shown

    with Interrupts() as interrupts, warnings_shown(not quiet):
        plan = plan_run(settings)
        check_run(plan, resume=resume, overwrite=overwrite)
        report = RunReport(quiet, plan)
        report.begin()
        job = prepare_run(plan, resume=resume, overwrite=overwrite, progress=not quiet, deliver=False)
        try:
            with interrupts.asking(job.stop), report.following(job), closing(job.results()) as results:
                for result in results:
                    report.result(result)
        except ReaderGoneError:  # `| head` has seen enough
            raise typer.Exit(1) from None
        finally:
            report.summary(job)


def deploy(settings: RunSettings, *, resume: bool, overwrite: bool, quiet: bool) -> None:
    """A run that goes on when the command has ended."""
    from ..pipeline.plan import plan_run
    from ..runtime.run import check_run, deploy_run
    from .progress import RunReport

    if settings.runtime != "ray":
        raise ConfigError(f"ray.detach is on and runtime is {settings.runtime!r}, expected ray: --runtime ray")
    plan = plan_run(settings)
    check_run(plan, resume=resume, overwrite=overwrite)
    RunReport(quiet, plan).begin()
    deploy_run(plan, resume=resume, overwrite=overwrite).close()
    if not quiet:
        print(
            f"{len(plan.streams)} streams run as {settings.ray.name!r}; look after them with `streamseg streams "
            "status`, end them with `streamseg streams stop`"
        )
