"""What became of a true track, as pictures of its moments: its outline on what was predicted there; and in words."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from ..metrics.track_losses import CAUSES, Cause, Seen, TrackLoss
from .fault_pictures import GAP, draw_segments, draw_text, text_width
from .page import Picture
from .tables import percent
from .track_moments import MOST_MOMENTS, SIZE_HW, Moment

__all__ = ["cause_in_words", "draw_moments", "track_caption"]

LINE = 20
SMALL = 14
LEAST_SHARE = 0.02  # of a track's pixels, for what is named
LEAST_CAUSE = 0.01
MOST_IDS = 5
INNER, OUTER = (255, 255, 255), (0, 0, 0)  # of the outline, which is seen on every colour

NAMES: Mapping[Cause, str] = {cause: "wrong label" if cause == "mislabelled" else cause for cause in CAUSES}


def draw_moments(moments: Sequence[Moment], labels: Mapping[int, str]) -> Picture:
    """(h, w, 3) uint8: the moments side by side, each above its frame's name and what the track was taken for."""
    height, width = SIZE_HW
    sheet = np.full((height + 2 * LINE + GAP, MOST_MOMENTS * (width + GAP) - GAP, 3), 255, np.uint8)
    for place, moment in enumerate(moments):
        x = place * (width + GAP)
        sheet[:height, x : x + width] = _draw_moment(moment, labels)
        for line, text in enumerate((moment.frame, _taken_for(moment, labels)), start=1):
            draw_text(sheet, _cut(text, width), x, height + line * LINE - 4, size=SMALL)
    return sheet


def track_caption(video: str, loss: TrackLoss, labels: Mapping[int, str]) -> str:
    """One line: which track, how much it loses, and to what."""
    by_size = sorted((cause for cause in CAUSES if loss.causes[cause] >= LEAST_CAUSE), key=lambda c: -loss.causes[c])
    parts = ", ".join(f"{NAMES[cause]} {percent(loss.causes[cause])}" for cause in by_size)
    return (
        f"{video} / true #{loss.id} ({labels[loss.category_id]}): {cause_in_words(loss, labels)}. "
        f"{loss.pixels:,} pixels, {percent(loss.lost)} % of its quality lost{f' to {parts}' if parts else ''}"
    )


def cause_in_words(loss: TrackLoss, labels: Mapping[int, str]) -> str:
    """What costs the track the most."""
    if not loss.lost:
        return "nothing lost"
    cause = max(CAUSES, key=lambda each: loss.causes[each])
    things = [seen for seen in loss.seen_as if seen.isthing]
    if cause == "missed":
        return f"missed, {_name(next(seen for seen in loss.seen_as if not seen.isthing), labels)} in its place"
    if cause == "split":
        return f"split over {_ids([seen.id for seen in things if seen.share >= LEAST_SHARE] or [things[0].id])}"
    if cause == "mislabelled":
        wrong = next(seen for seen in things if seen.category_id != loss.category_id)
        return f"wrong label, {_name(wrong, labels)}"
    if cause == "merged":
        return f"merged with true {_ids(loss.merged_with)} under #{things[0].id}"
    return f"spilled, #{things[0].id} goes beyond it"


def _ids(ids: Sequence[int]) -> str:
    listed = list(dict.fromkeys(ids))
    more = f" and {len(listed) - MOST_IDS} more" if len(listed) > MOST_IDS else ""
    return ", ".join(f"#{id_}" for id_ in listed[:MOST_IDS]) + more


def _name(seen: Seen, labels: Mapping[int, str]) -> str:
    return "nothing" if seen.category_id is None else labels.get(seen.category_id, str(seen.category_id))


def _draw_moment(moment: Moment, labels: Mapping[int, str]) -> Picture:
    picture = draw_segments(moment.ids, moment.segments, labels, things=moment.things)
    contours, _ = cv2.findContours(moment.truth.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for color, thickness in ((OUTER, 4), (INNER, 2)):
        cv2.drawContours(picture, contours, -1, color, thickness)
    return picture


def _taken_for(moment: Moment, labels: Mapping[int, str]) -> str:
    share = f"{100 * moment.share:.0f} %"
    if moment.partner is None:
        return f"nothing on {share}"
    label = labels.get(moment.partner.category_id, str(moment.partner.category_id))
    return f"{label} #{moment.partner.id} on {share}" if moment.identity else f"{label} on {share}"


def _cut(text: str, width: int) -> str:
    shortened = (text if length == len(text) else f"{text[:length]}…" for length in range(len(text), 0, -1))
    return next((candidate for candidate in shortened if text_width(candidate, SMALL) <= width), "")
