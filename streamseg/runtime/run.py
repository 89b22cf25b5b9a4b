"""`streamseg.run(...)`: from a few words to results, and what the command line builds on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike, fsdecode, fspath
from typing import TYPE_CHECKING, Any

from ..config.packaged import find_config
from ..config.run import merged, read_settings
from ..errors import ConfigError
from ..frames import FrameResult
from ..pipeline.build import build_segmenter
from ..pipeline.identity import plan_identity, run_identity, run_manifest
from ..pipeline.plan import RunPlan, plan_run
from ..runs.folder import RunFolder
from ..segmenter import Segmenter
from ..sinks.build import parse_save
from ..vocabulary import Vocabulary
from .job import Job
from .local import LocalRun
from .resume import Resumption, check_same_run, resume_from

if TYPE_CHECKING:
    from .cluster.deployment import Deployment

__all__ = ["check_run", "connect", "deploy_run", "prepare_run", "run"]

SourceLike = str | int | PathLike[str]


def run(
    source: SourceLike | Sequence[SourceLike] | None = None,
    *,
    classes: str | Sequence[str] | None = None,
    vocabulary: str | Vocabulary | None = None,
    background: str | None = None,
    model: str | None = None,
    weights: str | PathLike[str] | None = None,
    output: str | PathLike[str] | None = None,
    save: str | Sequence[str] | None = None,
    config: str | PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    segmenter: Segmenter | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Iterator[FrameResult]:
    """Segment and track video; gives the result of every frame as it is done.

        for result in streamseg.run("street.mp4", classes=["car", "person", "road:stuff"]):
            print(result.index, [segment.label for segment in result.segments])

    Everything is checked before it returns; frames are computed while the caller iterates, some ahead. Leaving the loop
    stops the run.

    Args:
        source: a path, URL, glob, camera index, `world:...`, or several; None for those of `config`.
        classes: what to look for: one text, or one for each category.
        vocabulary: instead of classes: a built-in one, a file, or a `Vocabulary`, which is taken as it is.
        background: "auto" or "none", see `VocabularySettings`.
        model, weights: see `ModelSettings`.
        output: folder for files; None: that of `config`; without any, no files are written.
        save: kinds of sinks, such as "jsonl,png,video"; None: those of `config`, or jsonl where there is an output.
        config: a YAML file to start from.
        settings: anything else, nested as in a config file; counts over it.
        segmenter: one that is loaded already; model and weights are then its own.
        resume: go on with the run in `output`.
        overwrite: replace the run in `output`.

    Raises:
        ConfigError: something is unknown, contradictory or in the way.
        SourceError: a recording cannot be opened.
        WeightsError: the model cannot be filled.
    """
    words, name = (vocabulary, None) if isinstance(vocabulary, Vocabulary) else (None, vocabulary)
    given = {
        "sources": _sources(source),
        "vocabulary": _words(_joined(classes), name, background),
        "model": _given(name=model, weights=None if weights is None else fspath(weights)),
        "output": None if output is None else fspath(output),
    }
    if words is not None and (classes is not None or background is not None):
        raise ConfigError("a Vocabulary is taken as it is: leave classes and background out, or see with_background")
    named = {key: value for key, value in given.items() if value not in (None, [], {})}
    chosen = read_settings(None if config is None else find_config(fspath(config)), given=merged(named, settings or {}))
    if save is not None:
        chosen = replace(chosen, sinks=parse_save(save if isinstance(save, str) else ",".join(save), chosen.sinks))
        if chosen.file_sinks and chosen.output is None:
            raise ConfigError(f"save is {save!r}, and there is no folder for it: give output as well")
    plan = plan_run(chosen, words)
    return prepare_run(plan, segmenter=segmenter, resume=resume, overwrite=overwrite, progress=False).results()


def connect(address: str = "auto", name: str = "streamseg") -> "Deployment":
    """The streams that `streamseg run --detach` has left running on a Ray cluster.

        deployment = streamseg.connect("auto")
        deployment.add("rtsp://cam7/main", name="yard", classes="person; car")
        print([(stream.name, stream.status) for stream in deployment.streams()])

    Args:
        address: of the cluster; "auto" for the one that this machine belongs to.
        name: of the deployment (`ray.name`).

    Raises:
        ConfigError: no such deployment runs there, or ray is not installed.
        StreamsegError: nobody answers at the address.
    """
    from .cluster.joining import import_ray

    import_ray()
    from .cluster import deployment  # only here: ray is an extra

    return deployment.connect(address, name)


def prepare_run(
    plan: RunPlan,
    *,
    segmenter: Segmenter | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    deliver: bool = True,
) -> Job:
    """A run that is ready to start: the model loaded, the folder there.

    Args:
        plan: of `plan_run`.
        segmenter: one that is loaded already.
        resume, overwrite: what to do with an earlier run in its folder; resuming where there is none starts one.
        progress: show bars while weights and words are fetched or computed.
        deliver: whether every result is wanted; if not, a runtime of several processes keeps them where they are, and
            gives those of failed frames alone.

    Raises:
        ConfigError, SinkError: as of `check_run`, or the folder cannot be made.
        WeightsError: the model cannot be filled.
    """
    check_run(plan, resume=resume, overwrite=overwrite)
    if plan.settings.runtime == "ray":
        return _prepare_on_ray(plan, segmenter, deliver=deliver, resume=resume, overwrite=overwrite)
    model = segmenter or build_segmenter(plan.settings, progress=progress)
    return LocalRun(plan, model, *_folder(plan, model.identity(), resume=resume, overwrite=overwrite))


def _prepare_on_ray(plan: RunPlan, segmenter: Segmenter | None, *, deliver: bool, resume: bool, overwrite: bool) -> Job:
    from .cluster.joining import import_ray

    import_ray()
    from .cluster.run import RayRun  # only here: ray is an extra

    job = RayRun(plan, None if segmenter is None else partial(_given_segmenter, segmenter), deliver=deliver)
    identity = job.prepare()
    try:
        job.begin(*_folder(plan, identity, resume=resume, overwrite=overwrite))
    except BaseException:
        job.leave()
        raise
    return job


def deploy_run(
    plan: RunPlan, *, segmenter: Segmenter | None = None, resume: bool = False, overwrite: bool = False
) -> "Deployment":
    """Start a run that goes on by itself, on a cluster; see `prepare_run` for arguments and errors."""
    check_run(plan, resume=resume, overwrite=overwrite)
    from .cluster.joining import import_ray

    import_ray()
    from .cluster.deployment import deploy  # only here: ray is an extra

    make_folder = partial(_folder, plan, resume=resume, overwrite=overwrite)
    return deploy(plan, make_folder, None if segmenter is None else partial(_given_segmenter, segmenter))


def _given_segmenter(segmenter: Segmenter) -> Segmenter:
    return segmenter


def _folder(
    plan: RunPlan, segmenter: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> tuple[RunFolder | None, Resumption]:
    """The run's folder, and where its streams go on.

    Args:
        plan: of the run.
        segmenter: what identifies the model.
        resume, overwrite: see `prepare_run`.
    """
    output = plan.settings.output
    if output is None:
        return None, Resumption({})
    identity = run_identity(plan, segmenter)
    if not resume or not RunFolder.is_run(output):
        return RunFolder.create(output, run_manifest(plan, identity), overwrite=overwrite), Resumption({})
    folder = RunFolder.open(output)
    check_same_run(folder.manifest["identity"], identity)
    resumption = resume_from(folder)
    folder.manifest["state"] = "running"
    folder.save()
    return folder, resumption


def check_run(plan: RunPlan, *, resume: bool = False, overwrite: bool = False) -> None:
    """What can be known to be wrong before the model is there, which may take minutes.

    Raises:
        ConfigError: the output folder holds another run, or something is in the way.
    """
    output = plan.settings.output
    if resume and overwrite:
        raise ConfigError("both resume and overwrite are given, expected one of them: leave one out")
    if output is None:
        if resume or overwrite:
            raise ConfigError("resume and overwrite are about an output folder, and there is none: give output")
    elif resume and RunFolder.is_run(output):
        before = RunFolder.open(output).manifest["identity"]
        check_same_run({key: value for key, value in before.items() if key != "segmenter"}, plan_identity(plan))
    else:
        RunFolder.check_free(output, plan.names, overwrite=overwrite)
        if RunFolder.is_run(output):
            _check_outside(plan, RunFolder.open(output))


def _check_outside(plan: RunPlan, folder: RunFolder) -> None:
    """A run's own overlay can be the next one's source, but not once it has been removed."""
    for name in folder.streams:
        taken = folder.stream(name).resolve()
        for stream in plan.streams:
            if stream.recording is not None and stream.recording.resolve().is_relative_to(taken):
                raise ConfigError(f"{stream.shown!r} is part of the run that it would replace: choose another output")


def _sources(source: SourceLike | Sequence[SourceLike] | None) -> list[str]:
    if source is None:
        return []
    several = source if isinstance(source, Sequence) and not isinstance(source, str | bytes) else [source]
    for one in several:
        if not isinstance(one, str | int | PathLike) or isinstance(one, bool):
            raise ConfigError(f"source {one!r} is of type {type(one).__name__}, expected a path, URL or camera number")
    return [str(one) if isinstance(one, int) else fsdecode(one) for one in several]


def _joined(classes: str | Sequence[str] | None) -> str | None:
    if classes is None or isinstance(classes, str):
        return classes
    for word in classes:
        if not isinstance(word, str):
            raise ConfigError(f"class {word!r} is of type {type(word).__name__}, expected text such as 'road:stuff'")
    return "; ".join(classes)


def _words(classes: str | None, vocabulary: str | None, background: str | None) -> dict[str, str | None]:
    """Either of classes and vocabulary takes the place of both in a config."""
    chosen: dict[str, str | None] = _given(background=background)
    return (
        chosen if classes is None and vocabulary is None else {**chosen, "classes": classes, "vocabulary": vocabulary}
    )


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
