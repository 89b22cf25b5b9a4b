"""Runs over small worlds whose truth a scripted segmenter knows: every part is real but the model."""

from collections.abc import Mapping
from typing import Any

from streamseg.config.run import read_settings
from streamseg.pipeline.plan import plan_run
from streamseg.runtime.local import LocalRun
from streamseg.runtime.run import prepare_run
from streamseg.sources.world import parse_world
from streamseg.testing import WorldSegmenter

SOURCE = "world:seed=5,seconds=4,fps=10,size=160x96,difficulty=0.4"
FRAMES = 40


def segmenter_for(*sources: str, **changes: Any) -> WorldSegmenter:
    """For streams called `world`, `world-2`, ..."""
    names = ["world", *(f"world-{number}" for number in range(2, len(sources) + 1))]
    return WorldSegmenter(dict(zip(names, map(parse_world, sources), strict=True)), **changes)


def prepared(
    *sources: str,
    output: object = None,
    segmenter: Any = None,
    resume: bool = False,
    overwrite: bool = False,
    **given: Any,
) -> LocalRun:
    """A run over worlds; `given` are settings, nested."""
    sources = sources or (SOURCE,)
    values: Mapping[str, Any] = {
        "sources": list(sources),
        "vocabulary": {"vocabulary": "world"},
        "model": {"name": "demo"},
        "torch_threads": 1,
        "output": None if output is None else str(output),
        **given,
    }
    plan = plan_run(read_settings(given=values))
    return prepare_run(plan, segmenter=segmenter or segmenter_for(*sources), resume=resume, overwrite=overwrite)
