"""From a demand to machines."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from streamseg.errors import ConfigError
from streamseg.planning.costs import Cost, Costs, load_costs
from streamseg.planning.demand import Demand, Node
from streamseg.planning.limits import cells, limits
from streamseg.planning.placement import plan_cluster
from streamseg.planning.report import plan_document, simulated_worker
from streamseg.planning.simulation import simulate

COSTS = load_costs()


def with_costs(**values: float) -> Costs:
    changed = {name: Cost(value, "", "assumed", "a test") for name, value in values.items()}
    return replace(COSTS, stages={**COSTS.stages, **changed})


@pytest.mark.parametrize("streams", [1, 7, 100, 12345])
@pytest.mark.parametrize("device", ["L4", "H200"])
def test_workers_take_all_streams_within_their_load(streams: int, device: str) -> None:
    plan = plan_cluster(Demand(streams, fps=2, device=device), COSTS)
    assert plan.workers * plan.streams_per_worker >= streams
    assert (plan.workers - 1) * plan.streams_per_worker < streams
    assert plan.streams_per_worker * 2 <= plan.worker_capacity * 0.7
    assert plan.gpus * plan.workers_per_gpu >= plan.workers
    assert plan.nodes == max(plan.needs.values())
    assert plan.drop_share == 0


def test_every_frame_that_is_sent_is_decoded_but_not_segmented() -> None:
    plain, sent = (plan_cluster(Demand(10, fps=5, camera_fps=rate), COSTS) for rate in (None, 25))
    assert sent.cores["decode"] == pytest.approx(5 * plain.cores["decode"])
    assert sent.camera_gbit == pytest.approx(5 * plain.camera_gbit)
    assert sent.cores["follow"] == plain.cores["follow"]
    assert sent.workers == plain.workers


def test_nvdec_takes_decoding_from_the_cores() -> None:
    plan = plan_cluster(Demand(100, decoder="nvdec"), COSTS)
    assert plan.cores["decode"] == 0
    assert plan.engines == pytest.approx(100 * 10 * 0.9216 / COSTS["nvdec_megapixels_per_second"])


def test_the_interpreter_holds_a_fast_gpu_back_and_workers_share_it() -> None:
    plan = plan_cluster(Demand(100, device="H200"), with_costs(interpreter_cores=0.4))
    assert plan.held_back_by == "interpreter"
    assert plan.worker_capacity == pytest.approx(0.4 / plan.times.follow)
    assert plan.workers_per_gpu > 1
    faster = plan_cluster(Demand(100, device="H200"), with_costs(interpreter_cores=100))
    assert faster.held_back_by == "device"
    assert faster.workers < plan.workers


def test_a_stream_that_is_too_fast_loses_frames_and_says_so() -> None:
    demand = Demand(3, fps=100, device="T4")
    plan = plan_cluster(demand, COSTS)
    assert plan.streams_per_worker == 1
    assert plan.drop_share == pytest.approx(1 - plan.worker_capacity / 100)
    assert limits(plan, COSTS)[0].what == "frames of one stream in one worker"
    played = simulate(simulated_worker(plan, COSTS), seconds=30)
    assert played.drop_share == pytest.approx(plan.drop_share, abs=0.02)


def test_decoded_frames_travel_where_decoders_stand_elsewhere() -> None:
    node = Node(network_gbit=5)
    apart, near = (plan_cluster(Demand(1000, device="H100", near=near, node=node), COSTS) for near in (False, True))
    assert apart.bound_by == "network"
    assert apart.needs["network"] == math.ceil((apart.camera_gbit + apart.frame_gbit) / 3.5)
    assert near.bound_by != "network"
    assert near.nodes < apart.nodes


def test_one_machine_sends_no_frames() -> None:
    plan = plan_cluster(Demand(2, fps=2, node=Node(network_gbit=0.1)), COSTS)
    assert plan.nodes == 1


def test_what_breaks_first_at_three_sizes() -> None:
    def broken(streams: int, device: str) -> list[str]:
        plan = plan_cluster(Demand(streams, device=device), COSTS)
        return [limit.what for limit in limits(plan, COSTS) if limit.share > 1]

    assert broken(10, "H100") == []
    assert broken(1000, "H100") == []
    assert broken(100_000, "H100") == [
        "records on one disk",
        "writing on one machine",
        "actors of one cluster",
        "machines of one cluster",
    ]


def test_the_published_table_is_what_the_packaged_costs_give() -> None:
    """docs/scaling.md: GPUs and machines of its three sizes."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    rows = {line[0]: line[1:] for line in lines}
    plans = [plan_cluster(Demand(streams, device="H100"), COSTS) for streams in (10, 1000, 100_000)]
    for plan, gpus, machines in zip(plans, rows["GPUs"], rows["machines"], strict=True):
        assert gpus.startswith(f"{plan.gpus:,} H100")
        assert machines.startswith(f"{plan.nodes:,}")
    assert f"in {cells(plans[2], COSTS)} clusters" in text


def test_too_many_actors_make_several_clusters() -> None:
    plan = plan_cluster(Demand(100_000, device="H100"), COSTS)
    assert plan.actors / 10_000 > (plan.nodes + 1) / 250
    assert cells(plan, with_costs(disk_gb_per_second=1e9, ray_nodes=1e9)) >= math.ceil(plan.actors / 10_000)
    shares = {limit.what: limit.share for limit in limits(plan, COSTS) if limit.splits}
    assert cells(plan, COSTS) == math.ceil(max(shares.values()))
    assert cells(plan_cluster(Demand(10), COSTS), COSTS) == 1


def test_plan_and_simulation_agree() -> None:
    """The planned worker keeps up, and its frames arrive within the planned bounds."""
    for demand in (Demand(10, fps=5), Demand(1000, device="H100"), Demand(40, fps=1, model="fcclip-r50", device="T4")):
        plan = plan_cluster(demand, COSTS)
        played = plan_document(plan, COSTS)["simulated"]
        assert played["dropped"] == 0
        assert plan.latency.lowest * 0.7 <= played["p50_seconds"] <= played["p95_seconds"] <= plan.latency.highest
        device_load = plan.streams_per_worker * demand.fps * plan.times.device.frame_seconds
        assert device_load * 0.98 <= played["device_busy"] <= 1


@pytest.mark.parametrize(
    ("demand", "expected"),
    [
        ({"streams": 0}, "streams is 0"),
        ({"streams": 1, "fps": 0}, "fps is 0"),
        ({"streams": 1, "fps": 10, "camera_fps": 5}, "camera_fps is 5"),
        ({"streams": 1, "codec": "vp9"}, "codec is 'vp9'"),
        ({"streams": 1, "load": 2}, "load is 2"),
        ({"streams": 1, "device": "cpu", "decoder": "nvdec"}, "decoder is 'nvdec'"),
        ({"streams": 1, "device": "B9"}, "unknown GPU 'B9'"),
        ({"streams": 1, "model": "fcclip-r101"}, "arithmetic of 'fcclip-r101' is not known"),
        ({"streams": 1, "model": "demo", "device": "cpu"}, "seconds on a CPU of 'demo'"),
        ({"streams": 1, "model": "sam"}, "unknown model 'sam'"),
    ],
)
def test_mistakes_are_named(demand: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as error:
        plan_cluster(Demand(**demand), COSTS)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
