"""FC-CLIP, put together: one frozen convolutional CLIP, a mask generator on it, two classifiers.

`FCCLIP.forward` is the image pass, which does not know any vocabulary; `FCCLIP.classify` is the class step, one matrix
product per vocabulary. Frames that want different words share the first.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .backbone import BackboneFeatures, ClipBackbone, build_backbone
from .classifier import ClassScores, TextClassifier, class_logits, geometric_ensemble
from .mask_decoder import MaskDecoder, QueryPredictions
from .pixel_decoder import PixelDecoder, PixelFeatures
from .position import tell_compiler
from .spec import ModelSpec

__all__ = ["FCCLIP", "ImagePass", "build_fcclip"]


@dataclass(frozen=True, slots=True)
class ImagePass:
    """Everything about a batch of images that does not depend on words.

    Attributes:
        predictions: masks and embeddings of the queries.
        clip_embedding: (B, Q, D), CLIP's embedding of each masked region, not normalised.
        clip_valid: (B, Q) bool, the mask is not empty at stride 32.
        global_clip_embedding: (B, D), CLIP's embedding of the whole picture, unit length.
    """

    predictions: QueryPredictions
    clip_embedding: Tensor
    clip_valid: Tensor
    global_clip_embedding: Tensor


class FCCLIP(nn.Module):
    """The published model. Parts keep the published names, so weights map by prefix (see `weights.py`)."""

    def __init__(
        self,
        spec: ModelSpec,
        backbone: ClipBackbone,
        pixel_decoder: PixelDecoder,
        mask_decoder: MaskDecoder,
        void_embedding: nn.Embedding,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = backbone
        self.pixel_decoder = pixel_decoder
        self.mask_decoder = mask_decoder
        self.void_embedding = void_embedding

    def forward(self, images: Tensor, valid_hw: Tensor | None = None) -> ImagePass:
        """The image pass.

        Args:
            images: (B, 3, H, W), normalised, then zero-padded to multiples of 32.
            valid_hw: (B, 2) height and width in pixels without the padding; None where there is none.
        """
        features, pixels = self.features(images)
        return self.read_out(features, self.mask_decoder(pixels), valid_hw)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """See `torch.nn.Module.compile`."""
        tell_compiler()
        super().compile(*args, **kwargs)

    def features(self, images: Tensor) -> tuple[BackboneFeatures, PixelFeatures]:
        """Backbone and pixel decoder."""
        features = self.backbone(images)
        return features, self.pixel_decoder(features)

    def read_out(
        self, features: BackboneFeatures, predictions: QueryPredictions, valid_hw: Tensor | None = None
    ) -> ImagePass:
        """CLIP's view of each mask and of the whole picture."""
        dense = features.dense
        masks = F.interpolate(predictions.mask_logits, size=dense.shape[-2:], mode="bilinear", align_corners=False)
        picture = _inside(dense, valid_hw, self.spec.size_divisibility)
        embeddings = self.backbone.mask_embeddings(dense, torch.cat((masks, picture), dim=1))
        return ImagePass(
            predictions,
            clip_embedding=embeddings[:, :-1],
            clip_valid=(masks > 0).flatten(2).any(-1),
            global_clip_embedding=F.normalize(embeddings[:, -1].float(), dim=-1),
        )

    def classify(
        self, class_embedding: Tensor, clip_embedding: Tensor, clip_valid: Tensor, text: TextClassifier
    ) -> ClassScores:
        """The class step for one vocabulary: (..., Q, D) embeddings of both kinds to scores."""
        return geometric_ensemble(
            class_logits(class_embedding, text, self.mask_decoder.logit_scale, self.void_embedding.weight),
            class_logits(clip_embedding, text, self.backbone.logit_scale),
            text.seen,
            alpha=self.spec.alpha,
            beta=self.spec.beta,
            valid=clip_valid if self.spec.ensemble_on_valid_mask else None,
        )


def build_fcclip(spec: ModelSpec, *, initialize: bool = True) -> FCCLIP:
    """The model of `spec`, in eval mode, float32, on the CPU.

    Args:
        spec: which one.
        initialize: draw random weights. Without, they are whatever was in memory, to be filled from a file right away:
            the memory of weights that nobody wrote to is not taken yet, which keeps the peak of loading low.
    """
    with nullcontext() if initialize else _NoRandomWeights():
        return FCCLIP(
            spec,
            backbone=build_backbone(spec),
            pixel_decoder=PixelDecoder(spec),
            mask_decoder=MaskDecoder(spec),
            void_embedding=nn.Embedding(1, spec.embed_dim),
        ).eval()


class _NoRandomWeights(TorchFunctionMode):
    """While modules are built: random fills, and the arithmetic that shapes them, do nothing.

    Constants (ones of norms, masks) are written as ever.
    """

    SKIPPED = frozenset(
        {
            *("uniform_", "normal_", "trunc_normal_", "erfinv_", "mul_", "add_", "clamp_"),
            *("kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_"),
        }
    )

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in self.SKIPPED:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _inside(dense: Tensor, valid_hw: Tensor | None, stride: int) -> Tensor:
    """A mask of the picture without its padding: (B, 1, h, w), 1 inside and -1 outside."""
    batch, _, height, width = dense.shape
    if valid_hw is None:
        return dense.new_ones(batch, 1, height, width)
    cells = (valid_hw.to(dense.device) + stride - 1) // stride
    rows = torch.arange(height, device=dense.device) < cells[:, :1]
    columns = torch.arange(width, device=dense.device) < cells[:, 1:]
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return inside.to(dense.dtype) * 2 - 1
