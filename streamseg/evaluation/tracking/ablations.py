"""The tracker without one of its parts at a time, so that each part's worth can be read."""

from collections.abc import Mapping
from dataclasses import replace

from ...config.tracking import TrackingSettings

__all__ = ["ablations"]

NEVER = 1.0  # an overlap or likeness that no pair reaches


def ablations(settings: TrackingSettings) -> Mapping[str, TrackingSettings]:
    """The whole tracker first, then each variant by what it is without."""
    return {
        "everything": settings,
        "no query embedding": replace(settings, query_weight=0.0),
        "no overlap": replace(settings, iou_weight=0.0),
        "no pixel feature": replace(settings, feature_weight=0.0),
        "no class": replace(settings, class_weight=0.0),
        "no gates": replace(settings, gate_iou=0.0, gate_distance=1e6, gate_area_ratio=1e6),
        "no motion": replace(settings, velocity_seconds=1e6),
        "no round B (unsure queries)": replace(settings, low_objectness=settings.high_objectness),
        "no round C (last place)": replace(settings, last_mask_iou=NEVER, last_mask_seconds=0.0),
        "no round D (gallery)": replace(settings, gallery=False),
        "no scene cuts": replace(settings, cut_cosine=0.0),
        "no smoothing": replace(settings, smoothing=False),
        "no hysteresis": replace(settings, label_ratio=1.0, label_frames=1, kind_frames=1),
    }
