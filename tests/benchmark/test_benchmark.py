"""The benchmark itself: its figures are what their names say. How large they are is not tested: machines differ."""

import json
import mmap
from pathlib import Path

import numpy as np
import pytest
import torch

from streamseg.benchmark import command, tables
from streamseg.benchmark.machine import describe_machine, peak_memory_bytes, reset_peak_memory
from streamseg.benchmark.model import VARIANTS, Variant, benchmark_model, made_up_picture
from streamseg.benchmark.throughput import benchmark_throughput

SMALL = (64, 96)


@pytest.fixture(scope="module")
def timing() -> dict[str, object]:
    return benchmark_model("demo-untrained", Variant("fp32"), size_hw=SMALL, runs=3).to_dict()


def test_figures_are_consistent(timing: dict[str, object]) -> None:
    assert timing["size_hw"] == SMALL
    assert 0 < timing["trunks_low"] <= timing["trunks"] <= timing["trunks_high"]  # type: ignore[operator]
    assert timing["trunk_seconds"] < timing["frame_seconds"]  # type: ignore[operator]
    assert 0 <= timing["queries"] <= 60  # type: ignore[operator]


def test_stages_tell_the_parts_apart(timing: dict[str, object]) -> None:
    stages = timing["stages"]
    assert isinstance(stages, dict)
    assert set(stages) == set(tables.STAGES)
    assert all(share > 0 for share in stages.values())


def test_a_narrow_trunk_is_not_its_own_baseline() -> None:
    """In bf16 the model's trunk is cast, and the baseline must stay float32."""
    result = benchmark_model("demo-untrained", Variant("bf16", dtype="bf16"), size_hw=SMALL, runs=1)
    assert result.trunks > 0
    assert set(result.stages) == set(tables.STAGES)


def test_picture_is_the_same_every_time() -> None:
    assert (made_up_picture(SMALL) == made_up_picture(SMALL)).all()
    assert made_up_picture(SMALL).std() > 20


def test_peak_memory_sees_an_allocation() -> None:
    reset_peak_memory()
    before = peak_memory_bytes()
    block = np.frombuffer(mmap.mmap(-1, 64 << 20), np.uint8)  # new pages: the heap may have kept some
    block[:] = 1
    assert peak_memory_bytes() - before > 32 << 20
    del block


def test_machine_is_named() -> None:
    facts = describe_machine()
    assert facts["cpu"]
    assert facts["torch"] == torch.__version__.split("+")[0]


def test_command_writes_table_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "deep" / "model"
    arguments = ["model", "--model", "demo-untrained", "--variant", "fp32", "--size", "64x96", "--runs", "1"]
    assert command.main([*arguments, "--output", str(output)]) == 0
    report = json.loads(output.with_suffix(".json").read_text())
    assert [row["variant"] for row in report["model"]] == ["fp32"]
    table = output.with_suffix(".md").read_text()
    assert "| demo-untrained | fp32 | 64x96 |" in table
    assert table.strip() == capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "fcclip-r51"], "unknown model 'fcclip-r51': did you mean 'fcclip-r50'?"),
        (["--variant", "int8"], "unknown variant 'int8', expected one of 'fp32'"),
        (["--model", "demo-untrained", "--only", "fp32", "--size", "big"], "size is 'big', expected HEIGHTxWIDTH"),
    ],
)
def test_wrong_calls_get_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["model", *arguments]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def test_tables_have_a_cell_for_every_column(timing: dict[str, object]) -> None:
    text = {
        "model": "demo",
        "full_length_prompts_per_second": 1.0,
        "prompts_per_second": 9.0,
        "speedup": 9.0,
        "max_difference": 1e-7,
    }
    pictures = benchmark_throughput(
        "demo-untrained", precision="fp32", compiled=False, sizes_hw=[SMALL], batches=[2], device="cpu", runs=1
    )
    shown = (
        tables.model_table([timing]),
        tables.text_table([text]),
        tables.throughput_table([row.to_dict() for row in pictures]),
    )
    for table in shown:
        head, line, row = table.splitlines()
        assert head.count("|") == line.count("|") == row.count("|")


def test_flop_are_counted_per_frame() -> None:
    """Twice the frames in a batch is twice the work, and the count covers more than one large convolution."""
    one, two = benchmark_throughput(
        "demo-untrained", precision="fp32", compiled=False, sizes_hw=[SMALL], batches=[1, 2], device="cpu", runs=1
    )
    assert one.flop_per_frame == pytest.approx(two.flop_per_frame, rel=1e-6)
    convolution = 2 * 16 * 24 * 128 * 128 * 9  # the pixel decoder's last one alone, at stride 4
    assert one.flop_per_frame > 2 * convolution
    assert one.share_of_peak is None


def test_variants_have_names_of_their_own() -> None:
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS)
