"""Which words a picture's caption holds, told from the picture alone: what gets contrastive learning started.

At first the image tower knows no shapes, so all captions of a batch fit all its pictures alike, and the text tower's
best answer is to make them one. From there it takes long until either tower has something that the other could use.
Classifying pictures by the words of their captions needs no text tower (SuperClass, arXiv 2411.03313), so it teaches
the image tower words from the first step, and the contrastive loss then finds features that it can align. The head that
does it is thrown away.
"""

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...world.captions import meaning
from ...world.names import COLORS, PATTERNS, SHAPES, STUFF

__all__ = ["CaptionWords"]

UNSAID = -100  # what cross entropy leaves out


class CaptionWords(nn.Module):
    """One linear classifier for each part of a caption: subject, colour, pattern, background.

    Args:
        embed_dim: width D of the image embedding.
    """

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(embed_dim, len(words)) for words in _parts())

    def forward(self, image: Tensor, captions: Sequence[str]) -> Tensor:
        """Sum of the mean cross entropies of the parts, each over the pictures whose captions say it.

        Args:
            image: (B, D) embeddings, of any length.
            captions: B lines of `world.captions.caption`.
        """
        said = torch.tensor([_places(line) for line in captions], device=image.device)
        losses = [
            F.cross_entropy(head(image.float()), said[:, part], ignore_index=UNSAID, reduction="sum")
            / (said[:, part] != UNSAID).sum().clamp(min=1)
            for part, head in enumerate(self.heads)
        ]
        return torch.stack(losses).sum()


@cache
def _parts() -> tuple[tuple[str, ...], ...]:
    things, stuff = tuple(entry.name for entry in SHAPES), tuple(entry.name for entry in STUFF)
    return things + stuff, tuple(entry.name for entry in COLORS), tuple(entry.name for entry in PATTERNS), stuff


def _places(line: str) -> list[int]:
    """Where each part of a caption stands among the words it could have been."""
    said = meaning(line)
    names = (said.subject, said.color, said.pattern, said.background)
    return [UNSAID if name is None else words.index(name) for name, words in zip(names, _parts(), strict=True)]
