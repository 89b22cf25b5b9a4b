"""Training on a Ray cluster: Ray Train places the workers, the loop stays the same.

Each Ray worker runs `streamseg.training.loop.train` in the process group that Ray Train sets up. State lives in the
run's own checkpoints and nowhere else, so a run may begin here and go on without Ray, or the other way round. On
several machines, `output` and the data must be folders that all of them see under the same path.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ConfigError, StreamsegError, TrainingError
from ..training.checkpoint import Checkpoints
from ..training.interrupt import Interrupt
from ..training.loop import OnValidate, train
from ..training.settings import RANDOM_CLIP, TrainSettings
from ..training.start import choose_device
from ..training.workers import join_group
from .cluster.joining import join

__all__ = ["train_on_ray"]

logger = logging.getLogger(__name__)

MAX_FAILURES = 3
POLL_SECONDS = 1.0
STOP_FILE = "stop-requested"
PATHS = ("output", "clip", "init", "images", "annotations", "masks")


def train_on_ray(
    settings: TrainSettings,
    *,
    workers: int = 1,
    resume: bool = False,
    address: str | None = None,
    on_validate: OnValidate | None = None,
    max_failures: int = MAX_FAILURES,
) -> bool:
    """Train with so many Ray workers, one GPU each unless the settings' device is "cpu" or the cluster has none.

    Args:
        settings, resume: as of `training.loop.train`, like the result and the errors.
        workers: how many; they share each batch.
        address: a running cluster to join ("auto" for the one of this machine); None starts one for this run.
        on_validate: as of `training.loop.train`; it must be importable by its name on the workers.
        max_failures: how often to go on from the last checkpoint after a worker or machine was lost.

    Raises:
        ConfigError: ray is not installed, or the batch cannot be split among the workers.
        StreamsegError: nobody answers at the address, or Ray does not start.
        TrainingError: workers were lost more often than allowed.
    """
    ray = _import_ray()
    if workers < 1 or settings.batch_size % workers:
        raise ConfigError(
            f"workers is {workers}, expected at least 1, and batch_size ({settings.batch_size}) a multiple of it"
        )
    settings = _with_absolute_paths(settings)
    with closing(join(address)), Interrupt() as asked:
        for failures in range(max_failures + 1):
            try:
                return _fit(ray, settings, workers, resume, on_validate, asked)
            except _LostWorkersError as error:
                logger.warning("workers were lost (%s); failure %d of %d", error, failures + 1, max_failures)
            resume = resume or bool(Checkpoints(Path(settings.output), settings.keep).paths())
    raise TrainingError(
        f"workers were lost {max_failures + 1} times, expected at most {max_failures}: look at Ray's logs for the "
        "reason, then go on with --resume"
    )


class _LostWorkersError(Exception):
    """A worker died for a reason that is none of training's own."""


def _import_ray() -> ModuleType:
    try:
        import ray
        import ray.train.torch
    except ImportError as error:
        raise ConfigError(
            f"--runtime ray needs Ray Train ({error}): pip install 'ray[train]', or leave --runtime out"
        ) from None
    module: ModuleType = ray
    return module


def _fit(
    ray: Any, settings: TrainSettings, workers: int, resume: bool, on_validate: OnValidate | None, asked: Interrupt
) -> bool:
    """One try; the calling thread stays free for signals, which Ray Train would take for itself otherwise."""
    output = Path(settings.output)
    stop = output / STOP_FILE
    output.mkdir(parents=True, exist_ok=True)
    stop.unlink(missing_ok=True)
    trainer = _trainer(ray, settings, workers, {"settings": settings, "resume": resume, "on_validate": on_validate})
    failure: list[BaseException] = []

    def work() -> None:
        try:
            trainer.fit()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, name="ray train", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_SECONDS)
        if asked.requested:
            stop.touch()
    stop.unlink(missing_ok=True)
    if failure:
        raise _reason(failure[0])
    state = Checkpoints(output, settings.keep).load_latest()
    return bool(state["step"] >= settings.steps)


def _trainer(ray: Any, settings: TrainSettings, workers: int, arguments: dict[str, Any]) -> Any:
    use_gpu = settings.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
    return ray.train.torch.TorchTrainer(
        _work,
        train_loop_config=arguments,
        scaling_config=ray.train.ScalingConfig(num_workers=workers, use_gpu=use_gpu),
        run_config=ray.train.RunConfig(name="ray", storage_path=settings.output),
    )


def _work(arguments: dict[str, Any]) -> None:
    """What each Ray worker does; Ray Train has set up the process group."""
    import ray.train
    import ray.train.torch

    logging.getLogger().setLevel(logging.WARNING)  # Ray sets INFO, which open_clip fills
    settings: TrainSettings = arguments["settings"]
    context = ray.train.get_context()
    device = ray.train.torch.get_device() if settings.device != "cpu" else choose_device("cpu")
    settings = replace(settings, device=str(device))
    group = join_group(context.get_world_rank(), context.get_world_size(), context.get_local_rank(), device=device)
    train(
        settings,
        group,
        resume=arguments["resume"],
        on_validate=arguments["on_validate"],
        interrupt=_StopFile(Path(settings.output) / STOP_FILE),
    )


class _StopFile(Interrupt):
    """A wish to stop that travels through the run's folder: signals reach the driver, not the workers."""

    def __init__(self, path: Path) -> None:
        super().__init__(())
        self._path = path
        self._looked = 0.0

    @property
    def requested(self) -> bool:
        if time.monotonic() - self._looked < POLL_SECONDS:  # the folder may be on another machine
            return False
        self._looked = time.monotonic()
        return self._path.exists()


def _reason(error: BaseException) -> Exception:
    """Our own errors, dug out of what Ray Train wraps them in, are final; all else is a lost worker."""
    wrapped = list(getattr(error, "worker_failures", {}).values()) or [error]
    for failure in wrapped:
        for cause in _causes(failure):
            if isinstance(cause, StreamsegError):
                return cause
    return _LostWorkersError(" ".join(str(wrapped[0]).split())[-300:])


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "_base_exc", None) or getattr(error, "cause", None) or error.__cause__


def _with_absolute_paths(settings: Any) -> Any:
    """Workers run in folders of their own, so relative paths would lead elsewhere."""
    changes: dict[str, Any] = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            changes[field.name] = _with_absolute_paths(value)
        elif field.name in PATHS and value not in (None, RANDOM_CLIP):
            changes[field.name] = str(Path(value).absolute())
    return replace(settings, **changes)
