"""Ray is an extra: nothing loads it that does not need it, and its processes load no more than they need."""

import subprocess
import sys
from pathlib import Path

import pytest

from streamseg.errors import ConfigError
from streamseg.runtime.cluster import joining
from tests.runtime.small_runs import prepared

LOADED = "import sys; print(*(name for name in ('ray', 'torch') if name in sys.modules))"


def loaded_after(code: str) -> list[str]:
    finished = subprocess.run([sys.executable, "-c", f"{code}\n{LOADED}"], capture_output=True, text=True, check=True)
    return finished.stdout.split()


def test_a_run_in_one_process_does_without_ray(tmp_path: Path) -> None:
    code = f"""
import streamseg
results = streamseg.run("world:seed=1,seconds=1,fps=2,size=64x48", model="demo", output={str(tmp_path / "out")!r})
assert len(list(results)) == 2
"""
    assert loaded_after(code) == ["torch"]


def test_processes_that_decode_or_write_do_without_torch() -> None:
    pytest.importorskip("ray", reason="needs ray")
    assert loaded_after("import streamseg.runtime.cluster.decoder") == []
    assert loaded_after("import streamseg.runtime.cluster.emitting") == ["ray"]


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"runtime: ray needs Ray .*: pip install ray, or leave --runtime out"):
        prepared(runtime="ray")
    with pytest.raises(ConfigError, match="pip install"):
        joining.join(None)


def test_a_detached_run_needs_a_cluster_that_outlives_it() -> None:
    with pytest.raises(ConfigError, match=r"setting ray\.detach is True, expected ray\.address beside it"):
        prepared(runtime="ray", ray={"detach": True})
