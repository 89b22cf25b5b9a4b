from pathlib import Path

import numpy as np
import pytest

from streamseg.errors import ConfigError, SinkError
from streamseg.runs.commits import COMMIT, Commit, read_commit, write_commit
from streamseg.sources.base import Position

TRACKER = {
    "epoch": 1,
    "empty": None,
    "name": "streamseg",
    "share": 0.25,
    "nested": [{"mask": np.eye(3, dtype=bool), "ids": np.arange(4)}, {"mask": np.zeros((0, 3)), "ids": [1, 2]}],
}


def commit(**changes: object) -> Commit:
    values: dict[str, object] = {
        "position": Position(12, 3600, 1),
        "kept": 7,
        "totals": {"decoded": 13, "dropped": {"stride": 6}},
        "tracker": TRACKER,
        "sinks": {"jsonl": {"bytes": 1234}},
    }
    return Commit(**(values | changes))  # type: ignore[arg-type]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    assert read_commit(tmp_path) is None
    write_commit(tmp_path, commit())
    found = read_commit(tmp_path)
    assert found is not None
    assert (found.position, found.kept, found.totals, found.sinks, found.done) == (
        Position(12, 3600, 1),
        7,
        {"decoded": 13, "dropped": {"stride": 6}},
        {"jsonl": {"bytes": 1234}},
        False,
    )
    nested = found.tracker["nested"]
    assert {key: found.tracker[key] for key in ("epoch", "empty", "name", "share")} == {
        key: TRACKER[key] for key in ("epoch", "empty", "name", "share")
    }
    np.testing.assert_array_equal(nested[0]["mask"], np.eye(3, dtype=bool))
    assert nested[0]["mask"].dtype == bool
    assert nested[1]["mask"].shape == (0, 3)
    assert nested[1]["ids"] == [1, 2]


def test_a_later_commit_replaces_the_earlier(tmp_path: Path) -> None:
    write_commit(tmp_path, commit())
    write_commit(tmp_path, commit(kept=8, position=Position(13, None), done=True))
    found = read_commit(tmp_path)
    assert found is not None
    assert (found.kept, found.position, found.done) == (8, Position(13, None, 0), True)
    assert [path.name for path in tmp_path.iterdir()] == [COMMIT]


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_damaged_commit_is_one_clear_line(keep: float, tmp_path: Path) -> None:
    write_commit(tmp_path, commit())
    content = (tmp_path / COMMIT).read_bytes()
    (tmp_path / COMMIT).write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(ConfigError, match=r"commit.npz' is damaged .*--overwrite") as caught:
        read_commit(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_gone_is_a_sink_error(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot write"):
        write_commit(tmp_path / "gone", commit())
