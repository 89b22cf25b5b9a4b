"""Many prompts in one pass through CLIP's text encoder, as a tree of their common beginnings.

Under the causal mask a token sees what stands before it and nothing else. So what follows a prompt's end token cannot
matter, and a beginning that several prompts share ("a photo of a ...") has the same activations in all of them. The
prompts of a batch therefore become one tree: each node is a token, each path from the root a prompt, and the attention
mask lets a node see its ancestors. CLIP's 77 positions shrink to about 6 per prompt with the 14 templates.

The tree runs through open_clip's public `encode_text`, on a shallow copy of the model in which the positional
embedding, the mask and the pooling are replaced; the model itself is left alone. It computes what the full length
computes, up to rounding (`encode_full_length` in `text.py` is the plain twin).
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["PromptTree", "build_trees", "encode_tree", "encode_trimmed", "takes_trees", "text_tower"]


@dataclass(frozen=True, slots=True)
class PromptTree:
    """Prompts merged at their common beginnings.

    Attributes:
        tokens: (n,) token of each node; a parent stands before its children.
        depths: (n,) position of the token in its prompt.
        parents: (n,) index of the node before it, -1 at the start of a prompt.
        ends: (p,) node of each prompt's end token.
        prompts: (p,) which prompts these are: indices into what `build_trees` was given.
    """

    tokens: list[int]
    depths: list[int]
    parents: list[int]
    ends: list[int]
    prompts: list[int]

    def visible(self) -> Tensor:
        """(n, n) bool; row i marks node i and its ancestors."""
        visible = torch.eye(len(self.tokens), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                visible[node] |= visible[parent]
        return visible


def build_trees(sequences: Sequence[list[int]], max_tokens: int) -> Iterator[PromptTree]:
    """Trees of at most `max_tokens` nodes (more where a single prompt is longer), which hold each prompt once.

    Args:
        sequences: tokens of each prompt, from its start to its end token.
    """
    tree, children = PromptTree([], [], [], [], []), dict[tuple[int, int], int]()
    # In sorted order, prompts with a common beginning are neighbours.
    for prompt in sorted(range(len(sequences)), key=lambda i: sequences[i]):
        tokens = sequences[prompt]
        if tree.tokens and len(tree.tokens) + len(tokens) - _shared(children, tokens) > max_tokens:
            yield tree
            tree, children = PromptTree([], [], [], [], []), {}
        _insert(tree, children, prompt, tokens)
    if tree.tokens:
        yield tree


def _shared(children: dict[tuple[int, int], int], tokens: Sequence[int]) -> int:
    """How many of the first tokens the tree already holds."""
    node = -1
    for depth, token in enumerate(tokens):
        if (node, token) not in children:
            return depth
        node = children[node, token]
    return len(tokens)


def _insert(tree: PromptTree, children: dict[tuple[int, int], int], prompt: int, tokens: Sequence[int]) -> None:
    node = -1
    for depth, token in enumerate(tokens):
        if (node, token) not in children:
            children[node, token] = len(tree.tokens)
            tree.tokens.append(token)
            tree.depths.append(depth)
            tree.parents.append(node)
        node = children[node, token]
    tree.ends.append(node)
    tree.prompts.append(prompt)


def encode_tree(clip_model: nn.Module, tree: PromptTree) -> Tensor:
    """The (p, D) embeddings of a tree's prompts, in the order of `tree.prompts`, not normalised.

    Args:
        clip_model: an open_clip model for which `takes_trees` holds.
    """
    tower: Any = text_tower(clip_model)
    positions = tower.positional_embedding
    device = positions.device
    view = _shallow_copy(tower)
    hidden = torch.zeros(len(tree.tokens), len(tree.tokens)).masked_fill_(~tree.visible(), float("-inf"))
    view._buffers["attn_mask"] = hidden.to(device)
    view._parameters["positional_embedding"] = nn.Parameter(
        positions[torch.tensor(tree.depths, device=device)], requires_grad=False
    )
    setattr(view, _pooling_attribute(tower), "none")  # every node's embedding; the end tokens are picked below
    encoder = view if tower is clip_model else _shallow_copy(clip_model, text=view)
    embeddings: Tensor = encoder.encode_text(torch.tensor([tree.tokens], device=device), normalize=False)
    return embeddings[0, torch.tensor(tree.ends, device=device)]


def encode_trimmed(clip_model: nn.Module, tokens: Tensor) -> Tensor:
    """`encode_text` on as many positions as the longest prompt has, with gradients; not normalised.

    For training, where prompts are too different for a tree, and gradients must reach the positional embedding.

    Args:
        clip_model: an open_clip model for which `takes_trees` holds.
        tokens: (N, context_length) int64, zeros after the end token.
    """
    tower: Any = text_tower(clip_model)
    length = int(tokens.argmax(-1).max()) + 1  # the end token has the highest number
    view = _shallow_copy(tower)
    view._buffers["attn_mask"] = tower.attn_mask[:length, :length]
    del view._parameters["positional_embedding"]  # a slice is no parameter of its own
    view.positional_embedding = tower.positional_embedding[:length]
    encoder = view if tower is clip_model else _shallow_copy(clip_model, text=view)
    embeddings: Tensor = encoder.encode_text(tokens[:, :length], normalize=False)
    return embeddings


def takes_trees(clip_model: nn.Module) -> bool:
    """Whether the text encoder is of the kind this works for: causal, pooled at the end token, no class token."""
    tower: Any = text_tower(clip_model)
    mask = getattr(tower, "attn_mask", None)
    return (
        isinstance(mask, Tensor)
        and mask.dim() == 2
        and torch.equal(mask.cpu() == 0, torch.ones_like(mask, dtype=torch.bool, device="cpu").tril())
        and isinstance(getattr(tower, "positional_embedding", None), Tensor)
        and getattr(tower, _pooling_attribute(tower), None) == "argmax"
        and getattr(tower, "cls_emb", None) is None
        and not getattr(tower, "output_tokens", False)
    )


def text_tower(clip_model: nn.Module) -> nn.Module:
    """What holds the text encoder's parts: the model itself (open_clip's `CLIP`), or its `text` (`CustomTextCLIP`)."""
    tower = getattr(clip_model, "text", clip_model)
    assert isinstance(tower, nn.Module)
    return tower


def _pooling_attribute(tower: nn.Module) -> str:
    return "text_pool_type" if hasattr(tower, "text_pool_type") else "pool_type"


def _shallow_copy(module: nn.Module, **children: nn.Module) -> Any:
    """A module that shares all its parts with `module`, and can get others without touching it."""
    view = copy.copy(module)
    view._parameters = dict(module._parameters)
    view._buffers = dict(module._buffers)
    view._modules = {**module._modules, **children}
    return view
