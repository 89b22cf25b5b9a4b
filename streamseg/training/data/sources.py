"""From settings to training data."""

from ...vocabulary import Vocabulary
from ..settings import CocoData, TrainSettings, VipsegData, WorldData
from .batches import BatchSource
from .coco import CocoPanoptic
from .folder_source import FolderSource
from .panoptic_folder import PanopticFolder
from .vipseg import VipSeg
from .world import WorldSource

__all__ = ["build_source"]


def build_source(settings: TrainSettings) -> BatchSource:
    """The data of a run.

    Raises:
        SourceError: a file or folder is missing, or its content is bad.
        ConfigError: a setting of the data is out of range.
    """
    data = settings.data
    if isinstance(data, WorldData):
        return _world(data, settings.seed)
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


def _world(data: WorldData, seed: int) -> WorldSource:
    return WorldSource(
        seed=seed,
        sizes_hw=data.sizes_hw,
        height_pixels=data.height_pixels,
        scale=data.scale,
        difficulty=data.difficulty,
        color_share=data.color_share,
    )
