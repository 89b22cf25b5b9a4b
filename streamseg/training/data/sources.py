"""From settings to training data."""

import torch

from ...vocabulary import Vocabulary
from ..settings import CocoData, TrainSettings, VipsegData, WorldData
from .batches import BatchSource
from .coco import CocoPanoptic
from .folder_source import FolderSource
from .panoptic_folder import PanopticFolder
from .vipseg import VipSeg
from .world import WorldSource

__all__ = ["build_source"]


def build_source(settings: TrainSettings, device: torch.device | None = None) -> BatchSource:
    """The data of a run.

    Args:
        settings: of the run.
        device: where the model is; scenes may be rendered there.

    Raises:
        SourceError: a file or folder is missing, or its content is bad.
        ConfigError: a setting of the data is out of range.
    """
    data = settings.data
    if isinstance(data, WorldData):
        return _world(data, settings.seed, device if data.render_on == "device" else None)
    return FolderSource(
        _folder(data),
        batch_size=settings.batch_size,
        seed=settings.seed,
        augment=data.jitter,
        bad_data=data.bad_data,
    )


def _folder(data: CocoData | VipsegData) -> PanopticFolder:
    vocabulary = Vocabulary.resolve(data.vocabulary) if data.vocabulary is not None else None
    if isinstance(data, CocoData):
        return CocoPanoptic(images=data.images, annotations=data.annotations, masks=data.masks, vocabulary=vocabulary)
    return VipSeg(
        images=data.images,
        annotations=data.annotations,
        masks=data.masks,
        vocabulary=vocabulary,
        frame_suffix=data.frame_suffix,
    )


def _world(data: WorldData, seed: int, device: torch.device | None) -> WorldSource:
    return WorldSource(
        seed=seed,
        sizes_hw=data.sizes_hw,
        height_pixels=data.height_pixels,
        scale=data.scale,
        difficulty=data.difficulty,
        color_share=data.color_share,
        device=device,
    )
