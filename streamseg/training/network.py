"""The model as training runs it: frozen trunk without a graph, then the mask generator with every stage's logits."""

from collections.abc import Callable, Sequence
from dataclasses import fields

import torch
from torch import Tensor, nn

from ..fcclip.backbone import BackboneFeatures
from ..fcclip.classifier import TextClassifier, class_logits
from ..fcclip.criterion import StageLogits
from ..fcclip.model import FCCLIP
from ..fcclip.pixel_decoder import PixelFeatures
from ..fcclip.text import TextEmbeddings
from ..vocabulary import Category, Vocabulary

__all__ = ["TextClassifiers", "TrainingNetwork", "normalize"]

FEATURES = tuple(field.name for field in fields(BackboneFeatures))


class TrainingNetwork(nn.Module):
    """Pictures to logits of all stages, for deep supervision.

    Args:
        model: on its device, CLIP frozen.
        autocast: reduced precision of the forward pass; None for float32.
        pixel_decoder_fp32: float32 for the pixel decoder whatever the rest does, as published.
        channels_last: layout of the trunk's convolutions.
    """

    def __init__(
        self,
        model: FCCLIP,
        *,
        autocast: torch.dtype | None = None,
        pixel_decoder_fp32: bool = True,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.autocast = autocast
        self.pixel_decoder_fp32 = pixel_decoder_fp32
        self.channels_last = channels_last
        if channels_last:
            model.backbone.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor, text: TextClassifier) -> list[StageLogits]:
        """(B, 3, H, W) uint8 RGB, H and W multiples of 32, and a vocabulary, to logits, the last stage last."""
        device = images.device.type
        with torch.autocast(device, dtype=self.autocast, enabled=self.autocast is not None):
            pixels = self._pixel_features(self._trunk(images), device)
            stages = self.model.mask_decoder.forward_all_stages(pixels)
        decoder, void = self.model.mask_decoder, self.model.void_embedding.weight
        return [
            StageLogits(class_logits(stage.class_embedding, text, decoder.logit_scale, void), stage.mask_logits)
            for stage in stages
        ]

    @torch.no_grad()
    def _trunk(self, images: Tensor) -> BackboneFeatures:
        spec = self.model.spec
        normalized = normalize(images, spec.pixel_mean, spec.pixel_std)
        if self.channels_last:
            normalized = normalized.contiguous(memory_format=torch.channels_last)
        features: BackboneFeatures = self.model.backbone(normalized)
        return features

    def _pixel_features(self, features: BackboneFeatures, device: str) -> PixelFeatures:
        decoder: Callable[[BackboneFeatures], PixelFeatures] = self.model.pixel_decoder
        if self.autocast is None or not self.pixel_decoder_fp32:
            return decoder(features)
        widened = BackboneFeatures(**{name: getattr(features, name).float() for name in FEATURES})
        with torch.autocast(device, enabled=False):
            return decoder(widened)


class TextClassifiers:
    """Each vocabulary's text matrix on the device, encoded once (paper section 4.1: 14 prompts for every name).

    Args:
        text: embeddings of the frozen CLIP that the model carries.
        device: where training computes.
    """

    def __init__(self, text: TextEmbeddings, device: torch.device) -> None:
        self.text = text
        self.device = device
        self._known: dict[tuple[Category, ...], TextClassifier] = {}

    def __call__(self, vocabulary: Vocabulary) -> TextClassifier:
        """The classifier of the vocabulary's categories, in their order."""
        if vocabulary.categories not in self._known:
            self._known[vocabulary.categories] = self._encode(vocabulary)
        return self._known[vocabulary.categories]

    def _encode(self, vocabulary: Vocabulary) -> TextClassifier:
        categories = vocabulary.categories
        names = [name for category in categories for name in category.names]
        counts = tuple(len(category.names) for category in categories)
        # Everything that is trained on is seen.
        return TextClassifier(self.text(names), counts, torch.ones(len(categories), dtype=torch.bool)).to(self.device)


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(B, 3, H, W) uint8 to float32 with CLIP's mean and deviation (on the 0..255 scale)."""
    center = torch.tensor(mean, device=images.device)[:, None, None]
    spread = torch.tensor(std, device=images.device)[:, None, None]
    return (images.float() - center) / spread
