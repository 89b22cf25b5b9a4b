"""Token tables stored in part."""

import logging
from pathlib import Path

import pytest
import torch

from streamseg.errors import WeightsError
from streamseg.fcclip.checkpoint import write_safetensors
from streamseg.fcclip.model import build_fcclip
from streamseg.fcclip.spec import get_spec
from streamseg.fcclip.text import TextEncoder, build_text_encoder
from streamseg.fcclip.weights import load_weights, official_key
from streamseg.fcclip.word_rows import UnreadWords, pack_word_rows, unpack_word_rows

KEY = "backbone.clip_model.token_embedding"


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    """Of the untrained demo, which has read the words of one line."""
    model = build_fcclip(get_spec("demo"))
    encoder = build_text_encoder(model.backbone.clip_model, model.spec)
    read = encoder.tokenize(["a photo of a red car."]).unique()
    table = encoder.clip_model.token_embedding.weight
    with torch.no_grad():
        rows = table[read].clone()
        table.zero_()
        table[read] = rows
    return encoder


def test_what_was_read_survives_and_the_rest_is_zero() -> None:
    table = torch.randn(20, 3)
    state = {f"{KEY}.weight": table, "other": torch.ones(2)}
    packed = pack_word_rows(state, torch.tensor([[7, 3, 7], [0, 19, 3]]))
    assert packed[f"{KEY}.rows"].tolist() == [0, 3, 7, 19]
    assert packed[f"{KEY}.weight"].shape == (4, 3)
    whole = unpack_word_rows(packed, 20)
    assert set(whole) == set(state)
    read = torch.zeros(20, dtype=torch.bool).index_fill_(0, torch.tensor([0, 3, 7, 19]), True)
    assert torch.equal(whole[f"{KEY}.weight"], table * read[:, None])


def test_a_whole_table_stays_as_it_is() -> None:
    table = torch.randn(20, 3)
    assert unpack_word_rows({f"{KEY}.weight": table}, 20)[f"{KEY}.weight"] is table


@pytest.mark.parametrize(
    ("rows", "values"),
    [
        (torch.tensor([0, 3]), torch.ones(3, 2)),
        (torch.tensor([3, 0, 4]), torch.ones(3, 2)),
        (torch.tensor([0, 3, 20]), torch.ones(3, 2)),
        (torch.tensor([-1, 3, 4]), torch.ones(3, 2)),
        (torch.tensor([0.0, 3.0, 4.0]), torch.ones(3, 2)),
        (torch.tensor([0, 3, 4]), None),
    ],
)
def test_rows_of_no_table(rows: torch.Tensor, values: torch.Tensor | None) -> None:
    state = {f"{KEY}.rows": rows} | ({} if values is None else {f"{KEY}.weight": values})
    with pytest.raises(WeightsError, match=r"token_embedding.rows and .*expected ascending numbers below 20"):
        unpack_word_rows(state, 20)


@pytest.mark.parametrize("apart", [False, True])
def test_files_with_a_part_of_the_table_load(apart: bool, tmp_path: Path) -> None:
    source, target = build_fcclip(get_spec("demo")), build_fcclip(get_spec("demo"))
    rows = torch.tensor([1, 5, 49407])
    state = pack_word_rows({official_key(key): value for key, value in source.state_dict().items()}, rows)
    prefix = "backbone.clip_model."
    clip = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    head = {key: value for key, value in state.items() if not key.startswith(prefix)}
    write_safetensors(tmp_path / "clip.safetensors", clip)
    write_safetensors(tmp_path / "weights.safetensors", head if apart else state)
    load_weights(target, tmp_path / "weights.safetensors", clip=tmp_path / "clip.safetensors" if apart else None)
    expected, found = source.state_dict(), target.state_dict()
    table = found.pop(f"{KEY}.weight")
    assert torch.equal(table[rows], expected[f"{KEY}.weight"][rows])
    assert table.count_nonzero() <= rows.numel() * table.shape[1]
    assert all(torch.equal(value, expected[key]) for key, value in found.items())


def test_which_names_were_read(encoder: TextEncoder) -> None:
    assert encoder.unread(["red car", "zebra", "car", "red zebra", "photo", "Car!"]) == ["zebra", "red zebra", "Car!"]
    assert encoder.unread([]) == []


def test_a_model_that_read_everything_has_nothing_to_say() -> None:
    model = build_fcclip(get_spec("demo-untrained"))
    assert build_text_encoder(model.backbone.clip_model, model.spec).unread(["zebra", "東京"]) == []


def test_other_words_have_embeddings_all_the_same(encoder: TextEncoder) -> None:
    embeddings = encoder.encode_names(["zebra", "red car"])
    assert embeddings.isfinite().all()
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(2))


def test_each_word_is_named_once(encoder: TextEncoder, caplog: pytest.LogCaptureFixture) -> None:
    notice = UnreadWords("demo", encoder)
    with caplog.at_level(logging.WARNING):
        notice(["red car", "zebra", "zebra"])
        notice(["zebra", "car"])
        notice([f"animal {index}" for index in range(10)])
    first, second = caplog.messages
    assert first == "the demo model never read 'zebra': what it calls so may be anything"
    assert second.startswith("the demo model never read 'animal 0', 'animal 1', ")
    assert "'animal 7' and 2 more: " in second
