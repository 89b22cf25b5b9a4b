"""The text encoder: against the original's numbers, against the full length, and what is remembered of it."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.model import CLIP, CustomTextCLIP
from torch import Tensor, nn

from streamseg.benchmark.text import benchmark_text, encode_names_at_full_length
from streamseg.errors import VocabularyError
from streamseg.fcclip import text
from streamseg.fcclip.backbone import build_backbone
from streamseg.fcclip.prompt_tree import PromptTree, build_trees, encode_tree, takes_trees
from streamseg.fcclip.reference_weights import reference_tensor
from streamseg.fcclip.spec import get_spec
from streamseg.fcclip.text import (
    VILD_TEMPLATES,
    TextEmbeddings,
    TextEncoder,
    build_text_encoder,
    encode_full_length,
)
from streamseg.fcclip.text_cache import EmbeddingCache

TOKENIZER = open_clip.get_tokenizer("RN50")
VISION = {"layers": [1, 1, 1, 1], "width": 8, "image_size": 64}
WORDS_THAT_FIT = 75  # with the start and the end token: 77


def tiny_clip(kind: type[nn.Module] = CLIP, *, quick_gelu: bool = False, **text_cfg: Any) -> nn.Module:
    """Three layers of CLIP's text encoder, with weights large enough to tell prompts apart."""
    torch.manual_seed(0)
    config = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 3, **text_cfg}
    model = kind(embed_dim=32, vision_cfg=VISION, text_cfg=config, quick_gelu=quick_gelu).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.normal_(std=0.1)
    return model


def tiny_encoder(model: nn.Module | None = None, **options: Any) -> TextEncoder:
    return TextEncoder(model if model is not None else tiny_clip(), TOKENIZER, **options)


def reference_encoder(model_name: str) -> TextEncoder:
    """The text side with the deterministic weights; the image side stays random."""
    spec = get_spec(model_name)
    clip_model = build_backbone(spec).clip_model
    for name, parameter in clip_model.named_parameters():
        if not name.startswith("visual."):
            parameter.data.copy_(reference_tensor(f"backbone.clip_model.{name}", parameter.shape))
    return build_text_encoder(clip_model, spec)


@pytest.fixture(scope="module")
def rn50() -> TextEncoder:
    return reference_encoder("fcclip-r50")


PROMPTS = [
    "a photo of a cat.",
    "a photo of a",  # the beginning of others
    "",
    "a photo of a small dog in the scene",
    "Ünïcödé and 東京, 1,203 things & more",
    " ".join(["dog"] * WORDS_THAT_FIT),
    "a photo of a cat.",  # twice
    "<end_of_text> what follows the end does not count",
    "a photo of a small dog, in the scene",
]


def full_length(encoder: TextEncoder, prompts: Sequence[str]) -> Tensor:
    with torch.inference_mode():
        return encode_full_length(encoder.clip_model, encoder.tokenize(prompts))


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Relative to the largest entry."""
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= tolerance * float(expected.abs().max())


# The original's numbers


@pytest.mark.parametrize("case", ["A", "B"])
def test_the_originals_classifier_rn50(rn50: TextEncoder, shared_dir: Path, case: str) -> None:
    assert_reproduces(rn50, shared_dir / "reference/golden" / f"golden_rn50_{case}")


@pytest.mark.slow
@pytest.mark.parametrize("case", ["A", "B"])
def test_the_originals_classifier_convnext_large(shared_dir: Path, case: str) -> None:
    encoder = reference_encoder("fcclip-convnext-large")
    assert_reproduces(encoder, shared_dir / "reference/golden" / f"golden_convnext_large_{case}")
    prompts = ["a photo of a cat.", "a photo of a small dog in the scene", "There is the cat in the scene"]
    assert_close(encoder.encode_prompts(prompts), full_length(encoder, prompts))


def assert_reproduces(encoder: TextEncoder, case: Path) -> None:
    classes = json.loads(case.with_suffix(".json").read_text(encoding="utf-8"))["classes"]
    names = [name.strip() for category in classes for name in category["names"].split(",")]
    with np.load(case.with_suffix(".npz")) as expected:
        token_ids, classifier = expected["token_ids"], expected["text_classifier"]
    prompts = [template.format(name) for name in names for template in VILD_TEMPLATES]
    assert np.array_equal(encoder.tokenize(prompts).numpy(), token_ids)
    assert np.abs(encoder.encode_names(names).numpy() - classifier).max() < 1e-5


# The tree against the full length


@pytest.mark.parametrize("kind", [CLIP, CustomTextCLIP])
@pytest.mark.parametrize("quick_gelu", [False, True])
@pytest.mark.parametrize("batch_size", [1, 100, 1000])
def test_tree_equals_full_length(kind: type[nn.Module], quick_gelu: bool, batch_size: int) -> None:
    encoder = tiny_encoder(tiny_clip(kind, quick_gelu=quick_gelu), batch_size=batch_size)
    found = encoder.encode_prompts(PROMPTS)
    assert takes_trees(encoder.clip_model)
    assert_close(found, full_length(encoder, PROMPTS))
    assert torch.equal(found[0], found[6]) or batch_size == 1
    assert float((found[0] - found[3]).abs().max()) > 0.1, "prompts that say different things must differ"


def test_tree_equals_full_length_rn50(rn50: TextEncoder) -> None:
    assert_close(rn50.encode_prompts(PROMPTS), full_length(rn50, PROMPTS))


def test_names_equal_the_plain_ensemble() -> None:
    encoder = tiny_encoder()
    names = ["cat", "grandfather clock", "x" * 40]
    found = encoder.encode_names(names)
    assert found.dtype == torch.float32
    assert_close(found, encode_names_at_full_length(encoder, names))
    assert_close(found.norm(dim=-1), torch.ones(3))
    templates = ("{}", "the {}")
    one = F.normalize(full_length(encoder, ["cat", "the cat"]), dim=-1).mean(0)
    assert_close(encoder.encode_names(["cat"], templates)[0], F.normalize(one, dim=-1))


def test_trees_share_beginnings() -> None:
    [tree] = build_trees([[9, 1, 2, 8], [9, 1, 8], [9, 3, 2, 8], [9, 1, 2, 8]], max_tokens=100)
    assert tree == PromptTree(
        tokens=[9, 1, 2, 8, 8, 3, 2, 8],
        depths=[0, 1, 2, 3, 2, 1, 2, 3],
        parents=[-1, 0, 1, 2, 1, 0, 5, 6],
        ends=[3, 3, 4, 7],
        prompts=[0, 3, 1, 2],
    )
    visible = tree.visible()
    assert visible[7].nonzero().flatten().tolist() == [0, 5, 6, 7]
    assert visible[4].nonzero().flatten().tolist() == [0, 1, 4]


def test_trees_keep_to_their_size_and_lose_nobody() -> None:
    generator = np.random.default_rng(0)
    sequences = [[99, *generator.integers(0, 4, generator.integers(0, 9)).tolist(), 98] for _ in range(200)]
    trees = list(build_trees(sequences, max_tokens=20))
    assert sorted(prompt for tree in trees for prompt in tree.prompts) == list(range(200))
    for tree in trees:
        assert len(tree.tokens) <= 20
        for prompt, end in zip(tree.prompts, tree.ends, strict=True):
            path = tree.visible()[end].nonzero().flatten()
            assert [tree.tokens[node] for node in path] == sequences[prompt]
            assert [tree.depths[node] for node in path] == list(range(len(path)))
    assert [len(tree.tokens) for tree in build_trees([[1] * 30, [2]], max_tokens=20)] == [30, 1]
    assert list(build_trees([], max_tokens=20)) == []


@pytest.mark.parametrize("kind", [CLIP, CustomTextCLIP])
def test_the_model_is_left_alone(kind: type[nn.Module]) -> None:
    model = tiny_clip(kind)
    before = {name: (tensor.data_ptr(), tensor.clone()) for name, tensor in model.state_dict().items()}
    holder: Any = model if kind is CLIP else model.text
    mask, positions, children = holder.attn_mask, holder.positional_embedding, list(model.named_modules())
    encoder = tiny_encoder(model)
    encoder.encode_names(["cat"])
    assert holder.attn_mask is mask
    assert holder.positional_embedding is positions
    assert list(model.named_modules()) == children
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(after[name].data_ptr() == at and torch.equal(after[name], old) for name, (at, old) in before.items())
    assert model.encode_text(TOKENIZER(["cat"])).shape == (1, 32)


def test_weights_loaded_later_are_used() -> None:
    model = tiny_clip()
    encoder = tiny_encoder(model)
    first = encoder.encode_names(["cat"])
    model.load_state_dict({name: tensor * 1.5 for name, tensor in model.state_dict().items()})
    second = encoder.encode_names(["cat"])
    assert float((first - second).abs().max()) > 0.01
    assert_close(second, encode_names_at_full_length(encoder, ["cat"]))


@pytest.mark.parametrize(
    ("kind", "config"),
    [(CustomTextCLIP, {"no_causal_mask": True}), (CustomTextCLIP, {"embed_cls": True}), (CLIP, {"pool_type": "last"})],
)
def test_another_kind_of_encoder_runs_at_full_length(
    kind: type[nn.Module], config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    encoder = tiny_encoder(tiny_clip(kind, **config))
    assert not takes_trees(encoder.clip_model)
    assert torch.equal(encoder.encode_prompts(PROMPTS), full_length(encoder, PROMPTS))
    encoder.encode_names(["cat"])
    assert [record.getMessage()[:26] for record in caplog.records] == ["text encoder: full length,"]


def test_an_encoder_that_ignores_the_mask_is_found_out(caplog: pytest.LogCaptureFixture) -> None:
    """As a later open_clip might, by asking its attention for `is_causal` instead."""
    model: Any = tiny_clip()
    forward, causal = model.transformer.forward, model.attn_mask

    def own_mask(x: Tensor, attn_mask: Tensor) -> Tensor:
        length = x.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)
        return forward(x, attn_mask=causal if attn_mask is causal else mask)

    model.transformer.forward = own_mask
    encoder = tiny_encoder(model)
    assert takes_trees(model)
    assert torch.equal(encoder.encode_prompts(PROMPTS), full_length(encoder, PROMPTS))
    assert len(caplog.records) == 1


# What the values depend on


def test_a_name_does_not_depend_on_its_neighbours(rn50: TextEncoder) -> None:
    """To the last bit: whoever filled a cache, and in which order, the maps are the same."""
    names = ["cat", "grandfather clock", "traffic light"]
    together = rn50.encode_names(names)
    alone = torch.cat([rn50.encode_names([name]) for name in reversed(names)]).flip(0)
    assert torch.equal(together, alone)
    assert torch.equal(rn50.encode_names(["cat", "cat"]), together[[0, 0]])


def test_nothing_asked_nothing_given() -> None:
    encoder = tiny_encoder()
    assert encoder.tokenize([]).shape == (0, 77)
    assert encoder.encode_prompts([]).shape == (0, 32)
    assert encoder.encode_names([]).shape == (0, 32)
    encoder.check_names([])


def test_results_can_be_trained_against() -> None:
    """Even when the first to ask was in inference mode."""
    encoder = tiny_encoder()
    embeddings = TextEmbeddings(encoder, None)
    with torch.inference_mode():
        embeddings(["cat"])
    for matrix in (embeddings(["cat"]), encoder.encode_names(["cat"]), encoder.encode_prompts(["cat"])):
        assert not matrix.is_inference()
        weight = torch.ones(32, requires_grad=True)
        (weight * matrix).sum().backward()
        assert weight.grad is not None


def test_autocast_outside_does_not_reach_it() -> None:
    encoder = tiny_encoder()
    expected = encoder.encode_names(["cat"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoder.encode_names(["cat"]), expected)


def test_weights_cast_down_are_computed_with_in_float32() -> None:
    low = tiny_clip().bfloat16()
    rounded = tiny_clip().bfloat16().float()
    found = tiny_encoder(low).encode_names(["cat"])
    assert found.dtype == torch.float32
    assert torch.equal(found, tiny_encoder(rounded).encode_names(["cat"]))
    assert next(low.parameters()).dtype == torch.bfloat16


@pytest.mark.cuda
def test_cuda_gives_what_the_cpu_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny_encoder()
    names, expected = ["cat", "grandfather clock"], tiny_encoder().encode_names(["cat", "grandfather clock"])
    encoder.clip_model.cuda()
    monkeypatch.setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32")
    found = encoder.encode_names(names)
    assert found.device.type == "cpu"
    assert_close(found, expected)
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"


# Too long


def test_tokens_are_open_clips_own() -> None:
    assert torch.equal(tiny_encoder().tokenize(PROMPTS), TOKENIZER(PROMPTS))


def test_exactly_as_long_as_clip_takes() -> None:
    encoder = tiny_encoder()
    tokens = encoder.tokenize([" ".join(["dog"] * WORDS_THAT_FIT)])
    assert tokens.shape == (1, 77)
    assert tokens[0, -1] == TOKENIZER.eot_token_id
    with pytest.raises(VocabularyError, match=r"'dog dog .*\.\.\.' needs 78 tokens as a prompt, CLIP takes at most 77"):
        encoder.tokenize(["cat", " ".join(["dog"] * (WORDS_THAT_FIT + 1))])


@pytest.mark.parametrize("ask", ["check_names", "encode_names"])
def test_the_name_that_is_too_long_is_named(ask: str) -> None:
    """It fits alone, and into some of the templates."""
    encoder = tiny_encoder()
    name = "a very " + "long " * 66 + "name"
    encoder.tokenize([name])
    with pytest.raises(VocabularyError, match=r"^'a very long long .*\.\.\.' needs 78 tokens") as caught:
        getattr(encoder, ask)(["cat", name, "dog"])
    assert len(str(caught.value)) < 200


# Fingerprint


def test_fingerprint_tells_text_encoders_apart() -> None:
    plain = tiny_encoder().fingerprint
    assert tiny_encoder().fingerprint == plain
    assert len(plain) == 16

    other_image_side: Any = tiny_clip()
    other_image_side.visual.conv1.weight.add_(1.0)
    other_image_side.logit_scale.add_(1.0)
    assert tiny_encoder(other_image_side).fingerprint == plain

    other_weights: Any = tiny_clip()
    other_weights.ln_final.weight[0] += 1e-6
    differing = {
        "weights": tiny_encoder(other_weights),
        "activation": tiny_encoder(tiny_clip(quick_gelu=True)),
        "heads": tiny_encoder(tiny_clip(heads=2)),
        "precision": tiny_encoder(tiny_clip().bfloat16()),
        "causal": tiny_encoder(tiny_clip(CustomTextCLIP, no_causal_mask=True)),
        "pooling": tiny_encoder(tiny_clip(pool_type="last")),
        "tokenizer": TextEncoder(tiny_clip(), open_clip.SimpleTokenizer(clean="canonicalize")),
    }
    fingerprints = {what: encoder.fingerprint for what, encoder in differing.items()}
    assert len({plain, *fingerprints.values()}) == len(differing) + 1, fingerprints


def test_fingerprint_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def count(tensors: object) -> str:
        calls.append(tensors)
        return "0" * 16

    monkeypatch.setattr(text, "weights_fingerprint", count)
    encoder = tiny_encoder()
    assert calls == []
    assert encoder.fingerprint == encoder.fingerprint
    assert len(calls) == 1


# Memory and disk


class CountingEncoder:
    """Stands for `TextEncoder`; remembers what it was asked."""

    def __init__(self, fingerprint: str = "0" * 16, fail_at: str | None = None) -> None:
        self.fingerprint = fingerprint
        self.fail_at = fail_at
        self.asked: list[str] = []

    def check_names(self, names: Sequence[str]) -> None:
        for name in names:
            if len(name) > 100:
                raise VocabularyError(f"{name!r} is too long")

    def encode_names(self, names: Sequence[str]) -> Tensor:
        if self.fail_at in names:
            raise KeyboardInterrupt
        self.asked += names
        return torch.tensor([self.value(name) for name in names]).reshape(len(names), 4)

    def value(self, name: str) -> list[float]:
        return [float(len(name)), float(sum(name.encode())), float(int(self.fingerprint, 16) % 97), 1.0]


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path)


def test_order_and_duplicates_are_kept() -> None:
    encoder = CountingEncoder()
    matrix = TextEmbeddings(encoder, None)(["dog", "cat", "dog", "Dog"])
    assert matrix.tolist() == [encoder.value(name) for name in ("dog", "cat", "dog", "Dog")]
    assert matrix.dtype == torch.float32
    assert encoder.asked == ["dog", "cat", "Dog"]
    assert TextEmbeddings(encoder, None)([]).shape == (0, 4)


def test_only_what_is_new_is_encoded(cache: EmbeddingCache) -> None:
    encoder = CountingEncoder()
    embeddings = TextEmbeddings(encoder, cache)
    embeddings(["dog", "cat"])
    embeddings(["cat", "cow", "dog"])
    assert encoder.asked == ["dog", "cat", "cow"]

    later = CountingEncoder()
    matrix = TextEmbeddings(later, EmbeddingCache(cache.root))(["emu", "cow", "cat"])
    assert later.asked == ["emu"]
    assert matrix.tolist() == [later.value(name) for name in ("emu", "cow", "cat")]


def test_what_another_process_stored_meanwhile_is_found(cache: EmbeddingCache) -> None:
    encoder = CountingEncoder()
    embeddings = TextEmbeddings(encoder, cache)
    embeddings(["dog"])
    TextEmbeddings(CountingEncoder(), EmbeddingCache(cache.root))(["cat"])
    embeddings(["cat", "dog"])
    assert encoder.asked == ["dog"]


def test_models_do_not_share_embeddings(cache: EmbeddingCache) -> None:
    TextEmbeddings(CountingEncoder(), cache)(["dog"])
    other = CountingEncoder(fingerprint="1" * 16)
    assert TextEmbeddings(other, cache)(["dog"]).tolist() == [other.value("dog")]
    assert other.asked == ["dog"]


def test_what_a_damaged_file_held_is_encoded_again(cache: EmbeddingCache) -> None:
    TextEmbeddings(CountingEncoder(), cache)(["dog", "cat"])
    [damaged] = cache.root.glob("*/*")
    TextEmbeddings(CountingEncoder(), cache)(["cow"])
    damaged.write_bytes(damaged.read_bytes()[:-1])
    encoder = CountingEncoder()
    names = ["cow", "cat", "dog"]
    for _ in range(2):
        assert TextEmbeddings(encoder, cache)(names).tolist() == [encoder.value(name) for name in names]
    assert encoder.asked == ["cat", "dog"]


def test_a_cache_out_of_order_costs_time_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    encoder = CountingEncoder()
    embeddings = TextEmbeddings(encoder, EmbeddingCache(tmp_path / "file" / "text"))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert embeddings(["dog", "cat"]).tolist() == [encoder.value("dog"), encoder.value("cat")]
        embeddings(["cow"])
    assert encoder.asked == ["dog", "cat", "cow"]
    assert len(caplog.records) == 1


def test_progress_counts_what_is_new(cache: EmbeddingCache) -> None:
    reports: list[tuple[int, int]] = []
    embeddings = TextEmbeddings(CountingEncoder(), cache, progress=lambda done, total: reports.append((done, total)))
    embeddings([f"name {i}" for i in range(40)])
    assert reports == [(0, 40), (16, 40), (32, 40), (40, 40)]
    reports.clear()
    embeddings(["name 1", "name 2"])
    assert reports == []


def test_an_interrupted_run_keeps_what_it_has(cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "NAMES_PER_FILE", 32)
    names = [f"name {i}" for i in range(100)]
    with pytest.raises(KeyboardInterrupt):
        TextEmbeddings(CountingEncoder(fail_at="name 90"), cache)(names)
    encoder = CountingEncoder()
    TextEmbeddings(encoder, cache)(names)
    assert encoder.asked == names[80:]


def test_a_name_that_is_too_long_is_found_before_the_work(cache: EmbeddingCache) -> None:
    encoder = CountingEncoder()
    with pytest.raises(VocabularyError):
        TextEmbeddings(encoder, cache)([*(f"name {i}" for i in range(100)), "x" * 101])
    assert encoder.asked == []


def test_a_real_encoder_behind_the_cache(cache: EmbeddingCache) -> None:
    names = ["cat", "東京"]
    first = TextEmbeddings(tiny_encoder(), cache)(names)
    assert torch.equal(first, tiny_encoder().encode_names(names))
    [folder] = cache.root.iterdir()
    assert folder.name.startswith(tiny_encoder().fingerprint)
    assert torch.equal(TextEmbeddings(tiny_encoder(), cache)(names), first)
    assert TextEmbeddings(tiny_encoder(), cache)([]).shape == (0, 32)


def test_the_measurement_measures(rn50: TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamseg.benchmark.text.build_text_encoder", lambda *_: rn50)
    report = benchmark_text(get_spec("fcclip-r50"), prompts=28, seconds=0.0)
    assert report["prompts"] == 28
    assert report["max_difference"] < 1e-5
    assert report["speedup"] > 1.0


def test_encode_tree_leaves_no_trace_in_its_results() -> None:
    """Rows come in the order of `PromptTree.prompts`."""
    encoder = tiny_encoder()
    tokens = encoder.tokenize(["dog", "cat"])
    sequences = [row[: int(row.argmax()) + 1].tolist() for row in tokens]
    [tree] = build_trees(sequences, max_tokens=100)
    with torch.inference_mode():
        assert_close(encode_tree(encoder.clip_model, tree), full_length(encoder, ["dog", "cat"])[tree.prompts])
