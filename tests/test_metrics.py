import numpy as np
import pytest

from streamseg.metrics import LatencyHistogram, StreamCounters


def test_percentiles_are_those_of_the_values_to_a_few_percent() -> None:
    values = np.random.default_rng(0).lognormal(-3, 1, 5000)
    histogram = LatencyHistogram()
    for value in values:
        histogram.add(float(value))
    for percent in (1, 50, 95, 99):
        expected = np.percentile(values, percent, method="inverted_cdf")
        assert histogram.percentile(percent) == pytest.approx(expected, rel=0.03)


def test_extreme_durations_stay_within_the_histogram() -> None:
    histogram = LatencyHistogram()
    assert histogram.percentile(50) is None
    histogram.add(0.0)
    assert histogram.percentile(50) == pytest.approx(1e-4)
    histogram = LatencyHistogram()
    histogram.add(1e9)
    assert histogram.percentile(50) == pytest.approx(1e4)


def test_every_frame_is_accounted_for() -> None:
    counters = StreamCounters()
    for _ in range(10):
        counters.decoded()
    counters.dropped("late", 2)
    counters.dropped("stride")
    for number in range(4):
        counters.emitted(failed=number == 0, latency_seconds=0.01, tracks=number)
    totals = counters.totals()
    assert (totals.decoded, totals.emitted, totals.failed, totals.tracks) == (10, 4, 1, 3)
    assert totals.dropped == {"late": 2, "stride": 1}
    assert totals.in_flight == 3


def test_drops_are_reported_once() -> None:
    counters = StreamCounters()
    counters.dropped("stride")
    counters.dropped("late", 3)
    assert counters.take_dropped() == {"late": 3, "stride": 1}
    assert counters.take_dropped() == {}
    assert counters.totals().dropped == {"late": 3, "stride": 1}


def test_a_run_that_goes_on_counts_on() -> None:
    counters = StreamCounters()
    counters.go_on_from({"decoded": 8, "emitted": 6, "failed": 1, "tracks": 4, "dropped": {"stride": 2}})
    counters.decoded()
    counters.emitted(failed=False, latency_seconds=0.5, tracks=3)
    totals = counters.totals()
    assert (totals.decoded, totals.emitted, totals.failed, totals.in_flight) == (9, 7, 1, 0)
    assert totals.tracks == 4
    assert totals.to_dict()["latency_seconds"]["p95"] == pytest.approx(0.5, rel=0.03)
    assert counters.take_dropped() == {}
