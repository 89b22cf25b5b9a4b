"""What distinguishes one published FC-CLIP model from another: a handful of numbers.

The mask generator is the same for every published size (Mask2Former's head: 250 queries, 256 dims, 6 pixel-decoder and
9 mask-decoder layers); the CLIP in front of it differs. `demo` uses the same code with smaller numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal

from ..errors import ConfigError

__all__ = ["DEFAULT_MODEL", "MODEL_SPECS", "ModelSpec", "get_spec"]

CLIP_PIXEL_MEAN = (122.7709383, 116.7460125, 104.09373615)
CLIP_PIXEL_STD = (68.5005327, 66.6321579, 70.32316305)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model: which CLIP, how large the mask generator, and the constants of inference.

    Attributes:
        name: what `--model` takes.
        clip_model: open_clip's name of the architecture.
        clip_tag: open_clip's name of the pretrained weights; None where this project ships them itself.
        family: which of the two CLIP trunks; decides how a mask's CLIP embedding is read out (paper section 3.3).
        force_quick_gelu: OpenAI trained its CLIP with QuickGELU; open_clip has to be told.
        backbone_channels: channels of the features at strides 4, 8, 16, 32.
        embed_dim: width of the joint image-text space.
        ensemble_on_valid_mask: queries whose mask is empty at stride 32 keep the in-vocabulary scores alone.
        alpha, beta: weight of the out-of-vocabulary classifier for seen and unseen categories (paper equation 7).
        pixel_mean, pixel_std: RGB, on the 0..255 scale.
        short_side, max_long_side: default resize in pixels (published: shortest edge 800, longest at most 1333).
        hub_repo, hub_file: where the trained head is published; None where it is not on the Hub.
        clip_config: for a CLIP that open_clip does not know: its configuration in the package's `data/models`.
        random_weights: nothing was trained; for trying the machinery without weights.
        training_vocabulary: the built-in vocabulary that the mask generator was trained on; decides which categories
            count as seen (paper equation 7), and against which words objectness is measured.
        default_vocabulary: the built-in vocabulary where the user names none, and the words that compete with a few of
            the user's own.
        packaged_weights: file name of weights in the package's `data/models`, for a model that is shipped.
        notice: what to know before one relies on the model's results, as one line; empty where there is nothing.
    """

    name: str
    clip_model: str
    clip_tag: str | None
    family: Literal["convnext", "resnet"]
    force_quick_gelu: bool
    backbone_channels: tuple[int, int, int, int]
    embed_dim: int
    ensemble_on_valid_mask: bool
    hub_repo: str | None = None
    hub_file: str | None = None
    num_queries: int = 250
    hidden_dim: int = 256
    mask_dim: int = 256
    num_heads: int = 8
    pixel_decoder_layers: int = 6
    pixel_decoder_ffn_dim: int = 1024
    num_points: int = 4
    mask_decoder_layers: int = 9
    mask_decoder_ffn_dim: int = 2048
    alpha: float = 0.4
    beta: float = 0.8
    pixel_mean: tuple[float, float, float] = CLIP_PIXEL_MEAN
    pixel_std: tuple[float, float, float] = CLIP_PIXEL_STD
    size_divisibility: int = 32
    short_side: int = 800
    max_long_side: int = 1333
    clip_config: str | None = None
    random_weights: bool = False
    training_vocabulary: str = "coco"
    default_vocabulary: str = "coco"
    packaged_weights: str | None = None
    notice: str = ""


def _convnext(name: str, clip_model: str, clip_tag: str, width: int, embed_dim: int) -> ModelSpec:
    return ModelSpec(
        name=name,
        clip_model=clip_model,
        clip_tag=clip_tag,
        family="convnext",
        force_quick_gelu=False,
        backbone_channels=(width, 2 * width, 4 * width, 8 * width),
        embed_dim=embed_dim,
        ensemble_on_valid_mask=False,
    )


def _resnet(name: str, clip_model: str, width: int, embed_dim: int) -> ModelSpec:
    return ModelSpec(
        name=name,
        clip_model=clip_model,
        clip_tag="openai",
        family="resnet",
        force_quick_gelu=True,
        backbone_channels=(4 * width, 8 * width, 16 * width, 32 * width),
        embed_dim=embed_dim,
        ensemble_on_valid_mask=True,
    )


_SPECS = (
    replace(
        _convnext("fcclip-convnext-large", "convnext_large_d_320", "laion2b_s29b_b131k_ft_soup", 192, 768),
        hub_repo="Voxel51/fc-clip",
        hub_file="model.safetensors",
    ),
    _convnext("fcclip-convnext-base", "convnext_base_w_320", "laion_aesthetic_s13b_b82k_augreg", 128, 640),
    _convnext("fcclip-convnext-xxlarge", "convnext_xxlarge", "laion2b_s34b_b82k_augreg_soup", 384, 1024),
    _resnet("fcclip-r50", "RN50", width=64, embed_dim=1024),
    _resnet("fcclip-r101", "RN101", width=64, embed_dim=512),
    _resnet("fcclip-r50x4", "RN50x4", width=80, embed_dim=640),
    _resnet("fcclip-r50x16", "RN50x16", width=96, embed_dim=768),
    _resnet("fcclip-r50x64", "RN50x64", width=128, embed_dim=1024),
)

# Small enough for ten frames a second on two CPU cores; the same code with smaller numbers.
_DEMO = ModelSpec(
    name="demo",
    clip_model="streamseg_demo",
    clip_tag=None,
    clip_config="streamseg_demo.json",
    family="convnext",
    force_quick_gelu=False,
    backbone_channels=(48, 96, 192, 384),
    embed_dim=256,
    ensemble_on_valid_mask=False,
    num_queries=60,
    hidden_dim=128,
    mask_dim=128,
    pixel_decoder_layers=2,
    pixel_decoder_ffn_dim=512,
    mask_decoder_layers=3,
    mask_decoder_ffn_dim=512,
    beta=0.0,  # chosen on tuning pictures, see docs/demo-model.md; its out-of-vocabulary classifier is weak
    short_side=192,
    max_long_side=336,
    training_vocabulary="world-training",
    default_vocabulary="world",
    packaged_weights="demo.safetensors",
    notice="the demo model knows only its procedural world of drawings: on other pictures its segments mean nothing",
)
_DEMO_UNTRAINED = replace(
    _DEMO,
    name="demo-untrained",
    packaged_weights=None,
    random_weights=True,
    notice="demo-untrained has random weights: it shows that everything runs, and its segments mean nothing",
)

MODEL_SPECS: Mapping[str, ModelSpec] = MappingProxyType({spec.name: spec for spec in (*_SPECS, _DEMO, _DEMO_UNTRAINED)})
DEFAULT_MODEL = "fcclip-convnext-large"


def get_spec(name: str) -> ModelSpec:
    """The spec called `name`; ConfigError with the nearest name where there is none."""
    if name in MODEL_SPECS:
        return MODEL_SPECS[name]
    nearest = get_close_matches(name, MODEL_SPECS, n=1, cutoff=0.3)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    raise ConfigError(f"unknown model {name!r}: {hint}known models are {', '.join(MODEL_SPECS)}")
