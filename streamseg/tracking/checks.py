"""What an associator refuses, whatever its method."""

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..queries import Queries
from ..vocabulary import Vocabulary

__all__ = ["check_mask_size", "check_state", "check_vocabulary"]


def check_vocabulary(queries: Queries, vocabulary: Vocabulary) -> None:
    """ConfigError where queries were classified under other words than the tracks."""
    found = queries.vocabulary
    if found is vocabulary or found == vocabulary:
        return
    raise ConfigError(
        f"queries come under vocabulary {_name(found)}, but the tracks are labelled under {_name(vocabulary)}; "
        "expected the same: call change_vocabulary first"
    )


def check_mask_size(before: tuple[int, ...], now: tuple[int, ...]) -> None:
    """ConfigError where masks are of another size than those that tracks remember."""
    if tuple(before) != tuple(now):
        raise ConfigError(
            f"masks have changed from {before[0]}x{before[1]} to {now[0]}x{now[1]} cells within an epoch, expected one "
            "size: call start_epoch when a stream changes its resolution"
        )


def check_state(state: Mapping[str, Any], kind: str, version: int) -> None:
    """ConfigError where a saved state is of another method, or of another version of it."""
    found = (state.get("kind"), state.get("version"))
    if found != (kind, version):
        raise ConfigError(
            f"tracker state is of method {found[0]!r}, version {found[1]}, expected {kind!r}, version {version}: "
            "resume with the method and the release of streamseg that wrote it, or start anew"
        )


def _name(vocabulary: Vocabulary) -> str:
    return f"{vocabulary.name!r} version {vocabulary.version} with {len(vocabulary.all_categories)} categories"
