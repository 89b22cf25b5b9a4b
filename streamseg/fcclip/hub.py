"""Where trained weights come from when the user names no file.

The demo model's are part of the package; all others have to be fetched. The ConvNeXt-Large head is on the Hugging Face
Hub, and so is every CLIP (open_clip's own tags). The other official checkpoints are on Google Drive only, which asks
for a browser: for those, the error says where they are.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from huggingface_hub.errors import EntryNotFoundError

from ..errors import DownloadError
from .hub_transfer import FetchError, cache_folder, cached_file, fetch_file, repo_folder
from .spec import ModelSpec, get_spec

__all__ = [
    "CLIP_REPOS",
    "GOOGLE_DRIVE_IDS",
    "WeightsStatus",
    "download",
    "ensure_clip_weights",
    "ensure_weights",
    "packaged_weights",
    "weights_status",
]

# The official checkpoints, CLIP included (from the published model table).
GOOGLE_DRIVE_IDS: Mapping[str, str] = MappingProxyType(
    {
        "fcclip-convnext-large": "1-91PIns86vyNaL3CzMmDD39zKGnPMtvj",
        "fcclip-r50": "1tcB-8FNON-LwckXQbUyKcBA2G7TU65Zh",
        "fcclip-r101": "1P0mdgftReWzVbPQ0O0CSBfW3krHhTOj0",
        "fcclip-r50x4": "1nUpUsNUE22eOV9skxv9IyIkmCbg5jrIF",
        "fcclip-r50x16": "1rJu2UwwtI0VLDl9CyB8Mkgw9qHlnX70W",
        "fcclip-r50x64": "1rvfFVp5p3PZQsHp2NGVEBeYYcqgVVaZX",
    }
)

# open_clip's table from (model, tag) to the Hub. Written down because importing open_clip takes seconds, and a list of
# models should not; a test holds the two equal.
CLIP_REPOS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("convnext_base_w_320", "laion_aesthetic_s13b_b82k_augreg"): (
            "laion/CLIP-convnext_base_w_320-laion_aesthetic-s13B-b82K-augreg"
        ),
        ("convnext_large_d_320", "laion2b_s29b_b131k_ft_soup"): (
            "laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup"
        ),
        (
            "convnext_xxlarge",
            "laion2b_s34b_b82k_augreg_soup",
        ): "laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-soup",
        ("RN50", "openai"): "timm/resnet50_clip.openai",
        ("RN101", "openai"): "timm/resnet101_clip.openai",
        ("RN50x4", "openai"): "timm/resnet50x4_clip.openai",
        ("RN50x16", "openai"): "timm/resnet50x16_clip.openai",
        ("RN50x64", "openai"): "timm/resnet50x64_clip.openai",
    }
)
CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # the one without code first


@dataclass(frozen=True, slots=True)
class WeightsStatus:
    """What of a model's weights is on this machine.

    Attributes:
        model: its name.
        source: where the trained part is published, as text for people.
        head, clip: files in the cache; None where not here. `clip` equals `head` where one file holds both.
        head_bytes, clip_bytes: their sizes.
        shipped: they are part of the package.
    """

    model: str
    source: str
    head: Path | None
    head_bytes: int | None
    clip: Path | None
    clip_bytes: int | None
    shipped: bool = False

    @property
    def ready(self) -> bool:
        """The model runs without `--weights` and without the network."""
        return self.head is not None and self.clip is not None


def ensure_weights(spec: ModelSpec, *, offline: bool | None = None, progress: bool = True) -> Path:
    """The trained weights of `spec`: those in the package, or fetched once and kept in the Hugging Face cache.

    Args:
        spec: which model.
        offline: never use the network; None leaves that to HF_HUB_OFFLINE.
        progress: show a bar, if stderr is a terminal.

    Raises:
        DownloadError: not published on the Hub, offline, unreachable, refused, damaged, or no room; with the remedy.
    """
    shipped = packaged_weights(spec)
    if shipped is not None:
        return shipped
    if spec.hub_repo is None or spec.hub_file is None:
        raise DownloadError(_where_published(spec))
    try:
        return _fetch(spec, spec.hub_repo, spec.hub_file, offline, progress)
    except EntryNotFoundError as error:
        raise DownloadError(
            f"cannot fetch {spec.hub_file} for {spec.name}: {spec.hub_repo} has no such file; {_ways_out(spec)}"
        ) from error


def ensure_clip_weights(spec: ModelSpec, *, offline: bool | None = None, progress: bool = True) -> Path:
    """The published CLIP of `spec` (open_clip's tag), fetched once and kept where open_clip looks for it too.

    Arguments and errors as of `ensure_weights`.
    """
    repo = _clip_repo(spec)
    if repo is None:
        raise DownloadError(f"{spec.name} has no published CLIP: pass --weights FILE with CLIP inside")
    found = _cached_clip(repo)
    if found is not None:
        return found
    for name in CLIP_FILES:
        try:
            return _fetch(spec, repo, name, offline, progress)
        except EntryNotFoundError:
            continue
    raise DownloadError(
        f"cannot fetch the CLIP of {spec.name}: {repo} has neither {' nor '.join(CLIP_FILES)}; {_ways_out(spec)}"
    )


def packaged_weights(spec: ModelSpec) -> Path | None:
    """The file in the package with all of the model's weights, if it is shipped."""
    if spec.packaged_weights is None:
        return None
    path = files("streamseg") / "data" / "models" / spec.packaged_weights
    return path if isinstance(path, Path) and path.is_file() else None


def weights_status(spec: ModelSpec) -> WeightsStatus:
    """What is here, without asking the network."""
    shipped = packaged_weights(spec)
    if shipped is not None:
        size = shipped.stat().st_size
        return WeightsStatus(spec.name, "part of the package", shipped, size, shipped, size, shipped=True)
    on_hub = spec.hub_repo is not None and spec.hub_file is not None
    head = cached_file(spec.hub_repo, spec.hub_file) if spec.hub_repo and spec.hub_file else None
    repo = _clip_repo(spec)
    clip = head if head is not None and _holds_clip(head) else _cached_clip(repo) if repo else None
    return WeightsStatus(
        model=spec.name,
        source=f"{spec.hub_repo} on the Hugging Face Hub" if on_hub else _drive_link(spec) or "not published",
        head=head,
        head_bytes=head.stat().st_size if head else None,
        clip=clip,
        clip_bytes=clip.stat().st_size if clip else None,
    )


def download(spec: ModelSpec, *, progress: bool = True) -> tuple[Path, ...]:
    """Fetch all that `spec` needs; the paths, the trained part first. DownloadError as of `ensure_weights`.

    For a model that is shipped, the path is that of the package's own file, and nothing is fetched.
    """
    shipped = packaged_weights(spec)
    if shipped is not None:
        return (shipped,)
    head = ensure_weights(spec, progress=progress)
    return (head,) if _holds_clip(head) else (head, ensure_clip_weights(spec, progress=progress))


def _fetch(spec: ModelSpec, repo: str, name: str, offline: bool | None, progress: bool) -> Path:
    try:
        return fetch_file(repo, name, offline=offline, progress=progress)
    except FetchError as error:
        remedy = error.remedy or _ways_out(spec)
        raise DownloadError(f"cannot fetch {name} of {repo} for {spec.name}: {error.reason}; {remedy}") from error


def _clip_repo(spec: ModelSpec) -> str | None:
    return CLIP_REPOS.get((spec.clip_model, spec.clip_tag)) if spec.clip_tag else None


def _cached_clip(repo: str) -> Path | None:
    return next((found for name in CLIP_FILES if (found := cached_file(repo, name))), None)


def _holds_clip(path: Path) -> bool:
    """Whether a `.safetensors` file holds CLIP too, by the names in its header (8 bytes of length, then JSON)."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length < path.stat().st_size else {}
    except (OSError, ValueError):  # reading the weights will say what is wrong
        return False
    return any("clip_model." in key for key in header)


def _drive_link(spec: ModelSpec) -> str | None:
    drive_id = GOOGLE_DRIVE_IDS.get(spec.name)
    return f"https://drive.google.com/file/d/{drive_id}/view" if drive_id else None


def _where_published(spec: ModelSpec) -> str:
    link = _drive_link(spec)
    if spec.random_weights:
        return f"{spec.name} has random weights by definition: there is nothing to download"
    if spec.packaged_weights is not None:
        return (
            f"{spec.name} comes with its weights in the package, but {spec.packaged_weights} is missing there: install "
            f"streamseg again, pass --weights FILE, or try the machinery with --model {spec.name}-untrained"
        )
    if link is None:
        return f"no trained weights are published for {spec.name}: pass --weights FILE with weights of yours"
    return f"{spec.name} is published on Google Drive only: save {link} with a browser and pass --weights FILE"


def _ways_out(spec: ModelSpec) -> str:
    repos = [repo for repo in (spec.hub_repo, _clip_repo(spec)) if repo]
    folders = " and ".join(repo_folder(repo).name for repo in repos)
    link = _drive_link(spec)
    official = f" (the official checkpoint is at {link})" if link else ""
    demo = "demo" if packaged_weights(get_spec("demo")) else "demo-untrained"
    command = f"run `streamseg download {spec.name}`" if spec.hub_repo else "fetch it"
    return (
        f"three ways out: {command} on a machine that can and copy {folders} from ~/.cache/huggingface/hub there to "
        f"{cache_folder()} here; pass --weights FILE{official}; or try --model {demo}, which needs no download"
    )
