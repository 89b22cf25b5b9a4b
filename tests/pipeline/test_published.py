"""Without tracking, a stream's results are those of the published implementation: stored numbers of the original."""

from pathlib import Path

import numpy as np
import pytest

from streamseg.config.tracking import TrackingSettings
from streamseg.fcclip.model import build_fcclip
from streamseg.fcclip.reference_weights import write_reference_checkpoint
from streamseg.fcclip.spec import get_spec
from streamseg.frames import Frame
from streamseg.parity.model_parity import find_cases
from streamseg.pipeline.tracker import Tracker
from streamseg.segmenter import Segmenter


@pytest.fixture(scope="module")
def segmenter(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    if not (shared_dir / "reference" / "golden").is_dir():
        pytest.skip("needs the stored numbers in ../shared/reference/golden")
    path = tmp_path_factory.mktemp("weights") / "rn50.pth"
    write_reference_checkpoint(build_fcclip(get_spec("fcclip-r50"), initialize=False), path)
    return Segmenter.load("fcclip-r50", weights=path, device="cpu", precision="fp32")


@pytest.mark.slow
@pytest.mark.parametrize("case", ["A", "B"])
def test_method_none_equals_the_original(case: str, segmenter: Segmenter, shared_dir: Path) -> None:
    [stored] = find_cases([shared_dir / "reference" / "golden" / f"golden_rn50_{case}.json"])
    assert not hasattr(stored, "losses")
    images, valid_hw = segmenter.network_input([stored.image])
    size = (stored.image.shape[0], stored.image.shape[1])
    [queries] = segmenter.segment_tensors(images, valid_hw, [size], [stored.vocabulary])
    result = Tracker(segmenter, TrackingSettings(method="none")).update(queries, Frame(stored.image))
    theirs = np.load(shared_dir / "reference" / "golden" / f"golden_rn50_{case}.npz")["panoptic_seg"]
    np.testing.assert_array_equal(result.panoptic, theirs)
    infos = stored.facts["segments_info"]
    shown = [info for info in infos if (theirs == info["id"]).any()]
    assert [(s.id, s.isthing, s.category_id) for s in result.segments] == [
        (info["id"], info["isthing"], info["category_id"]) for info in shown
    ]
