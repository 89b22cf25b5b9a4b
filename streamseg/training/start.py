"""Where a run starts: the frozen CLIP, the mask generator on it, and the text encoder."""

import torch
from torch import Tensor

from ..errors import ConfigError
from ..fcclip.model import FCCLIP, build_fcclip
from ..fcclip.spec import ModelSpec, get_spec
from ..fcclip.text import TextEmbeddings, build_text_encoder
from ..fcclip.text_cache import EmbeddingCache
from ..fcclip.text_progress import TextProgress
from ..fcclip.weights import load_clip, load_weights, weights_fingerprint
from .initialize import initialize_head
from .settings import RANDOM_CLIP, Precision, TrainSettings

__all__ = ["build_model", "choose_autocast", "choose_device", "clip_fingerprint", "head_state", "text_embeddings"]

CLIP_PREFIX = "backbone."


def build_model(settings: TrainSettings, *, progress: bool = True) -> FCCLIP:
    """The model of a new run on the CPU: CLIP from `settings.clip`, the rest from `settings.init` or drawn.

    Raises:
        WeightsError: a file is damaged or of another model; DownloadError where CLIP could not be fetched.
        ConfigError: `init` together with a random CLIP.
    """
    spec = get_spec(settings.model)
    if settings.clip == RANDOM_CLIP:
        if settings.init is not None:
            raise ConfigError(f"init is {settings.init!r} with clip random: expected the CLIP that it learned on")
        return _random_model(spec, settings.seed, settings.temperature)
    model = build_fcclip(spec, initialize=False)
    if settings.init is not None:
        load_weights(model, settings.init, clip=settings.clip, progress=progress)
    else:
        initialize_head(model, settings.seed, settings.temperature)
        load_clip(model, settings.clip, progress=progress)
    return model


def head_state(model: FCCLIP) -> dict[str, Tensor]:
    """Everything that is trained, by our names: the model's own tensors, not copies."""
    return {key: value for key, value in model.state_dict().items() if not key.startswith(CLIP_PREFIX)}


def clip_fingerprint(model: FCCLIP) -> str:
    """Changes with any weight of CLIP; training must leave it as it is."""
    return weights_fingerprint(model.backbone.state_dict().items())


def text_embeddings(model: FCCLIP, *, keep: bool, progress: bool = True) -> TextEmbeddings:
    """Words to vectors with the model's CLIP; `keep` them on disk unless CLIP is random."""
    return TextEmbeddings(
        build_text_encoder(model.backbone.clip_model, model.spec),
        EmbeddingCache() if keep else None,
        progress=TextProgress() if progress else None,
    )


def choose_device(device: str, local_rank: int = 0) -> torch.device:
    """What "auto", "cuda", ... mean for a worker; ConfigError where it is not there."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"unknown device {device!r}, expected auto, cpu, cuda or cuda:N") from None
    if device == "cuda":
        chosen = torch.device("cuda", local_rank)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"worker {local_rank} needs device {str(chosen)!r}, and this machine shows {torch.cuda.device_count()} "
            "CUDA devices to torch: use fewer --workers, or device=cpu"
        )
    return chosen


def choose_autocast(precision: Precision, device: torch.device) -> torch.dtype | None:
    """The reduced precision of the forward pass; None for float32.

    Raises:
        ConfigError: fp16 on a CPU, where it is slow and its gradients overflow.
    """
    if precision == "auto" and device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if precision == "fp16" and device.type == "cpu":
        raise ConfigError(f"precision fp16 on {device.type}, expected fp32 or bf16 there (or device=cuda)")
    return {"auto": None, "fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _random_model(spec: ModelSpec, seed: int, temperature: float) -> FCCLIP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_fcclip(spec)
    initialize_head(model, seed, temperature)
    return model
