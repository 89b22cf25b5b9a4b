"""Hold model and criterion against stored numbers of the original FC-CLIP.

Cases come in two kinds, told apart by their keys; those of the criterion are in `criterion_parity.py`. One of the model
is one picture, one list of classes and every intermediate result of the original on weights that anyone can rebuild
(`fcclip/reference_weights.py`). The model is built by its spec, the weights are written as an official checkpoint and
loaded through the same door as a user's, and what runs is what a user runs.

Comparison is per query, by median and 95th percentile of each query's largest difference: a mask logit within rounding
of zero may flip one bit of an attention or pooling mask, which moves that one query by far more than rounding, in the
original against itself too.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ..acceleration import optimize
from ..errors import ParityError, StreamsegError
from ..fcclip.backbone import BackboneFeatures
from ..fcclip.classifier import class_logits, published_log_scores
from ..fcclip.mask_decoder import QueryPredictions
from ..fcclip.model import build_fcclip
from ..fcclip.pixel_decoder import PixelFeatures
from ..fcclip.reference_weights import write_reference_checkpoint
from ..fcclip.spec import MODEL_SPECS, get_spec
from ..fcclip.text import VILD_TEMPLATES, build_text_encoder
from ..panoptic import (
    Instances,
    PanopticMap,
    instance_inference,
    panoptic_from_queries,
    published_scores,
    semantic_inference,
)
from ..queries import Queries
from ..segmenter import Segmenter
from ..vocabulary import Category, Vocabulary, seen_mask
from .checks import Array, Check, Tolerance, deviation, format_report, judge
from .criterion_cases import CriterionCase, is_criterion_case, read_criterion_case
from .criterion_parity import run_criterion_parity
from .pairs import find_pairs, read_pair

__all__ = ["Check", "GoldenCase", "Tolerance", "compare", "find_cases", "format_report", "main", "run_parity"]

FEATURES = ("stem", "res2", "res3", "res4", "res5", "clip_vis_dense")
CONFIG_TO_MODEL = {
    "convnext_large": "fcclip-convnext-large",
    "convnext_base": "fcclip-convnext-base",
    "convnext_xxlarge": "fcclip-convnext-xxlarge",
    "rn50": "fcclip-r50",
    "rn101": "fcclip-r101",
    "rn50x4": "fcclip-r50x4",
    "rn50x16": "fcclip-r50x16",
    "rn50x64": "fcclip-r50x64",
}
# Where the original under other CPU kernels differs from itself by this much in its class logits, the weights make the
# decoder chaotic, and only what comes before it can be compared.
ILL_CONDITIONED = 0.5


SAMPLES = Tolerance(maximum=5e-4)
TEXT = Tolerance(maximum=1e-5)
EXACT = Tolerance(maximum=0.0)
MASKS = Tolerance(median=5e-4, p95=2e-3)
LOGITS = Tolerance(p95=5e-4)
UNEQUAL_PIXELS = Tolerance(maximum=0.002)  # 99.8 % equal


@dataclass(frozen=True, slots=True, eq=False)
class GoldenCase:
    """One stored case: `facts` from its .json, `tensors` from its .npz."""

    path: Path
    facts: dict[str, Any]
    tensors: dict[str, Array]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        return np.ascontiguousarray(self.tensors["image"])

    @property
    def vocabulary(self) -> Vocabulary:
        """The case's classes; `category_id` in its segments is the position in the list."""
        categories = tuple(
            Category(position, tuple(entry["names"].replace(", ", ",").split(",")), bool(entry["isthing"]))
            for position, entry in enumerate(self.facts["classes"])
        )
        return Vocabulary(self.name, categories)

    @property
    def model(self) -> str:
        config = str(self.facts["config"])
        name = CONFIG_TO_MODEL.get(config, config)
        if name not in MODEL_SPECS:
            raise ParityError(f"{self.path}: config {config!r} is no known model; name one with --model")
        return name

    @property
    def ill_conditioned(self) -> bool:
        return self.noise_floor("aux_pred_logits") > ILL_CONDITIONED

    def noise_floor(self, tensor: str) -> float:
        """Largest difference of the original from itself under other CPU kernels; 0 where it is not stored."""
        for key, floors in self.facts.items():
            if key.startswith("noise_floor_max") and isinstance(floors, dict):
                return float(floors.get(tensor, 0.0))
        return 0.0


def find_cases(paths: Sequence[Path | str]) -> list[GoldenCase | CriterionCase]:
    """Read cases of either kind from .json or .npz files (either of the pair), names without suffix, or folders.

    Raises:
        ParityError: nothing there, half a pair, or not a case.
    """
    return [_read_case(stem) for stem in find_pairs(paths)]


def run_parity(
    case: GoldenCase,
    *,
    weights: Path | str | None = None,
    model: str | None = None,
    device: str = "cpu",
    prepare: Callable[[Segmenter], Segmenter] | None = None,
    checkpoints: Path | None = None,
) -> list[Check]:
    """Build, fill, run and compare.

    Args:
        case: what to compare with.
        weights: an official checkpoint; None for the deterministic weights that the stored numbers were made with.
        model: a model's name; None for the case's own.
        device: where to run.
        prepare: applied to the segmenter before it runs, e.g. `optimize`.
        checkpoints: folder for the deterministic checkpoint, so that several cases share it; None for a temporary one.
    """
    segmenter = _load(get_spec(model or case.model).name, weights, device, checkpoints)
    return list(compare(case, prepare(segmenter) if prepare else segmenter))


@torch.inference_mode()
def compare(case: GoldenCase, segmenter: Segmenter) -> Iterator[Check]:
    """Run `segmenter` on the case and compare every tensor that it stores."""
    run = _Run(case, segmenter)
    stored = case.tensors
    yield from _check_text(stored, run)
    for name, ours in run.samples():
        key = f"{name}_sample"
        if key in stored:
            # Where the original's own kernels disagree by more than the tolerance, agree as well as it does.
            floor = 2 * case.noise_floor(key)
            tolerance = Tolerance(maximum=max(5e-4, floor))
            yield judge(key, deviation(stored[key], _sampled(ours, case.facts[name]["stride"])), tolerance)
    if case.ill_conditioned:
        yield Check("decoder and later", 0, 0, 0, None, "the original disagrees with itself here: not compared")
        return
    yield from _check_stages(stored, case.facts, run)
    yield from _check_masks(stored, case.facts, run)
    yield from _check_scores(stored, run)
    yield from _check_maps(stored, case.facts, run)


class _Run:
    """Everything the case stores, computed by the segmenter as it stands."""

    def __init__(self, case: GoldenCase, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.vocabulary = case.vocabulary
        model = segmenter.model
        images, valid_hw = segmenter.network_input([case.image])
        self.features: BackboneFeatures
        self.pixels: PixelFeatures
        # The published computation, stage by stage, for what only it has; then what a user runs, for all else.
        with segmenter.autocast():
            self.features, self.pixels = model.features(images)
            self.stages: list[QueryPredictions] = model.mask_decoder.forward_all_stages(self.pixels)
        self.image_pass = segmenter.image_pass(images, valid_hw)
        self.final = self.image_pass.predictions
        self.text = segmenter.text_classifier(self.vocabulary)
        self.scores = model.classify(
            self.final.class_embedding, self.image_pass.clip_embedding, self.image_pass.clip_valid, self.text
        )
        size = (case.image.shape[0], case.image.shape[1])
        # Every query is compared, so objectness decides nothing here, and its 254 names need not be encoded.
        segmenter.min_objectness = 0.0
        segmenter.objectness_vocabulary = self.vocabulary
        self.queries: Queries = segmenter.segment_tensors(images, valid_hw, [size], [self.vocabulary])[0]
        self.panoptic: PanopticMap = panoptic_from_queries(self.queries)

    def samples(self) -> Iterator[tuple[str, Tensor]]:
        named = dict(
            zip(
                FEATURES[:5],
                (self.features.stem, self.features.res2, self.features.res3, self.features.res4, self.features.res5),
                strict=True,
            )
        )
        named["clip_vis_dense"] = self.features.dense
        yield from ((f"feat_{name}", value) for name, value in named.items())
        yield from ((f"ms{level}", value) for level, value in enumerate(self.pixels.scales))
        yield "mask_features", self.pixels.mask_features

    def logits_of(self, stage: QueryPredictions) -> Array:
        """(Q, K+1) in-vocabulary logits of one decoder stage."""
        model = self.segmenter.model
        valid = torch.ones(stage.class_embedding.shape[:2], dtype=torch.bool, device=self.segmenter.device)
        scores = model.classify(stage.class_embedding, stage.class_embedding, valid, self.text)
        return _array(scores.in_vocabulary_logits[0])

    def out_of_vocabulary_logits(self) -> Array:
        """(Q, K+1): the original appends the void text here too, and drops it again."""
        model = self.segmenter.model
        void = class_logits(
            self.image_pass.clip_embedding[0], self.text, model.backbone.logit_scale, model.void_embedding.weight
        )
        return _array(void)


def _check_text(stored: dict[str, Array], run: _Run) -> Iterator[Check]:
    names = [name for category in run.vocabulary.categories for name in category.names]
    prompts = [template.format(name) for name in names for template in VILD_TEMPLATES]
    if "token_ids" in stored:
        encoder = build_text_encoder(run.segmenter.model.backbone.clip_model, run.segmenter.spec)
        tokens = _array(encoder.tokenize(prompts))
        yield judge("token_ids", deviation(stored["token_ids"], tokens), EXACT)
    if "text_classifier" in stored:
        yield judge("text_classifier", deviation(stored["text_classifier"], _array(run.text.embeddings)), TEXT)
    if "text_classifier_with_void" in stored:
        void = torch.nn.functional.normalize(run.segmenter.model.void_embedding.weight, dim=-1)
        difference = deviation(stored["text_classifier_with_void"], _array(void))
        yield judge("text_classifier_with_void", difference, TEXT)
    if "category_overlapping_mask" in stored:
        seen = seen_mask(run.vocabulary.categories, run.segmenter.training_vocabulary)
        difference = deviation(stored["category_overlapping_mask"], np.array(seen, int))
        yield judge("category_overlapping_mask", difference, EXACT)


def _check_stages(stored: dict[str, Array], facts: dict[str, Any], run: _Run) -> Iterator[Check]:
    """The auxiliary predictions: queries before the first layer, then after each but the last."""
    if "aux_pred_logits" in stored:
        ours = np.stack([run.logits_of(stage) for stage in run.stages[:-1]])
        for stage, difference in enumerate(deviation(stored["aux_pred_logits"], ours)):
            yield judge(f"aux_pred_logits[{stage}]", _per_row(difference), LOGITS)
    for stage, prediction in enumerate(run.stages[:-1]):
        key = f"aux_pred_masks_{stage}_sample"
        if key in stored:
            stride = facts["aux_pred_masks"][stage]["stride"]
            difference = deviation(stored[key], _sampled(prediction.mask_logits, stride))
            pixels = prediction.mask_logits[0, 0].numel()
            queries = np.arange(len(difference)) * stride // pixels
            yield judge(key, _per_group(difference, queries), MASKS)


def _check_masks(stored: dict[str, Array], facts: dict[str, Any], run: _Run) -> Iterator[Check]:
    masks = _array(run.final.mask_logits[0])
    if "pred_masks_every25th_f32" in stored:
        difference = deviation(stored["pred_masks_every25th_f32"], masks[::25])
        yield judge("pred_masks_every25th_f32", _per_row(difference), MASKS)
    if "pred_masks_f16" in stored:
        theirs = stored["pred_masks_f16"]
        ours = masks[:: facts["pred_masks_f16_query_stride"]]
        rounding = np.spacing(np.abs(theirs)).astype(np.float32) / 2
        difference = np.maximum(np.abs(deviation(theirs, ours)) - rounding, 0)
        yield judge("pred_masks_f16", _per_row(difference), MASKS, "beyond the stored values' rounding")
    if "pred_masks_sign_packed" in stored:
        packed = stored["pred_masks_sign_packed"]
        difference = np.full(masks.shape, np.inf)
        if packed.size == -(-masks.size // 8):
            positive = np.unpackbits(packed, count=masks.size).reshape(masks.shape).astype(bool)
            difference = np.where(positive != (masks > 0), np.abs(masks), 0)
        yield judge("pred_masks_sign_packed", _per_row(difference), MASKS, "distance from 0 where signs differ")


def _check_scores(stored: dict[str, Array], run: _Run) -> Iterator[Check]:
    if "valid_mask_at_clip_res" in stored:
        unequal = _unequal(stored["valid_mask_at_clip_res"], _array(run.image_pass.clip_valid[0]))
        yield judge("valid_mask_at_clip_res", unequal.astype(float), Tolerance(p95=0.0))
    if "pred_logits" in stored:
        difference = deviation(stored["pred_logits"], _array(run.scores.in_vocabulary_logits[0]))
        yield judge("pred_logits", _per_row(difference), LOGITS)
    if "pooled_clip_every10th" in stored:
        difference = deviation(stored["pooled_clip_every10th"], _array(run.image_pass.clip_embedding[0, ::10]))
        yield judge("pooled_clip_every10th", _per_row(difference), LOGITS)
    if "out_vocab_logits" in stored:
        difference = deviation(stored["out_vocab_logits"], run.out_of_vocabulary_logits())
        yield judge("out_vocab_logits", _per_row(difference), LOGITS)
    if "mask_cls_after_log" in stored:
        ours = _array(published_log_scores(run.scores.log_scores[0], run.scores.void_probability[0]))
        yield judge("mask_cls_after_log", _per_row(deviation(stored["mask_cls_after_log"], ours)), LOGITS)


def _check_maps(stored: dict[str, Array], facts: dict[str, Any], run: _Run) -> Iterator[Check]:
    if "panoptic_seg" in stored:
        unequal = _unequal(stored["panoptic_seg"], run.panoptic.ids).mean()
        yield Check("panoptic_seg", unequal, unequal, unequal, UNEQUAL_PIXELS, "share of unequal pixels")
    if "segments_info" in facts:
        ours = [
            {"id": segment.id, "isthing": segment.isthing, "category_id": segment.category_id}
            for segment in run.panoptic.segments
        ]
        wrong = float(ours != facts["segments_info"])
        yield Check("segments_info", wrong, wrong, wrong, EXACT, f"{len(ours)} segments, equal or not")

    probabilities = published_scores(run.queries)
    logits = run.queries.geometry.upsample(run.queries.mask_logits)
    if "sem_seg_argmax" in stored:
        semantic = semantic_inference(probabilities, logits)
        unequal = _unequal(stored["sem_seg_argmax"], _array(semantic.argmax(0))).mean()
        yield Check("sem_seg_argmax", unequal, unequal, unequal, UNEQUAL_PIXELS, "share of unequal pixels")
        if "sem_seg_stride8" in stored:
            difference = deviation(stored["sem_seg_stride8"], _array(semantic[:, ::8, ::8]))
            yield judge("sem_seg_stride8", difference, LOGITS)
    if "inst_scores_sorted" in stored:
        yield from _check_instances(
            stored, instance_inference(probabilities, logits, run.vocabulary.categories, top_k=100)
        )


def _check_instances(stored: dict[str, Array], instances: Instances) -> Iterator[Check]:
    # Which pairs are the best 100 is decided by scores that may agree to rounding, so one or two may come and go, and
    # neighbours in the order may change places.
    theirs = stored["inst_scores_sorted"]
    scores = _array(instances.scores)
    common = min(len(scores), len(theirs))
    missing = float(max(len(scores), len(theirs)) - common)
    yield Check("inst_count", missing, missing, missing, Tolerance(maximum=2), f"{len(scores)} instances")
    yield judge("inst_scores_sorted", theirs[:common] - scores[:common], LOGITS)
    unequal = stored["inst_classes_sorted"][:common] != _array(instances.classes)[:common]
    yield judge("inst_classes_sorted", unequal.astype(float), Tolerance(median=0), "equal or not")
    areas = stored["inst_areas_sorted"][:common]
    relative = (areas - _array(instances.masks.flatten(1).sum(1))[:common]) / np.maximum(areas, 1)
    yield judge("inst_areas_sorted", relative, Tolerance(median=2e-3), "relative")


def _load(model: str, weights: Path | str | None, device: str, checkpoints: Path | None) -> Segmenter:
    if weights is not None:
        return Segmenter.load(model, weights=weights, device=device, precision="fp32")
    with tempfile.TemporaryDirectory() as temporary:
        path = (checkpoints or Path(temporary)) / f"{model}-reference.pth"
        if not path.exists():
            write_reference_checkpoint(build_fcclip(get_spec(model), initialize=False), path)
        return Segmenter.load(model, weights=path, device=device, precision="fp32")


def _read_case(stem: Path) -> GoldenCase | CriterionCase:
    facts, tensors = read_pair(stem)
    if is_criterion_case(facts):
        return read_criterion_case(stem, facts, tensors)
    picture = stem.with_name(f"image_{facts.get('case')}.png")
    if "image" not in tensors and picture.is_file():
        tensors["image"] = np.asarray(Image.open(picture).convert("RGB"))
    missing = [key for key in ("config", "classes") if key not in facts] + ["image"] * ("image" not in tensors)
    sampled = [key.removesuffix("_sample") for key in tensors if key.endswith("_sample")]
    missing += [name for name in sampled if not name.startswith("aux_") and name not in facts]
    if missing:
        raise ParityError(f"{stem} is no golden case: {', '.join(missing)} missing")
    return GoldenCase(stem, facts, tensors)


def _unequal(theirs: Array, ours: Array) -> Array:
    return np.asarray(deviation(theirs, ours) != 0)


def _per_row(difference: Array) -> Array:
    """Largest difference of each query: (Q, ...) -> (Q,)."""
    largest: Array = np.abs(difference).reshape(len(difference), -1).max(1)
    return largest


def _per_group(difference: Array, groups: Array) -> Array:
    largest = np.zeros(int(groups.max()) + 1)
    np.maximum.at(largest, groups, np.abs(difference))
    return np.asarray(largest[np.unique(groups)])


def _sampled(tensor: Tensor, stride: int) -> Array:
    return _array(tensor.flatten()[::stride])


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.float().cpu().numpy() if tensor.is_floating_point() else tensor.cpu().numpy()
    return array


def main(arguments: Sequence[str]) -> int:
    """The command line: 0 if every case passes, 1 if a tensor is past its tolerance, 2 for a mistake in the call."""
    options = _parser().parse_args(arguments)
    try:
        return _compare_all(options)
    except StreamsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _compare_all(options: argparse.Namespace) -> int:
    torch.set_num_threads(options.threads or torch.get_num_threads())
    # GPUs shorten float32 to TF32 in convolutions unless told not to; parity is about float32.
    torch.backends.cudnn.allow_tf32 = False
    cases = find_cases(options.cases)
    failed = []
    with tempfile.TemporaryDirectory() as checkpoints:
        for case in cases:
            title, checks = _compare_one(case, options, Path(checkpoints))
            print(format_report(title, checks), flush=True)
            if not all(check.passed for check in checks):
                failed.append(case.name)
    print(
        f"{len(cases) - len(failed)} of {len(cases)} cases passed" + (f"; failed: {', '.join(failed)}" * bool(failed))
    )
    return 1 if failed else 0


def _compare_one(
    case: GoldenCase | CriterionCase, options: argparse.Namespace, checkpoints: Path
) -> tuple[str, list[Check]]:
    """A title and the checks below it."""
    if isinstance(case, CriterionCase):
        checks = run_criterion_parity(case, device=options.device, draws=options.draws)
        return f"{case.name} on the criterion", checks
    checks = run_parity(
        case,
        weights=options.weights,
        model=options.model,
        device=options.device,
        prepare=partial(optimize, dtype=options.dtype, compile=options.compile) if options.optimize else None,
        checkpoints=checkpoints,
    )
    return f"{case.name} on {options.model or case.model}", checks


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.parity",
        description="Compare model and criterion with stored numbers of the original FC-CLIP. Exit 1 past tolerance.",
    )
    parser.add_argument("cases", nargs="+", type=Path, metavar="CASE", help="NAME.json, NAME.npz, NAME, or a folder")
    parser.add_argument("--weights", type=Path, help="a checkpoint, instead of the deterministic weights")
    parser.add_argument("--model", help="a model's name, instead of the case's own")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:N")
    parser.add_argument("--draws", type=int, default=200, help="of random points, for the criterion (default: 200)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    parser.add_argument("--optimize", action="store_true", help="compare the optimised model: see --dtype, --compile")
    parser.add_argument("--dtype", default="fp32", help="with --optimize: fp32 (default) or bf16")
    parser.add_argument("--compile", action="store_true", help="with --optimize: through inductor")
    return parser
