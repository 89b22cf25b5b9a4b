"""Frames in, queries out: the one place where pictures meet the model.

    segmenter = Segmenter.load("fcclip-convnext-large", weights="fcclip_cocopan.pth")
    queries = segmenter.segment([frame], Vocabulary.parse("person; car; sky:stuff"))

A segmenter is passive: it starts no thread and no process, and keeps nothing between calls but caches.
"""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .errors import ConfigError
from .fcclip.classifier import ClassScores, TextClassifier, class_logits, published_log_scores
from .fcclip.hub import ensure_weights
from .fcclip.model import FCCLIP, ImagePass, build_fcclip
from .fcclip.spec import DEFAULT_MODEL, ModelSpec, get_spec
from .fcclip.text import TextEmbeddings, build_text_encoder
from .fcclip.text_cache import EmbeddingCache
from .fcclip.text_progress import TextProgress
from .fcclip.weights import load_weights, weights_fingerprint
from .fcclip.word_rows import UnreadWords
from .frame_batches import FrameBatch, Picture, batch_frames
from .preprocess import normalize_and_pad, resized_size
from .queries import MaskGeometry, Queries, ScoredQueries
from .vocabulary import Category, Vocabulary, seen_mask

__all__ = ["PRECISIONS", "Segmenter"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = ("auto", *DTYPES)
MIN_OBJECTNESS = 0.15
MAX_BATCH = 8
CLASSIFIER_CACHE_SIZE = 64  # vocabularies whose text matrix stays on the device; LVIS takes 6 MB


class Segmenter:
    """FC-CLIP behind two doors: `segment` converts and computes, `segment_tensors` only computes.

    Args:
        model: built and filled; see `Segmenter.load`.
        text: text embeddings of the same CLIP.
        device: where to compute.
        short_side, max_long_side: resize of `segment`, in pixels; None for the model's default (published: 800, 1333).
        min_objectness: queries below it are left out, unless the published merge would use them.
        max_batch: most frames per forward pass; longer lists are split.
    """

    def __init__(
        self,
        model: FCCLIP,
        text: TextEmbeddings,
        *,
        device: torch.device | str = "cpu",
        short_side: int | None = None,
        max_long_side: int | None = None,
        min_objectness: float = MIN_OBJECTNESS,
        max_batch: int = MAX_BATCH,
    ) -> None:
        spec = model.spec
        self.device = torch.device(device)
        self.precision = "fp32"  # `use_precision` changes it, together with the weights
        self.short_side = _at_least(1, short_side if short_side is not None else spec.short_side, "short_side")
        self.max_long_side = _at_least(
            1, max_long_side if max_long_side is not None else max(spec.max_long_side, self.short_side), "max_long_side"
        )
        self.min_objectness = _fraction(min_objectness, "min_objectness")
        self.max_batch = _at_least(1, max_batch, "max_batch")
        self.channels_last = False  # `optimize` sets it
        self.model = model.eval().to(self.device)
        self.text = text
        self.training_vocabulary = Vocabulary.load(spec.training_vocabulary)
        self.objectness_vocabulary = self.training_vocabulary  # against which p(void) is comparable between streams
        self._classifiers: OrderedDict[tuple[Category, ...], TextClassifier] = OrderedDict()

    @staticmethod
    def load(
        model: str = DEFAULT_MODEL,
        weights: Path | str | None = None,
        *,
        clip: Path | str | None = None,
        device: torch.device | str = "auto",
        precision: str = "auto",
        short_side: int | None = None,
        max_long_side: int | None = None,
        min_objectness: float = MIN_OBJECTNESS,
        max_batch: int = MAX_BATCH,
        text_cache: bool = True,
        progress: bool = True,
    ) -> "Segmenter":
        """Build a model and fill it.

        Args:
            model: one of `streamseg models`.
            weights: official `.pth` or `.safetensors`, with or without CLIP inside; None takes what is shipped or
                published.
            clip: for weights without CLIP: a file of it; None fetches open_clip's.
            device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1", ...
            precision: "auto" (bf16 on GPUs that have it, else fp32), "fp32", "bf16" or "fp16".
            short_side, max_long_side, min_objectness, max_batch: as in `Segmenter`.
            text_cache: keep text embeddings on disk between runs.
            progress: show bars for downloads, and for the text of large vocabularies, on a terminal.

        Raises:
            ConfigError: an unknown model, device or precision.
            WeightsError: a file that is damaged or of another model; DownloadError where nothing could be fetched.
        """
        spec = get_spec(model)
        chosen = _choose_device(device)
        network = build_fcclip(spec, initialize=spec.random_weights)
        if spec.random_weights:
            if weights is not None:
                raise ConfigError(f"{model} has random weights by definition, expected no weights file: {weights}")
        else:
            load_weights(network, weights or ensure_weights(spec, progress=progress), clip=clip, progress=progress)
        encoder = build_text_encoder(network.backbone.clip_model, spec)
        text = TextEmbeddings(
            encoder,
            EmbeddingCache() if text_cache else None,
            progress=TextProgress() if progress else None,
            notice=UnreadWords(spec.name, encoder),
        )
        segmenter = Segmenter(
            network,
            text,
            device=chosen,
            short_side=short_side,
            max_long_side=max_long_side,
            min_objectness=min_objectness,
            max_batch=max_batch,
        )
        segmenter.use_precision(_choose_precision(precision, chosen))
        return segmenter

    def use_precision(self, precision: str) -> None:
        """Compute the image pass in "fp32", "bf16" or "fp16" from now on. There is no way back: the weights are cast.

        Only what has two dimensions or more is cast, and only in CLIP's trunk, where autocast would convert 200 million
        weights again for every frame. Norms and layer scales are few, and their precision counts; the text tower keeps
        float32, so embeddings of words do not depend on this.

        Raises:
            ConfigError: an unknown precision, one that the device is no good at, or a second change.
        """
        if precision not in DTYPES:
            raise ConfigError(f"unknown dtype {precision!r}, expected fp32, bf16 or fp16")
        if self.precision != "fp32" and precision != self.precision:
            raise ConfigError(f"the weights are already in {self.precision}, expected fp32; load the segmenter again")
        if precision == "fp16" and self.device.type == "cpu":
            raise ConfigError("fp16 on a CPU is slower than fp32 and overflows, expected fp32 or bf16")
        self.precision = precision
        if precision != "fp32":
            for module in self.model.backbone.clip_model.visual.modules():
                if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                    module.to(DTYPES[precision])

    @property
    def spec(self) -> ModelSpec:
        return self.model.spec

    def identity(self) -> dict[str, Any]:
        """What decides its results, as plain values: two segmenters with equal ones give equal queries.

        Takes about a second for a gigabyte of weights.
        """
        on_gpu = self.device.type == "cuda"
        return {
            "model": self.spec.name,
            "weights": weights_fingerprint(self.model.state_dict().items()),
            "precision": self.precision,
            "device": torch.cuda.get_device_name(self.device) if on_gpu else self.device.type,
            "short_side": self.short_side,
            "max_long_side": self.max_long_side,
            "min_objectness": self.min_objectness,
            "channels_last": self.channels_last,
        }

    def __repr__(self) -> str:
        return f"Segmenter({self.spec.name!r}, {self.precision} on {self.device}, short side {self.short_side})"

    @torch.inference_mode()
    def segment(self, frames: Sequence[Picture], vocabulary: Vocabulary | Sequence[Vocabulary]) -> list[Queries]:
        """Segment pictures of any sizes.

        Args:
            frames: `Frame` objects or (H, W, 3) uint8 RGB arrays.
            vocabulary: one for all, or one per frame; the image pass is shared in any case.

        Returns:
            One `Queries` per frame, in order, equal to what a call with that frame alone gives, up to rounding.

        Raises:
            ConfigError: a picture is not (H, W, 3) uint8, or the numbers of frames and vocabularies differ.
        """
        results: dict[int, Queries] = {}
        for batch in self.batches(frames, vocabulary):
            images, valid_hw = self.network_input([batch.resized(row) for row in range(len(batch))])
            queries = self.segment_tensors(images, valid_hw, batch.output_hw, batch.vocabularies)
            results.update(zip(batch.members, queries, strict=True))
        return [results[position] for position in range(len(frames))]

    def batches(self, frames: Sequence[Picture], vocabulary: Vocabulary | Sequence[Vocabulary]) -> list[FrameBatch]:
        """The forward passes that `segment` makes of its frames; arguments and errors are the same."""
        return batch_frames(
            frames,
            vocabulary,
            input_size=self.input_size,
            divisor=self.spec.size_divisibility,
            max_batch=self.max_batch,
        )

    @torch.inference_mode()
    def segment_tensors(
        self,
        images: Tensor,
        valid_hw: Tensor,
        output_hw: Sequence[tuple[int, int]],
        vocabularies: Sequence[Vocabulary],
    ) -> list[Queries]:
        """Segment a batch that is already normalised and padded.

        Args:
            images: (B, 3, H, W) float32, H and W multiples of 32.
            valid_hw: (B, 2) int64, height and width without the padding.
            output_hw: size of each frame's map.
            vocabularies: one per frame.
        """
        image_pass = self.image_pass(images, valid_hw)
        sizes = valid_hw.tolist()
        padded_hw = (images.shape[-2], images.shape[-1])
        return [
            self._queries(image_pass, row, vocabulary, MaskGeometry(padded_hw, tuple(sizes[row]), output_hw[row]))
            for row, vocabulary in enumerate(vocabularies)
        ]

    def network_input(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> tuple[Tensor, Tensor]:
        """Pictures of one padded size, already resized, to what `segment_tensors` takes: images and `valid_hw`."""
        return normalize_and_pad(
            pictures,
            mean=self.spec.pixel_mean,
            std=self.spec.pixel_std,
            divisor=self.spec.size_divisibility,
            device=self.device,
        )

    def image_pass(self, images: Tensor, valid_hw: Tensor) -> ImagePass:
        """The part that knows no words, in the segmenter's precision."""
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with self.autocast():
            out: ImagePass = self.model(images, valid_hw)
        return out

    def autocast(self) -> AbstractContextManager[None]:
        """The segmenter's precision, for whoever calls parts of the model."""
        if self.precision == "fp32":
            return nullcontext()
        context: AbstractContextManager[None] = torch.autocast(self.device.type, dtype=DTYPES[self.precision])
        return context

    def input_size(self, size_hw: tuple[int, ...]) -> tuple[int, int]:
        """Network input for a picture of this size, before padding: (height, width)."""
        return resized_size((size_hw[0], size_hw[1]), self.short_side, self.max_long_side)

    @torch.inference_mode()
    def classify(self, queries: Queries, vocabulary: Vocabulary) -> Queries:
        """The same queries under other words; no image is needed (a changed vocabulary, live tracks).

        Only the queries that were kept take part.
        """
        scores = self.class_scores(
            queries.in_vocabulary_embedding, queries.out_of_vocabulary_embedding, queries.clip_valid, vocabulary
        )
        return queries.relabelled(vocabulary, scores.log_scores, scores.void_probability)

    @torch.inference_mode()
    def class_scores(
        self, in_embedding: Tensor, out_embedding: Tensor, valid: Tensor, vocabulary: Vocabulary
    ) -> ClassScores:
        """Scores of embeddings under a vocabulary, as `Queries` and tracks carry them.

        Args:
            in_embedding: (N, D), of the trained classifier.
            out_embedding: (N, D), of CLIP.
            valid: (N,) bool, see `Queries.clip_valid`.
            vocabulary: its background takes part.
        """
        return self.model.classify(in_embedding, out_embedding, valid, self.text_classifier(vocabulary))

    @torch.inference_mode(mode=False)  # kept for later calls, which may not be in inference mode
    def text_classifier(self, vocabulary: Vocabulary) -> TextClassifier:
        """The text matrix of a vocabulary with its background, on the segmenter's device; encoded at most once."""
        categories = vocabulary.all_categories
        classifier = self._classifiers.pop(categories, None)
        if classifier is None:
            classifier = self._encode(categories)
        self._classifiers[categories] = classifier  # at the end: used last. Threads may meet here; none may miss a key
        while len(self._classifiers) > CLASSIFIER_CACHE_SIZE:
            self._classifiers.popitem(last=False)
        return classifier

    def _encode(self, categories: tuple[Category, ...]) -> TextClassifier:
        return TextClassifier(
            self.text([name for category in categories for name in category.names]),
            tuple(len(category.names) for category in categories),
            torch.tensor(seen_mask(categories, self.training_vocabulary)),
        ).to(self.device)

    def _training_void(self, class_embedding: Tensor) -> Tensor:
        logits = class_logits(
            class_embedding,
            self.text_classifier(self.objectness_vocabulary),
            self.model.mask_decoder.logit_scale,
            self.model.void_embedding.weight,
        )
        return logits.softmax(-1)[..., -1]

    def _queries(self, image_pass: ImagePass, row: int, vocabulary: Vocabulary, geometry: MaskGeometry) -> Queries:
        scored = self.score(image_pass, row, vocabulary)
        return self.select(image_pass, row, scored, torch.nonzero(scored.kept).squeeze(1), geometry)

    @torch.inference_mode()
    def score(self, image_pass: ImagePass, row: int, vocabulary: Vocabulary) -> ScoredQueries:
        """The class step of one frame of a batch; it makes nobody wait for the device.

        Args:
            image_pass: of the batch.
            row: the frame's place in it.
            vocabulary: of the frame.
        """
        class_embedding = image_pass.predictions.class_embedding[row].float()
        clip_embedding = image_pass.clip_embedding[row].float()
        scores = self.class_scores(class_embedding, clip_embedding, image_pass.clip_valid[row], vocabulary)
        training_void = self._training_void(class_embedding)
        # Whatever the published merge would draw stays, however low its objectness: the map must not depend on it.
        published = published_log_scores(scores.log_scores, scores.void_probability)
        drawn = published.argmax(-1) != published.shape[-1] - 1
        kept = drawn | (1 - training_void >= self.min_objectness)
        return ScoredQueries(vocabulary, scores.log_scores, scores.void_probability, training_void, kept)

    @torch.inference_mode()
    def select(
        self, image_pass: ImagePass, row: int, scored: ScoredQueries, slots: Tensor, geometry: MaskGeometry
    ) -> Queries:
        """The queries of one frame that were kept.

        Args:
            image_pass, row: as of `score`.
            scored: what it returned.
            slots: (N,) int64, where `scored.kept` is true, ascending, on the segmenter's device.
            geometry: of the frame.
        """
        predictions = image_pass.predictions
        return Queries(
            vocabulary=scored.vocabulary,
            geometry=geometry,
            slots=slots,
            mask_logits=predictions.mask_logits[row][slots].float(),
            class_log_scores=scored.class_log_scores[slots],
            void_probability=scored.void_probability[slots],
            training_void_probability=scored.training_void_probability[slots],
            in_vocabulary_embedding=predictions.class_embedding[row][slots].float(),
            out_of_vocabulary_embedding=image_pass.clip_embedding[row][slots].float(),
            clip_valid=image_pass.clip_valid[row][slots],
            query_embedding=predictions.query_embedding[row][slots].float(),
            pixel_feature=predictions.pixel_feature[row][slots].float(),
            global_clip_embedding=image_pass.global_clip_embedding[row],
        )


def _choose_device(device: torch.device | str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"unknown device {device!r}, expected auto, cpu, cuda or cuda:N") from None
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device {device!r} is not there: this machine shows {torch.cuda.device_count()} CUDA devices to torch; "
            "use --device cpu, or check the driver"
        )
    return chosen


def _choose_precision(precision: str, device: torch.device) -> str:
    if precision not in PRECISIONS:
        raise ConfigError(f"unknown precision {precision!r}, expected one of {', '.join(PRECISIONS)}")
    if precision == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return precision


def _at_least(lowest: int, value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise ConfigError(f"{name} is {value!r}, expected a whole number of at least {lowest}")
    return value


def _fraction(value: float, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"{name} is {value!r}, expected a number from 0 to 1")
    return float(value)
