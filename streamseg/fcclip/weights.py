"""From a weight file to a model: names are matched, shapes checked, and only then is a single number copied.

Publishers' names differ by prefix only, and so do ours from the official ones:

    official                      ours
    backbone.clip_model.*         backbone.clip_model.*
    sem_seg_head.pixel_decoder.*  pixel_decoder.*
    sem_seg_head.predictor.*      mask_decoder.*
    void_embedding.*              void_embedding.*
    criterion.*                   (training only: dropped)

A tensor is never matched by its shape. Official checkpoints hold CLIP and the mask generator; head-only files lack
`backbone.clip_model.*`, which then comes from a CLIP file or from open_clip's published weights.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn

from ..errors import WeightsError
from .checkpoint import read_state_dict, release_pages, write_checkpoint
from .spec import MODEL_SPECS, ModelSpec
from .word_rows import unpack_word_rows

__all__ = [
    "LoadReport",
    "identify_model",
    "load_clip",
    "load_weights",
    "official_key",
    "read_state_dict",
    "save_official",
    "to_our_keys",
    "weights_fingerprint",
]

CLIP_PREFIX = "backbone.clip_model."
TOKEN_TABLE = CLIP_PREFIX + "token_embedding.weight"
EMPTY_WEIGHT_KEY = "criterion.empty_weight"

# (in files, ours): the first that matches at the start of a name, or after a wrapper's prefix, counts.
_PARTS = (
    ("backbone.clip_model.", CLIP_PREFIX),
    ("sem_seg_head.pixel_decoder.", "pixel_decoder."),
    ("sem_seg_head.predictor.", "mask_decoder."),
    ("void_embedding.", "void_embedding."),
    ("criterion.", "criterion."),
    ("clip_model.", CLIP_PREFIX),
    ("pixel_decoder.", "pixel_decoder."),
    ("mask_decoder.", "mask_decoder."),
    ("predictor.", "mask_decoder."),
)
_CLIP_ROOTS = ("visual.", "transformer.", "token_embedding.", "ln_final.")
_CLIP_LEAVES = ("positional_embedding", "text_projection", "logit_scale")
# Constants and notes that some files carry: our model computes them, or has no use for them.
_DROPPED = ("attn_mask", "input_resolution", "context_length", "vocab_size", "pixel_mean", "pixel_std")
_OPTIONAL_LEAF = "num_batches_tracked"  # a training counter of batch norm
_LISTED = 8


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What `load_weights` did.

    Attributes:
        path: the weight file.
        clip_path: where CLIP came from; equal to `path` for a file that holds both.
        num_tensors: entries of the model that were filled.
        dropped: names in the files that only training needs.
    """

    path: Path
    clip_path: Path
    num_tensors: int
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """Tensors of one file by our names, and what they are called in the file."""

    path: Path
    tensors: dict[str, Tensor]
    names: dict[str, str]
    dropped: tuple[str, ...]


def load_weights(
    model: nn.Module,
    path: Path | str,
    *,
    clip: Path | str | None = None,
    offline: bool | None = None,
    progress: bool = True,
) -> LoadReport:
    """Fill `model` from a weight file. All or nothing: on an error the model is as it was.

    Half-precision files are widened to the model's own type, tensor by tensor, so memory never holds the weights twice.
    A token table that is stored in part (`word_rows.py`) gets zeros for the rest.

    Args:
        model: an `FCCLIP` (its `spec` says which).
        path: official `.pth`, or `.safetensors`; with CLIP or the mask generator alone.
        clip: for head-only files, where CLIP is: a state dict in open_clip's names, or any file that holds CLIP for
            this model. None: open_clip's published weights, from the cache or fetched.
        offline, progress: for that fetch, as in `hub.ensure_clip_weights`.

    Raises:
        WeightsError: the file cannot be read, or is not of this model; names what is missing, left over or mis-shaped.
        DownloadError: CLIP is needed and cannot be fetched.
    """
    spec: ModelSpec = model.spec  # type: ignore[assignment]
    targets = {key: value for key, value in model.state_dict().items() if not key.endswith(".attn_mask")}
    table_rows = len(targets[TOKEN_TABLE])
    part = _read_part(Path(path), table_rows)
    holds_clip = any(key.startswith(CLIP_PREFIX) for key in part.tensors)
    if holds_clip:
        if clip is not None:
            raise WeightsError(
                f"{path} holds CLIP already, so it cannot be combined with the CLIP of {clip}: leave that out"
            )
        _check(spec, part, targets)
        _copy(part, targets)
        return LoadReport(part.path, part.path, len(targets), part.dropped)

    head = {key: value for key, value in targets.items() if not key.startswith(CLIP_PREFIX)}
    _check(spec, part, head)
    clip_path = Path(clip) if clip is not None else _fetch_clip(spec, offline, progress)
    clip_part = _read_clip_part(clip_path, table_rows)
    _check(spec, clip_part, {key: value for key, value in targets.items() if key not in head})
    _copy(part, targets)
    _copy(clip_part, targets)
    return LoadReport(part.path, clip_part.path, len(targets), part.dropped + clip_part.dropped)


def load_clip(
    model: nn.Module, clip: Path | str | None = None, *, offline: bool | None = None, progress: bool = True
) -> LoadReport:
    """Fill the CLIP of `model` alone; arguments and errors as of `load_weights`."""
    spec: ModelSpec = model.spec  # type: ignore[assignment]
    targets = {key: value for key, value in model.state_dict().items() if key.startswith(CLIP_PREFIX)}
    targets = {key: value for key, value in targets.items() if not key.endswith(".attn_mask")}
    clip_path = Path(clip) if clip is not None else _fetch_clip(spec, offline, progress)
    part = _read_clip_part(clip_path, len(targets[TOKEN_TABLE]))
    _check(spec, part, targets)
    _copy(part, targets)
    return LoadReport(part.path, part.path, len(targets), part.dropped)


def to_our_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under our names, whatever its publisher put in front of them. Unknown names stay as they are.

    Raises:
        WeightsError: two entries get the same name.
    """
    return {ours: state[name] for ours, name in _our_names(state).items()}


def official_key(key: str) -> str:
    """The official name of our entry `key`."""
    for official, ours in _PARTS[:4]:
        if key.startswith(ours):
            return official + key.removeprefix(ours)
    return key


def save_official(model: nn.Module, path: Path | str, *, empty_weight: Tensor | None = None) -> None:
    """Write the official layout, `{"model": state dict}`, in one step.

    Args:
        model: an `FCCLIP`.
        path: a `.pth`; replaced if it exists. WeightsError if it cannot be written.
        empty_weight: (K + 1,), the training criterion's class weights; left out where None.
    """
    state = {official_key(key): value.detach().cpu() for key, value in model.state_dict().items()}
    if empty_weight is not None:
        state[EMPTY_WEIGHT_KEY] = empty_weight.detach().cpu()
    write_checkpoint(path, {"model": state})


def identify_model(state: Mapping[str, Tensor]) -> str | None:
    """Which published model a state dict (our names) belongs to, by its widths; None where they fit none.

    The channels at stride 4 and the width of the joint space tell all published sizes apart; the head and CLIP both
    show them.
    """
    widths = (
        ("pixel_decoder.adapter_1.weight", 1, "void_embedding.weight"),
        (CLIP_PREFIX + "visual.trunk.stem.0.weight", 0, CLIP_PREFIX + "text_projection"),
        (CLIP_PREFIX + "visual.layer1.0.conv3.weight", 0, CLIP_PREFIX + "text_projection"),
    )
    for channels_key, axis, embed_key in widths:
        if channels_key in state and embed_key in state and min(state[channels_key].ndim, state[embed_key].ndim) >= 2:
            found = state[channels_key].shape[axis], state[embed_key].shape[1]
            for spec in MODEL_SPECS.values():
                if (spec.backbone_channels[0], spec.embed_dim) == found:
                    return spec.name
    return None


def weights_fingerprint(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """16 hex digits that change with any name, type, shape or value; the order of the entries does not matter.

    About 1 GB a second; tensors on a GPU are copied over one at a time.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _our_name(name: str) -> str:
    """Everything in front of a known part is a wrapper's prefix (`module.`, `model.`, `_orig_mod.`, ...)."""
    start = 0
    while True:
        rest = name[start:]
        for theirs, ours in _PARTS:
            if rest.startswith(theirs):
                return ours + rest.removeprefix(theirs)
        dot = name.find(".", start)
        if dot < 0:
            return name
        start = dot + 1


def _our_names(names: Iterable[str]) -> dict[str, str]:
    """Our name -> name in the file."""
    found: dict[str, str] = {}
    for name in names:
        ours = _our_name(name)
        if ours in found:
            raise WeightsError(
                f"the weights hold {found[ours]} and {name}, which name the same entry: keep one of the two"
            )
        found[ours] = name
    return found


def _read_part(path: Path, table_rows: int) -> _Part:
    state = unpack_word_rows(read_state_dict(path), table_rows)
    return _select(path, state, _our_names(state))


def _read_clip_part(path: Path, table_rows: int) -> _Part:
    """CLIP out of `path`: under open_clip's own names, or within a larger checkpoint."""
    state = unpack_word_rows(read_state_dict(path), table_rows)
    names = {ours: name for ours, name in _our_names(state).items() if ours.startswith(CLIP_PREFIX)}
    if not names:
        names = {CLIP_PREFIX + _open_clip_name(name): name for name in state}
    if not any(key.startswith(CLIP_PREFIX + "visual.") for key in names):
        raise WeightsError(
            f"{path} holds no CLIP: expected open_clip's names, such as visual.*, found {_listing(list(state))}"
        )
    return _select(path, state, names)


def _open_clip_name(name: str) -> str:
    """`name` without a wrapper's prefix, and without `text.`, where open_clip's custom text towers put theirs."""
    rest = name
    while True:
        if rest.startswith(_CLIP_ROOTS) or rest in _CLIP_LEAVES:
            return rest
        _, dot, rest = rest.partition(".")
        if not dot:
            return name


def _select(path: Path, state: Mapping[str, Tensor], names: Mapping[str, str]) -> _Part:
    """Keep what a model may need, note what only training does."""
    dropped = {key for key in names if key.startswith("criterion.") or key.rpartition(".")[2] in _DROPPED}
    kept = {key: name for key, name in names.items() if key not in dropped}
    return _Part(
        path=path,
        tensors={key: state[name] for key, name in kept.items()},
        names=kept,
        dropped=tuple(sorted(names[key] for key in dropped)),
    )


def _fetch_clip(spec: ModelSpec, offline: bool | None, progress: bool) -> Path:
    from .hub import ensure_clip_weights  # only head-only files get here

    return ensure_clip_weights(spec, offline=offline, progress=progress)


def _check(spec: ModelSpec, part: _Part, targets: Mapping[str, Tensor]) -> None:
    """Raise one WeightsError that says all that is wrong."""
    missing = [key for key in targets if key not in part.tensors and not key.endswith(_OPTIONAL_LEAF)]
    left_over = [part.names[key] for key in part.tensors if key not in targets]
    misshaped = [
        f"{part.names[key]} {_describe(part.tensors[key])} instead of {_describe(value)}"
        for key, value in targets.items()
        if key in part.tensors and not _fits(part.tensors[key], value)
    ]
    if missing or left_over or misshaped:
        _refuse(spec, part, [official_key(key) for key in missing], left_over, misshaped)


def _fits(found: Tensor, expected: Tensor) -> bool:
    """The same shape, and no quantised integers for real numbers; a single number may be stored as () or (1,)."""
    same_kind = found.is_floating_point() or not expected.is_floating_point()
    return same_kind and (found.shape == expected.shape or found.numel() == expected.numel() == 1)


def _describe(tensor: Tensor) -> str:
    kind = "" if tensor.is_floating_point() else f" {tensor.dtype}".replace("torch.", "")
    return f"{tuple(tensor.shape)}{kind}"


def _refuse(spec: ModelSpec, part: _Part, missing: list[str], left_over: list[str], misshaped: list[str]) -> NoReturn:
    problems = (("missing", missing), ("left over", left_over), ("of another shape", misshaped))
    # A whole other model differs everywhere; its name says more than a list could.
    most = _LISTED if identify_model(part.tensors) in (None, spec.name) else 1
    listed = "; ".join(f"{len(keys)} {what}: {_listing(keys, most)}" for what, keys in problems if keys)
    raise WeightsError(
        f"{part.path} does not fit {spec.name} ({listed}); {_remedy(spec, part, bool(left_over or misshaped))}"
    )


def _remedy(spec: ModelSpec, part: _Part, differs: bool) -> str:
    looks_like = identify_model(part.tensors)
    if looks_like is not None and looks_like != spec.name:
        return f"it looks like {looks_like}: use --model {looks_like}, or weights of {spec.name}"
    if not any(key.startswith(("pixel_decoder.", "mask_decoder.", CLIP_PREFIX)) for key in part.tensors):
        if any(name.startswith("visual.") for name in part.tensors):
            return "it is a CLIP without a mask generator: name an FC-CLIP file, and this one as its CLIP"
        return "it is not FC-CLIP: expected the official .pth, or .safetensors with the same names"
    if differs:
        return f"expected the official weights of {spec.name}: is this file from another version, or changed?"
    return "the file is incomplete: download or copy it again"


def _listing(keys: list[str], most: int = _LISTED) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


def _copy(part: _Part, targets: Mapping[str, Tensor]) -> None:
    """Write into the model's own memory; each source is let go as soon as it is copied."""
    with torch.no_grad():
        for key in list(part.tensors):
            source = part.tensors.pop(key)
            targets[key].copy_(source.reshape(targets[key].shape))
            release_pages(source)
