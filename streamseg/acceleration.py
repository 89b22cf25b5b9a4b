"""Make a built segmenter faster without changing what it is: same class, same results within a stated tolerance.

    segmenter = optimize(Segmenter.load(...), dtype="bf16", compile=True)

Three independent switches:

- `dtype="bf16"`: CLIP's trunk and the mask generator's matrix products in bfloat16. Norms, softmaxes, coordinates and
  class scores stay in float32. Pays on GPUs and on CPUs with AVX-512 BF16 or AMX; elsewhere it is slower.
- `compile=True`: the image pass as one graph through inductor. Takes a minute or two per input size, once per process;
  every size compiles for itself, so it suits cameras and videos, not folders of mixed pictures.
- `channels_last=True`: convolutions in the layout that GPUs and oneDNN prefer.
"""

import logging
import warnings
from typing import Any

import torch

from .segmenter import DTYPES, Segmenter

__all__ = ["optimize"]

logger = logging.getLogger(__name__)

COMPILED_SIZES = 64  # network input sizes that one process may compile; torch's own limit of 8 suits training


def optimize(
    segmenter: Segmenter,
    *,
    dtype: torch.dtype | str | None = None,
    compile: bool = False,
    channels_last: bool = False,
) -> Segmenter:
    """Optimise `segmenter` in place and return it.

    Args:
        segmenter: as `Segmenter.load` returns it.
        dtype: "fp32", "bf16", "fp16" or the torch dtype; None keeps the segmenter's precision.
        compile: see above. On CPUs the weights are packed for the graph, which keeps a second copy of them.
        channels_last: see above.

    Raises:
        ConfigError: an unknown dtype, or one that the device cannot compute in.
    """
    if dtype is not None:
        segmenter.use_precision(_precision_name(dtype))
    if channels_last:
        segmenter.model.backbone.to(memory_format=torch.channels_last)
        segmenter.channels_last = True
    if compile:
        _compile(segmenter)
    return segmenter


def _precision_name(dtype: torch.dtype | str) -> str:
    names = {value: name for name, value in DTYPES.items()}
    return dtype if isinstance(dtype, str) else names.get(dtype, str(dtype))


def _compile(segmenter: Segmenter) -> None:
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, COMPILED_SIZES)
    # Freezing folds the weights into the graph and packs them for the CPU's matrix kernels.
    options: dict[str, Any] = {"freezing": True} if segmenter.device.type == "cpu" else {}
    # Dynamo mentions a GPU that is not there, and details of its own tracing, neither of which a user can act on.
    warnings.filterwarnings("ignore", module=r"torch\._(dynamo|inductor).*")
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    segmenter.model.compile(dynamic=False, options=options)
    logger.info("compile: the first frame of every input size takes a minute or two")
