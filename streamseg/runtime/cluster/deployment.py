"""Leaving streams running on a cluster, and looking after them from anywhere in it.

deployment = streamseg.connect("auto")
deployment.add("rtsp://cam7/main", name="yard", classes="person; car")
for stream in deployment.streams():
    print(stream.name, stream.status, stream.totals.emitted)
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import ray
import torch
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ...config.run import VocabularySettings
from ...config.sources import SourceSettings
from ...errors import ConfigError, StreamsegError
from ...pipeline.build import build_segmenter
from ...pipeline.plan import RunPlan, plan_run
from ...pipeline.words import vocabulary_for
from ...runs.folder import RunFolder
from ...vocabulary import Vocabulary
from ..resume import Resumption
from .cast import Cast, gpus_for_each, workers_of
from .deployed import COORDINATOR, DeployedCoordinator, StreamStatus
from .joining import Membership, join
from .segmenting import BuildsSegmenter
from .travelling import travelling, travelling_stream
from .wire import Fault

__all__ = ["Deployment", "connect", "deploy"]

CALLS = 8
STOP_SECONDS = 300.0
ANSWER_SECONDS = 10.0
DEFAULT_NAME = "streamseg"

MakesFolder = Callable[[Mapping[str, Any]], tuple[RunFolder | None, Resumption]]


class Deployment:
    """Streams that run on a cluster by themselves. Made by `connect`.

    Args:
        coordinator: the actor.
        membership: of the cluster.
    """

    def __init__(self, coordinator: Any, membership: Membership) -> None:
        self._coordinator = coordinator
        self._membership = membership

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def streams(self) -> list[StreamStatus]:
        """How every stream is.

        Raises:
            StreamsegError: the deployment has failed; the message says why.
        """
        statuses, fault = self._get(self._coordinator.status.remote())
        if fault is not None:
            raise fault.error()
        found: list[StreamStatus] = statuses
        return found

    def add(
        self,
        source: str,
        *,
        name: str | None = None,
        classes: str | None = None,
        vocabulary: str | None = None,
        background: str | None = None,
    ) -> list[str]:
        """Add a stream, or one for each video of a folder or glob; their names.

        Args:
            source: a path that the cluster sees, a URL, ...
            name: of the stream; made from the source if left out.
            classes, vocabulary, background: its words; those of the run if left out.

        Raises:
            ConfigError: the name is taken, or something makes no sense.
            SourceError: a recording cannot be opened.
        """
        settings = self._get(self._coordinator.settings.remote())
        chosen = SourceSettings(source, name, classes, vocabulary, background)
        streams = [travelling_stream(stream) for stream in plan_run(replace(settings, sources=(chosen,))).streams]
        for stream in streams:
            self._get(self._coordinator.add.remote(stream))
        return [stream.name for stream in streams]

    def remove(self, name: str) -> None:
        """End a stream; what has been segmented is written. Added again, it goes on there."""
        self._get(self._coordinator.remove.remote(name))

    def pause(self, name: str) -> None:
        """Segment nothing of a stream for now. A recording goes on where it was, a camera with what is then new."""
        self._get(self._coordinator.pause.remote(name, True))

    def resume(self, name: str) -> None:
        """Go on with a stream that was paused."""
        self._get(self._coordinator.pause.remote(name, False))

    def set_vocabulary(
        self,
        name: str,
        *,
        classes: str | None = None,
        vocabulary: str | Vocabulary | None = None,
        background: str | None = None,
    ) -> Vocabulary:
        """Other words for a stream, from its next frame on; its tracks keep their identities. Returns them.

        Args:
            name: of the stream.
            classes, vocabulary, background: as of `streamseg.run`.
        """
        before = next((stream.vocabulary for stream in self.streams() if stream.name == name), None)
        if isinstance(vocabulary, Vocabulary):
            words = vocabulary
        else:
            settings = self._get(self._coordinator.settings.remote())
            given = VocabularySettings(classes, vocabulary, settings.vocabulary.background)
            default = plan_default(settings.model.name)
            words = vocabulary_for(given, classes=None, vocabulary=None, background=background, default=default)
        if before is not None and words.name == before.name and words != before:
            words = replace(words, version=max(words.version, before.version + 1))
        self._get(self._coordinator.use_vocabulary.remote(name, words))
        return words

    def is_there(self) -> bool:
        """Whether the deployment answers at this moment."""
        try:
            ray.get(self._coordinator.incarnation.remote(), timeout=ANSWER_SECONDS)
        except RayError:
            return False
        return True

    def incarnation(self) -> str:
        """Names the coordinator's process, as "machine-process-time"; another one after it died and came back."""
        found: str = self._get(self._coordinator.incarnation.remote())
        return found

    def stop(self) -> None:
        """End all streams, written as far as they are, and the deployment."""
        self._get(self._coordinator.stop.remote(), STOP_SECONDS)
        ray.kill(self._coordinator, no_restart=True)

    def close(self) -> None:
        """Leave the cluster; the streams go on."""
        self._membership.close()

    def _get(self, call: Any, seconds: float = 60.0) -> Any:
        try:
            answer = ray.get(call, timeout=seconds)
        except RayError as error:
            raise StreamsegError(
                f"the deployment does not answer ({type(error).__name__}): try again; it may be on its way back"
            ) from None
        if isinstance(answer, Fault):
            raise answer.error()
        return answer


def connect(address: str = "auto", name: str = DEFAULT_NAME) -> Deployment:
    """The streams that `streamseg run --detach` has left running.

    Args:
        address: of the cluster; "auto" for the one that this machine belongs to.
        name: of the deployment (`ray.name`).

    Raises:
        ConfigError: no such deployment runs there, or ray is not installed.
        StreamsegError: nobody answers at the address.
    """
    membership = join(address)
    try:
        coordinator = ray.get_actor(COORDINATOR, namespace=name)
    except ValueError:
        membership.close()
        raise ConfigError(
            f"no deployment {name!r} runs at {address!r}: start one with `streamseg run ... --detach --ray-address "
            f"{address}`, or give its name"
        ) from None
    return Deployment(coordinator, membership)


def deploy(plan: RunPlan, make_folder: MakesFolder, build: BuildsSegmenter | None = None) -> Deployment:
    """Start a run that goes on by itself.

    Args:
        plan: of the run; its settings name the cluster.
        make_folder: called with what identifies the model; see `prepare_run`.
        build: makes the segmenter.

    Raises:
        ConfigError: a deployment of this name runs already, or records are to go to standard output.
        StreamsegError: as of `RayRun.prepare`.
    """
    settings = plan.settings
    if any(sink.kind == "stdout" for sink in settings.sinks):
        raise ConfigError("a detached run has no standard output: leave the stdout sink out, or --detach")
    away = travelling(plan)
    membership = join(settings.ray.address)
    try:
        coordinator = _coordinator(away, membership, build or partial(build_segmenter, away.settings, progress=False))
    except BaseException:
        membership.close()
        raise
    deployment = Deployment(coordinator, membership)
    try:
        identity = deployment._get(coordinator.prepare.remote(), seconds=3600.0)
        _, resumption = make_folder(identity)
        left = [stream for stream in away.streams if not resumption.is_done(stream.name)]
        deployment._get(coordinator.begin.remote(left))
    except BaseException:
        deployment.stop()
        deployment.close()
        raise
    return deployment


def _coordinator(away: RunPlan, membership: Membership, build: BuildsSegmenter) -> Any:
    settings = away.settings
    output = None if settings.output is None else Path(settings.output).absolute()
    gpus = gpus_for_each(settings.ray.gpus_per_worker, membership.gpus)
    workers = workers_of(settings.ray.num_workers, gpus, membership.gpus)
    cast = Cast(
        plan=away,
        folder=output,
        build=build,
        torch_threads=settings.torch_threads or torch.get_num_threads(),
        deliver=False,
        gpus=gpus,
        home=membership.node,
        detached=True,
    )
    options = {"name": COORDINATOR, "namespace": settings.ray.name, "lifetime": "detached", "max_concurrency": CALLS}
    home = NodeAffinitySchedulingStrategy(membership.node, soft=False)
    actor = ray.remote(DeployedCoordinator).options(
        **options, num_cpus=0, max_restarts=-1, max_task_retries=0, scheduling_strategy=home
    )
    try:
        return actor.remote(cast, workers, output)
    except ValueError:
        raise ConfigError(
            f"a deployment {settings.ray.name!r} runs there already: end it with `streamseg streams stop`, or choose "
            "another ray.name"
        ) from None


def plan_default(model: str | None) -> str:
    """The vocabulary of a model."""
    from ...fcclip.spec import DEFAULT_MODEL, get_spec

    return get_spec(model or DEFAULT_MODEL).default_vocabulary
