"""Where the numbers of a plan come from."""

import json
from pathlib import Path
from typing import Any

import pytest

from streamseg.errors import ConfigError
from streamseg.planning.costs import BASES, load_costs
from streamseg.planning.demand import Demand
from streamseg.planning.stages import stage_times


def written(folder: Path, document: Any) -> Path:
    path = folder / "costs.json"
    path.write_text(json.dumps(document))
    return path


def throughput_row(batch: int, fps: float, **other: Any) -> dict[str, Any]:
    row = {
        "model": "fcclip-r50",
        "device": "NVIDIA L4",
        "precision": "bf16",
        "compiled": False,
        "size_hw": [1000, 1000],
    }
    return {**row, "batch": batch, "frame_fps": fps, **other}


def test_every_packaged_number_says_what_it_is() -> None:
    costs = load_costs()
    for cost in (*costs.stages.values(), *costs.flops.values(), *costs.cpu_seconds.values()):
        assert cost.basis in BASES
        assert cost.source
        assert cost.unit
        assert cost.value > 0


def test_peaks_are_those_that_the_benchmark_divides_by() -> None:
    from streamseg.benchmark.throughput import PEAK_FLOPS

    for kind, gpu in load_costs().gpus.items():
        assert gpu.peak_flops == max(flops for (name, _), flops in PEAK_FLOPS.items() if name == kind)


def test_a_pipeline_report_replaces_its_stages(tmp_path: Path) -> None:
    stages = {"decode": 2.0, "segment": 50.0, "associate": 4.0, "fuse": 6.0, "record": 1.0, "sink jsonl": 3.0}
    costs = load_costs(written(tmp_path, {"machine": {}, "pipeline": [{"size_hw": [1000, 500], "stages": stages}]}))
    assert costs["associate_ms_per_megapixel"] == 8.0
    assert costs.stages["fuse_ms_per_megapixel"].basis == "measured"
    assert costs["resize_ms_per_megapixel"] == load_costs()["resize_ms_per_megapixel"]
    times = stage_times(Demand(1, size_hw=(1000, 500)), costs)
    assert times.follow == pytest.approx(0.011)
    assert times.emit == pytest.approx(0.003)


def test_a_throughput_report_replaces_what_is_computed(tmp_path: Path) -> None:
    """Batches of 1, 4 and 8 that take 10 ms and 20 ms a frame."""
    rows = [throughput_row(batch, batch / (0.01 + 0.02 * batch)) for batch in (1, 4, 8)]
    slower = [throughput_row(8, 1.0, precision="fp32")]
    costs = load_costs(written(tmp_path, {"throughput": rows + slower}))
    time = stage_times(Demand(1, model="fcclip-r50", device="L4"), costs).device
    padded = 768 * 1344 / 1e6
    assert time.fixed_seconds == pytest.approx(0.01)
    assert time.frame_seconds == pytest.approx(0.02 * padded)
    assert time.basis == "measured"
    assert stage_times(Demand(1, model="fcclip-r50", device="H100"), costs).device.basis == "assumed"


@pytest.mark.parametrize("fps", [[20.0], [10.0, 100.0]])
def test_too_few_or_odd_batches_give_no_fixed_part(fps: list[float], tmp_path: Path) -> None:
    rows = [throughput_row(2 * (place + 1), value) for place, value in enumerate(fps)]
    [time] = load_costs(written(tmp_path, {"throughput": rows})).passes.values()
    assert time.fixed_seconds == 0
    assert time.frame_seconds > 0


def test_single_numbers_may_be_given(tmp_path: Path) -> None:
    own = {"value": 0.5, "unit": "of the peak", "basis": "measured", "source": "mine"}
    costs = load_costs(written(tmp_path, {"stages": {"share_of_peak": own}}))
    assert costs["share_of_peak"] == 0.5
    assert len(costs.stages) == len(load_costs().stages)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot read costs"),
        ("{", "is no JSON"),
        ("[]", "holds a list"),
        ("{}", "holds nothing"),
        ('{"model": []}', "holds model, expected a report"),
        ('{"pipeline": [{}]}', "lacks 'size_hw'"),
        ('{"stages": {"share_of_peak": {"valu": 1}}}', "unexpected keyword argument 'valu'"),
    ],
)
def test_other_files_are_refused(content: str | None, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=expected) as error:
        load_costs(path)
    assert "\n" not in str(error.value)
