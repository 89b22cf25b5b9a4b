"""The training loop: FC-CLIP's mask generator on a frozen CLIP (arXiv 2308.02487, section 4.1).

Every random choice is a function of (seed, step, position), and a checkpoint holds all that steps leave behind, so a
run that was killed and resumed equals one that was not, on a CPU bit by bit.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import yaml

from ..errors import ConfigError, TrainingError
from ..fcclip.model import FCCLIP
from ..segmenter import Segmenter
from ..vocabulary import Vocabulary
from .checkpoint import Checkpoints, export_weights, refuse_other_settings, write_atomically
from .data.batches import Batch, BatchSource, Example
from .data.loading import load_batches
from .data.sources import build_source
from .interrupt import Interrupt
from .learner import Learner
from .monitor import Monitor
from .network import TextClassifiers
from .pictures import render_examples
from .settings import RANDOM_CLIP, TrainSettings
from .start import build_model, choose_autocast, choose_device, clip_fingerprint, head_state, text_embeddings
from .window import Health, Window
from .workers import WorkerGroup

__all__ = ["OnValidate", "Trainer", "train"]

OnValidate = Callable[[Segmenter, int], Mapping[str, float]]
"""Called by the first worker at every validation with the model as it stands and the number of steps; what it returns
goes into the metrics."""


def train(
    settings: TrainSettings,
    group: WorkerGroup | None = None,
    *,
    resume: bool = False,
    on_validate: OnValidate | None = None,
    source: BatchSource | None = None,
    interrupt: Interrupt | None = None,
) -> bool:
    """One worker's part of a run, from its start or its last checkpoint to its end.

    Args:
        settings: the run.
        group: this worker's place among others; None where it is alone.
        resume: go on from the last checkpoint in `settings.output`; otherwise that must not hold one.
        on_validate: see `OnValidate`.
        source: training data instead of what `settings.data` names.
        interrupt: who may end the run early; None for Ctrl-C and SIGTERM.

    Returns:
        True where all steps are done; False where the run was interrupted, and saved.

    Raises:
        ConfigError: settings that contradict each other, the machine, or the run that they are to continue.
        TrainingError: the loss is not finite, or a file cannot be written.
    """
    with interrupt or Interrupt() as asked:
        trainer = Trainer(settings, group or WorkerGroup(), resume=resume, on_validate=on_validate, source=source)
        with closing(trainer):
            return trainer.run(asked)


class Trainer:
    """One worker of a run; building it restores or starts the state, `run` does the steps. Arguments as of `train`.

    Attributes:
        done: steps behind us.
        learner: model and optimizer.
    """

    def __init__(
        self,
        settings: TrainSettings,
        group: WorkerGroup,
        *,
        resume: bool = False,
        on_validate: OnValidate | None = None,
        source: BatchSource | None = None,
    ) -> None:
        self.settings = settings
        self.group = group
        self.on_validate = on_validate
        self.output = Path(settings.output)
        self.device = choose_device(settings.device, group.local_rank)
        choose_autocast(settings.precision, self.device)
        self.positions = group.positions(settings.batch_size)
        self.checkpoints = Checkpoints(self.output, settings.keep)
        state = self._state_to_resume(resume)
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self.source = build_source(settings, self.device) if source is None else source
        self.learner, self.clip = self._build()
        self.window, self.health = Window(), Health()
        self.done, self.rate = 0, 0.0
        if state is not None:
            self._restore(state)
        self.monitor = self._open_monitor() if group.is_first else None
        self._timer = _Timer(self.done)

    def run(self, asked: Interrupt) -> bool:
        """The remaining steps; False if `asked` ended them early."""
        steps = range(self.done, self.settings.steps)
        batches = load_batches(self.source, self.positions, steps, ahead=self.settings.prefetch, device=self.device)
        with closing(batches):
            for batch in batches:
                self._step(batch)
                stop = self.group.any(asked.requested)
                self._after_step(stop)
                if stop and self.done < self.settings.steps:
                    self._say(f"stopped after step {self.done} of {self.settings.steps}, and saved")
                    return False
        return True

    def close(self) -> None:
        """Leave the terminal and the files as they should be."""
        if self.monitor is not None:
            self.monitor.close()

    def _build(self) -> tuple[Learner, str]:
        settings, first = self.settings, self.group.is_first
        with self.group.first_goes_first():  # it fetches and encodes; the others find all that in the caches
            model = build_model(settings, progress=first)
            fingerprint = clip_fingerprint(model)
            model.to(self.device)
            embeddings = text_embeddings(model, keep=settings.clip != RANDOM_CLIP, progress=first)
            text = TextClassifiers(embeddings, self.device)
            for vocabulary in self.source.vocabularies:
                text(vocabulary)
        return Learner(model, text, settings, self.group), fingerprint

    def _state_to_resume(self, resume: bool) -> dict[str, Any] | None:
        if not resume:
            if self.checkpoints.paths():
                raise ConfigError(
                    f"output {str(self.output)!r} holds a run already: go on with --resume, or choose another --output"
                )
            return None
        state = self.checkpoints.load_latest()
        refuse_other_settings(state["settings"], self.settings.to_dict())
        return state

    def _restore(self, state: Mapping[str, Any]) -> None:
        if state["clip"] != self.clip:
            raise ConfigError(
                f"cannot resume with another CLIP: its fingerprint was {state['clip']}, now {self.clip}; name the file "
                "that the run began with as clip"
            )
        self.learner.restore(state)
        self.window.restore(state["window"], self.device)
        self.done = state["step"]

    def _open_monitor(self) -> Monitor:
        settings = self.settings
        text = yaml.safe_dump(settings.to_dict(), sort_keys=False)
        write_atomically(self.output / "settings.yaml", lambda path: path.write_text(text, encoding="utf-8"))
        return Monitor(self.output, steps=settings.steps, start=self.done, tensorboard=settings.tensorboard)

    def _step(self, batch: Batch) -> None:
        """One step. On a CPU a bad loss is seen before it reaches the weights; a GPU is not waited for each time."""
        learner, step = self.learner, self.done
        try:
            losses = learner.losses(step, batch, self.positions)
        except FloatingPointError as error:
            raise self._not_finite(step, str(error)) from None
        norm = learner.backward(losses["loss"])
        self.health.add(step, losses["loss"], norm)
        if self.device.type == "cpu":
            self._check_health()
        self.rate = learner.update(step)
        self.window.add({**losses, "gradient_norm": norm})
        self.done += 1

    def _after_step(self, stop: bool) -> None:
        done, settings = self.done, self.settings
        last = done == settings.steps
        if self.monitor is not None:
            self.monitor.advance(done)
        if done % settings.log_every == 0 or last:
            self._log()
        if done % settings.save_every == 0 or last or stop:
            self._save()
        if settings.validate_every and not stop and (done % settings.validate_every == 0 or last):
            self._validate()

    def _log(self) -> None:
        self._check_health()
        means = self.window.take(self.group)
        if self.monitor is not None:
            speed = self._timer.steps_per_second(self.done) * self.settings.batch_size
            self.monitor.log({"step": self.done, **means, "lr": self.rate, "images_per_second": speed})

    def _save(self) -> None:
        self._check_health()
        if self.group.is_first:
            state = {
                "step": self.done,
                "settings": self.settings.to_dict(),
                "clip": self.clip,
                "window": self.window.state(),
                **self.learner.state(),
            }
            self.checkpoints.save(state)
            with self.learner.best_weights() as model:
                export_weights(self.output, model, head_state(model))
        self.group.wait()

    def _validate(self) -> None:
        """The first worker looks at what was learned; the others wait."""
        if self.monitor is not None:
            with self.learner.best_weights() as model:
                segmenter = self._segmenter(model)
                if self.settings.pictures:
                    self.monitor.show(self.done, list(render_examples(segmenter, self._examples())))
                if self.on_validate is not None:
                    scores = self.on_validate(segmenter, self.done)
                    if scores:
                        named = {f"validation/{name}": value for name, value in scores.items()}
                        self.monitor.log({"step": self.done, **named})
        self.group.wait()
        self._timer.restart(self.done)

    def _segmenter(self, model: FCCLIP) -> Segmenter:
        segmenter = Segmenter(model, self.learner.text.text, device=self.device)
        categories = dict.fromkeys(category for source in self.source.vocabularies for category in source.categories)
        numbered = tuple(replace(category, id=number) for number, category in enumerate(categories))
        segmenter.training_vocabulary = segmenter.objectness_vocabulary = Vocabulary("training", numbered)
        return segmenter

    def _examples(self) -> Batch:
        """The beginning of the first batch that training never sees."""
        count = min(self.settings.pictures, self.settings.batch_size)
        return self.source.batch(self.settings.steps, range(count))

    def _check_health(self) -> None:
        allowed = self.settings.max_overflows if self.learner.tolerates_overflow else 0
        bad = self.health.first_bad_step(allowed)
        if bad is not None:
            raise self._not_finite(bad, "the loss or its gradient is not a finite number")

    def _not_finite(self, step: int, reason: str) -> TrainingError:
        return TrainingError(
            f"training diverged in step {step + 1}: {reason}; its pictures were {self._names(step)}; go on from the "
            f"last checkpoint in {self.output} with --resume, with a lower optimizer.lr in a new run, or without them"
        )

    def _names(self, step: int) -> str:
        if isinstance(self.source, NamesExamples):
            return ", ".join(self.source.example(step, position).name for position in self.positions)
        return f"positions {self.positions.start} to {self.positions.stop - 1} of batch {step}"

    def _say(self, text: str) -> None:
        if self.monitor is not None:
            self.monitor.say(text)


@runtime_checkable
class NamesExamples(Protocol):
    """A source that can tell what a picture is called."""

    def example(self, step: int, position: int) -> Example: ...


class _Timer:
    """Steps per second since it was asked last."""

    def __init__(self, step: int) -> None:
        self.restart(step)

    def restart(self, step: int) -> None:
        self._since, self._step = time.monotonic(), step

    def steps_per_second(self, step: int) -> float:
        rate = (step - self._step) / max(time.monotonic() - self._since, 1e-9)
        self.restart(step)
        return rate
