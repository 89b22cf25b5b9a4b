"""Stand-ins for tests, where the real parts are heavy. They are in the package so that workers can import them."""

from .scripted import ScriptedMask, ScriptedSegmenter, masks_by_color
from .timed import TimedSegmenter
from .trouble import TroubledSegmenter
from .world import Sighting, WorldSegmenter

__all__ = [
    "ScriptedMask",
    "ScriptedSegmenter",
    "Sighting",
    "TimedSegmenter",
    "TroubledSegmenter",
    "WorldSegmenter",
    "masks_by_color",
]
