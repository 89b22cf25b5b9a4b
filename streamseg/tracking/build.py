"""From settings to an associator."""

from ..config.tracking import TrackingSettings
from ..errors import ConfigError
from ..frames import MAX_SEGMENT_ID
from ..vocabulary import Vocabulary
from .association import Associator
from .minvis import MinVISTracker
from .tracker import StageTracker

__all__ = ["build_associator"]


def build_associator(
    settings: TrackingSettings, vocabulary: Vocabulary, *, last_id: int = MAX_SEGMENT_ID
) -> Associator:
    """The associator of one stream.

    Args:
        settings: `method` says which.
        vocabulary: of the stream's queries.
        last_id: the largest id of an epoch.

    Raises:
        ConfigError: the method is "none": then every frame stands alone, and nothing is associated.
    """
    if settings.method == "streamseg":
        return StageTracker(settings, vocabulary, last_id=last_id)
    if settings.method == "minvis":
        return MinVISTracker(settings, vocabulary, last_id=last_id)
    raise ConfigError("setting tracking.method is 'none': nothing is associated, expected streamseg or minvis here")
