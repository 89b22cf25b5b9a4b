"""The metrics once more, slowly: masks and loops, as the rules read. What the package computes is held against them."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from streamseg.evaluation.metrics.panoptic_quality import SegmentInfo

from .random_videos import Frame

Videos = Sequence[Sequence[Frame]]
Categories = Mapping[int, bool]
Tally = dict[int, list[float]]
ALPHAS = np.arange(0.05, 0.99, 0.05)
EPSILON = float(np.finfo("float").eps)


def mask_of(frames: Sequence[Frame], side: int, id_: int) -> npt.NDArray[np.bool_]:
    return np.stack([frame[side] == id_ for frame in frames])


def plain_windows(videos: Videos, categories: Categories, length: int) -> Tally:
    """Sum of IoU, TP, FP and FN of each category over all windows."""
    tally: Tally = {category: [0.0, 0, 0, 0] for category in categories}
    for video in videos:
        for start in range(len(video) - length + 1):
            _add_window(tally, video[start : start + length])
    return tally


def _add_window(tally: Tally, frames: Sequence[Frame]) -> None:
    truth, predicted = _first(frames, 1), _first(frames, 3)
    areas: Counter[int] = Counter()
    for frame in frames:
        for segment in frame[1]:
            areas[segment.id] += int((frame[0] == segment.id).sum()) if segment.area is None else segment.area
    void = mask_of(frames, 0, 0)
    found, matched = set(), set()
    for true in truth.values():
        for guess in predicted.values():
            a, b = mask_of(frames, 0, true.id), mask_of(frames, 2, guess.id)
            shared = int((a & b).sum())
            if not shared or true.iscrowd or true.category_id != guess.category_id:
                continue
            iou = shared / (int(b.sum()) + areas[true.id] - shared - int((b & void).sum()))
            if iou > 0.5:
                tally[true.category_id][0] += iou
                tally[true.category_id][1] += 1
                found.add(true.id)
                matched.add(guess.id)
    crowds = {}
    for true in truth.values():
        if true.iscrowd:
            crowds[true.category_id] = true.id
        elif true.id not in found:
            tally[true.category_id][3] += 1
    for guess in predicted.values():
        if guess.id in matched:
            continue
        b = mask_of(frames, 2, guess.id)
        forgiven = int((b & void).sum())
        if guess.category_id in crowds:
            forgiven += int((b & mask_of(frames, 0, crowds[guess.category_id])).sum())
        if forgiven / int(b.sum()) <= 0.5:
            tally[guess.category_id][2] += 1


def _first(frames: Sequence[Frame], side: int) -> dict[int, SegmentInfo]:
    first: dict[int, SegmentInfo] = {}
    for frame in frames:
        for segment in frame[side]:  # type: ignore[union-attr]
            first.setdefault(segment.id, segment)
    return first


def plain_stq(videos: Videos, categories: Categories, *, script: bool = False) -> tuple[float, float]:
    """AQ and SQ, pixel by pixel."""
    confusion: Counter[tuple[int, int]] = Counter()
    aq, tubes = 0.0, 0
    for video in videos:
        first = next((frame[1][0].id for frame in video if frame[1]), None)
        shared: Counter[tuple[Any, Any]] = Counter()
        sizes, predicted_sizes = Counter[Any](), Counter[Any]()
        for truth, true_segments, predicted, segments in video:
            true_by, by = {s.id: s for s in true_segments}, {s.id: s for s in segments}
            for true_id, id_ in zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True):
                true, guess = true_by.get(true_id), by.get(id_)
                confusion[true.category_id if true else -1, guess.category_id if guess else -1] += 1
                true_thing = true is not None and categories[true.category_id]
                if true_thing and (true.id == first if script else true.iscrowd):  # type: ignore[union-attr]
                    continue
                g = (true.id, true.category_id) if true is not None and true_thing else None
                p = (guess.id, guess.category_id) if guess is not None and categories[guess.category_id] else None
                sizes[g] += 1
                predicted_sizes[p] += 1
                shared[g, p] += 1
        del sizes[None]
        for g, size in sizes.items():
            tubes += 1
            for p, predicted_size in predicted_sizes.items():
                both = shared[g, p] if p is not None else 0
                aq += both / size * both / (size + predicted_size - both)
    labelled = {pair: count for pair, count in confusion.items() if pair[0] != -1}
    ious = []
    for category in {code for pair in labelled for code in pair}:
        hit = labelled.get((category, category), 0) if category != -1 else 0
        union = sum(count for pair, count in labelled.items() if category in pair)
        ious.append(hit / union)
    return aq / tubes if tubes else 0.0, sum(ious) / len(ious) if ious else math.nan


def plain_detections(frame: Frame, categories: Categories, only: int | None, *, ignore: bool) -> tuple[Any, Any, Any]:
    """Ids of both sides and their IoU."""
    truth, true_segments, predicted, segments = frame

    def wanted(segment: SegmentInfo) -> bool:
        return categories[segment.category_id] and (only is None or segment.category_id == only)

    region = truth == 0
    for segment in true_segments:
        if segment.iscrowd:
            region = region | (truth == segment.id)
    true = [s.id for s in true_segments if wanted(s) and not s.iscrowd]
    guesses = [s.id for s in segments if wanted(s)]
    if ignore:
        guesses = [g for g in guesses if ((predicted == g) & region).sum() / (predicted == g).sum() <= 0.5]
    iou = np.zeros((len(true), len(guesses)))
    for row, t in enumerate(true):
        for column, g in enumerate(guesses):
            a, b = truth == t, predicted == g
            iou[row, column] = (a & b).sum() / (a | b).sum() if (a | b).any() else 0
    return true, guesses, iou


def plain_tracking(videos: Videos, categories: Categories, only: int | None, *, ignore: bool) -> dict[str, Any]:
    """HOTA, CLEAR and identity metrics of one class, combined over videos."""
    hota = {name: np.zeros(19) for name in ("tp", "fn", "fp", "ass", "re", "pr", "loc")}
    total: Counter[str] = Counter()
    for video in videos:
        frames = [plain_detections(frame, categories, only, ignore=ignore) for frame in video]
        _plain_hota(hota, frames)
        _plain_clear(total, frames)
        _plain_identity(total, frames)
    det = hota["tp"] / np.maximum(1, hota["tp"] + hota["fn"] + hota["fp"])
    ass = hota["ass"] / np.maximum(1, hota["tp"])
    return {
        "HOTA": float(np.sqrt(det * ass).mean()),
        "DetA": float(det.mean()),
        "AssA": float(ass.mean()),
        "AssRe": float((hota["re"] / np.maximum(1, hota["tp"])).mean()),
        "AssPr": float((hota["pr"] / np.maximum(1, hota["tp"])).mean()),
        "DetRe": float((hota["tp"] / np.maximum(1, hota["tp"] + hota["fn"])).mean()),
        "DetPr": float((hota["tp"] / np.maximum(1, hota["tp"] + hota["fp"])).mean()),
        "LocA": float((np.maximum(1e-10, hota["loc"]) / np.maximum(1e-10, hota["tp"])).mean()),
        "MOTA": (total["TP"] - total["FP"] - total["IDSW"]) / max(1, total["TP"] + total["FN"]),
        "MOTP": total["similarity"] / max(1, total["TP"]),
        "IDF1": total["IDTP"] / max(1, total["IDTP"] + total["IDFP"] / 2 + total["IDFN"] / 2),
        "CLR_TP": total["TP"],
        "CLR_FN": total["FN"],
        "CLR_FP": total["FP"],
    } | {name: total[name] for name in ("IDSW", "MT", "PT", "ML", "Frag", "IDTP", "IDFN", "IDFP")}


def _plain_hota(sums: dict[str, Any], frames: Sequence[tuple[Any, Any, Any]]) -> None:
    true_count: Counter[int] = Counter(t for true, _, _ in frames for t in true)
    count: Counter[int] = Counter(g for _, guesses, _ in frames for g in guesses)
    together: defaultdict[tuple[int, int], float] = defaultdict(float)
    for true, guesses, iou in frames:
        for row, t in enumerate(true):
            for column, g in enumerate(guesses):
                union = iou[:, column].sum() + iou[row].sum() - iou[row, column]
                together[t, g] += iou[row, column] / union if union > EPSILON else 0.0
    matches: list[Counter[tuple[int, int]]] = [Counter() for _ in ALPHAS]
    for true, guesses, iou in frames:
        weight = np.zeros(iou.shape)
        for row, t in enumerate(true):
            for column, g in enumerate(guesses):
                weight[row, column] = together[t, g] / (true_count[t] + count[g] - together[t, g])
        rows, columns = linear_sum_assignment(-(weight * iou))
        for place, alpha in enumerate(ALPHAS):
            good = [(r, c) for r, c in zip(rows, columns, strict=True) if iou[r, c] >= alpha - EPSILON]
            sums["tp"][place] += len(good)
            sums["fn"][place] += len(true) - len(good)
            sums["fp"][place] += len(guesses) - len(good)
            sums["loc"][place] += sum(iou[r, c] for r, c in good)
            matches[place].update((true[r], guesses[c]) for r, c in good)
    for place, found in enumerate(matches):
        for (t, g), times in found.items():
            sums["ass"][place] += times * times / (true_count[t] + count[g] - times)
            sums["re"][place] += times * times / true_count[t]
            sums["pr"][place] += times * times / count[g]


def _plain_clear(total: Counter[str], frames: Sequence[tuple[Any, Any, Any]]) -> None:
    last: dict[int, int] = {}
    before: dict[int, int] = {}
    seen, found, starts = Counter[int](), Counter[int](), Counter[int]()
    for true, guesses, iou in frames:
        seen.update(true)
        if not true or not guesses:
            total["FN"] += len(true)
            total["FP"] += len(guesses)
            continue
        score = np.zeros(iou.shape)
        for row, t in enumerate(true):
            for column, g in enumerate(guesses):
                if iou[row, column] >= 0.5 - EPSILON:
                    score[row, column] = 1000 * (before.get(t) == g) + iou[row, column]
        now = {}
        for row, column in zip(*linear_sum_assignment(-score), strict=True):
            if score[row, column] > 0:
                now[true[row]] = guesses[column]
                total["similarity"] += iou[row, column]
        for t, g in now.items():
            total["IDSW"] += t in last and last[t] != g
            starts[t] += t not in before
        found.update(now.keys())
        last.update(now)
        before = now
        total["TP"] += len(now)
        total["FN"] += len(true) - len(now)
        total["FP"] += len(guesses) - len(now)
    for t, times in seen.items():
        share = found[t] / times
        total["MT" if share > 0.8 else "PT" if share >= 0.2 else "ML"] += 1
        total["Frag"] += max(0, starts[t] - 1)


def _plain_identity(total: Counter[str], frames: Sequence[tuple[Any, Any, Any]]) -> None:
    """By its definition: the assignment of whole tracks, or of nobody, with the least false frames."""
    true_count: Counter[int] = Counter(t for true, _, _ in frames for t in true)
    count: Counter[int] = Counter(g for _, guesses, _ in frames for g in guesses)
    true, guesses = list(true_count), list(count)
    agreed: Counter[tuple[int, int]] = Counter()
    for present, others, iou in frames:
        agreed.update((t, g) for r, t in enumerate(present) for c, g in enumerate(others) if iou[r, c] >= 0.5)
    n, m = len(true), len(guesses)
    misses, falses = np.zeros((n + m, n + m)), np.zeros((n + m, n + m))
    falses[n:, :m] = misses[:n, m:] = 1e10
    for row, t in enumerate(true):
        misses[row, :m] = misses[row, m + row] = true_count[t]
    for column, g in enumerate(guesses):
        falses[:n, column] = falses[n + column, column] = count[g]
    for row, t in enumerate(true):
        for column, g in enumerate(guesses):
            misses[row, column] -= agreed[t, g]
            falses[row, column] -= agreed[t, g]
    chosen = linear_sum_assignment(misses + falses)
    missed = int(misses[chosen].sum())
    total["IDFN"] += missed
    total["IDFP"] += int(falses[chosen].sum())
    total["IDTP"] += sum(true_count.values()) - missed


def plain_iou(videos: Videos, categories: Categories) -> dict[int, float | None]:
    """IoU of each category on labelled pixels."""
    ious: dict[int, float | None] = {}
    for category in categories:
        shared = union = 0
        for frame in (frame for video in videos for frame in video):
            true = _category_mask(frame, 0, {category})
            guess = _category_mask(frame, 2, {category}) & _category_mask(frame, 0, set(categories))
            shared += int((true & guess).sum())
            union += int((true | guess).sum())
        ious[category] = shared / union if union else None
    return ious


def _category_mask(frame: Frame, side: int, categories: Iterable[int]) -> npt.NDArray[np.bool_]:
    ids = [segment.id for segment in frame[side + 1] if segment.category_id in categories]  # type: ignore[union-attr]
    return np.isin(frame[side], ids)


def plain_consistency(videos: Videos, length: int) -> list[float]:
    """The share of each window but the last of each video."""
    values = []
    for video in videos:
        maps = [[_semantic(frame, side) for frame in video] for side in (0, 2)]
        for start in range(len(video) - length):
            steady = [
                np.all([picture[start] == picture[start + step] for step in range(length)], axis=0) for picture in maps
            ]
            if steady[0].any():
                values.append(float((steady[0] & steady[1]).sum() / steady[0].sum()))
    return values


def _semantic(frame: Frame, side: int) -> npt.NDArray[np.int64]:
    by = {segment.id: segment.category_id for segment in frame[side + 1]}  # type: ignore[union-attr]
    return np.vectorize(lambda id_: by.get(id_, -1), otypes=[np.int64])(frame[side])
