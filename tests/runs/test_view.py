"""Results drawn over their video: the right picture under every record, whatever was left out of it."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.errors import ConfigError, SourceError
from streamseg.frames import Frame, FrameResult
from streamseg.runs.folder import RunFolder
from streamseg.runs.footage import find_footage, missing_footage, open_footage, with_pictures
from streamseg.runs.view import View, draw_view, write_view
from streamseg.sinks.render import draw_overlay
from streamseg.sinks.video import VideoWriter
from streamseg.sources.base import Position, Skipped, SourceInfo, Stop, Wanted
from streamseg.sources.world import parse_world
from tests.runs.made_runs import FPS, SIZE_HW, failed, make_run, result

FRAMES = 6
WORLD = f"world:seed=7,seconds=0.6,size={SIZE_HW[1] * 4}x{SIZE_HW[0] * 4},fps={FPS},difficulty=0.3"
BIG_HW = (SIZE_HW[0] * 4, SIZE_HW[1] * 4)


def frame_result(index: int, **more: object) -> FrameResult:
    """A sky and a car that moves."""
    segments = {9: ("sky", (0, 0, 120, 30)), 1: ("car", (10 + 8 * index, 40, 40, 25))}
    return result(index, segments, size_hw=BIG_HW, **more)  # type: ignore[arg-type]


def world_pictures() -> list[np.ndarray]:
    return [frame.rgb for frame in parse_world(WORLD)]


def decoded(path: Path) -> tuple[list[np.ndarray], list[float]]:
    with av.open(str(path)) as container:
        frames = [(frame.to_ndarray(format="rgb24"), frame.time) for frame in container.decode(video=0)]
    return [rgb for rgb, _ in frames], [float(time or 0) for _, time in frames]


def is_like(found: np.ndarray, expected: np.ndarray) -> bool:
    """Up to what compression does."""
    return float(np.abs(found.astype(int) - expected).mean()) < 8


class TestPairing:
    """Records and pictures, side by side."""

    def paired(self, results: list[FrameResult], source: str | None = WORLD) -> list[tuple[int, int | None]]:
        """Number of the record, and of the picture of the world that it was given."""
        pictures = [rgb.tobytes() for rgb in world_pictures()]
        opened = None if source is None else open_footage(source, "cam")
        return [
            (result.index, None if rgb is None else pictures.index(rgb.tobytes()))
            for result, rgb in with_pictures(results, opened, Fraction(FPS))
        ]

    def test_every_record_gets_its_picture(self) -> None:
        assert self.paired([frame_result(index) for index in range(FRAMES)]) == [(i, i) for i in range(FRAMES)]

    def test_frames_that_stride_left_out_are_passed_over(self) -> None:
        assert self.paired([frame_result(index) for index in (1, 4)]) == [(1, 1), (4, 4)]

    def test_records_beyond_the_end_have_none(self) -> None:
        assert self.paired([frame_result(index) for index in (4, 5, 6, 7)]) == [(4, 4), (5, 5), (6, None), (7, None)]

    def test_no_source_no_pictures(self) -> None:
        assert self.paired([frame_result(0), failed(1)], None) == [(0, None), (1, None)]

    def test_no_records_no_frames(self) -> None:
        assert self.paired([]) == []

    def test_pictures_without_time_are_matched_by_number(self) -> None:
        assert self.paired([frame_result(3, timed=False)]) == [(3, 3)]

    def test_another_video_is_noticed(self) -> None:
        with pytest.raises(
            ConfigError, match=r"frame 3 of the video is at 0.150 s, expected 0.300 s as in the records"
        ):
            self.paired([frame_result(3)], WORLD.replace("fps=10", "fps=20"))

    def test_rounded_times_are_the_same(self) -> None:
        late = replace(frame_result(3), pts_ticks=303)  # of 1/1000 s
        assert self.paired([late]) == [(3, 3)]

    def test_damaged_and_missing_pictures(self) -> None:
        """A source may skip what was wanted, and may not have a number at all."""

        class Damaged:
            stream_id, kind, status, heartbeat = "cam", "recorded", "", 0.0

            def info(self) -> SourceInfo:
                return SourceInfo("recorded")

            def frames(
                self, _stop: Stop, *, wanted: Wanted, after: Position | None = None
            ) -> Iterator[Frame | Skipped]:
                assert after is None
                for index in (0, 1, 3):
                    assert wanted(index, None) == "keep"
                    rgb = np.full((*BIG_HW, 3), index, np.uint8)
                    yield Skipped(index, "damaged") if index == 1 else Frame(rgb, index)

        paired = with_pictures([frame_result(index) for index in range(4)], Damaged())  # type: ignore[arg-type]
        assert [(each.index, rgb is not None) for each, rgb in paired] == [(0, True), (1, False), (2, False), (3, True)]


FACTS = {"source": "street.mp4", "kind": "recorded", "recording": None}


class TestFootage:
    """Where the pictures are."""

    @pytest.mark.parametrize(
        ("facts", "reason"),
        [
            ({"source": "rtsp://***@cam/main", "kind": "live"}, "rtsp://***@cam/main was live"),
            ({"source": "-"}, "it came through a pipe"),
            ({"source": "https://***@host/a.mp4"}, "holds a secret that is not kept"),
            ({"source": "https://${HOST}/a.mp4"}, "holds a secret that is not kept"),
            ({"recording": "/nowhere/street.mp4"}, "/nowhere/street.mp4 is gone"),
        ],
    )
    def test_why_there_is_none(self, facts: dict[str, str], reason: str) -> None:
        found = missing_footage(FACTS | facts)
        assert found is not None
        assert reason in found

    def test_the_recording_counts_wherever_the_user_is(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.mp4"
        path.write_bytes(b"some")
        facts = FACTS | {"source": "clip.mp4", "recording": str(path)}
        assert missing_footage(facts) is None
        assert find_footage(facts, "cam").stream_id == "cam"

    def test_what_is_not_there_is_an_error(self) -> None:
        with pytest.raises(SourceError, match="no such file"):
            find_footage(FACTS, "cam")

    def test_a_live_source_is_no_recording(self) -> None:
        with pytest.raises(ConfigError, match="a live source shows other pictures now"):
            open_footage("rtsp://cam.invalid/main", "cam")


class TestDrawing:
    """What a view shows of a frame."""

    picture = world_pictures()[0]

    def test_as_the_overlay_video_does(self) -> None:
        frame = frame_result(0)
        assert np.array_equal(
            draw_view(frame, self.picture, View()), draw_overlay(self.picture, frame.panoptic, frame.segments)
        )

    def test_things_only(self) -> None:
        drawn = draw_view(frame_result(0), self.picture, View(things_only=True))
        assert np.array_equal(drawn[:30, 60:], self.picture[:30, 60:])
        assert not np.array_equal(drawn[40:65, 10:50], self.picture[40:65, 10:50])

    def test_one_track(self) -> None:
        drawn = draw_view(frame_result(0), self.picture, View(ids=frozenset({9})))
        assert np.array_equal(drawn[45:65], self.picture[45:65])
        assert np.array_equal(draw_view(frame_result(0), self.picture, View(ids=frozenset({77}))), self.picture)

    def test_black_where_there_is_no_picture(self) -> None:
        drawn = draw_view(frame_result(0), None, View())
        assert drawn.shape == (*BIG_HW, 3)
        assert not drawn[70:].any()
        assert drawn[10, 110].any()

    def test_a_failed_frame_is_the_picture_alone(self) -> None:
        rgb = world_pictures()[1]
        assert np.array_equal(draw_view(failed(1), rgb, View()), rgb)

    def test_a_stretch_has_to_have_a_length(self) -> None:
        with pytest.raises(ConfigError, match="the view ends at 1 s, expected later than its start, 2 s"):
            View(2.0, 1.0)


class TestFile:
    """The video that is written."""

    def run(self, tmp_path: Path, results: list[FrameResult], **more: object) -> RunFolder:
        return make_run(tmp_path / "run", {"cam": results}, **more)  # type: ignore[arg-type]

    def test_frames_and_their_times(self, tmp_path: Path) -> None:
        results = [frame_result(index) for index in (1, 2, 5)]
        path = tmp_path / "view.mp4"
        counts = write_view(self.run(tmp_path, results), "cam", path, open_footage(WORLD, "cam"))
        pictures, times = decoded(path)
        assert counts == (3, 0)
        assert times == pytest.approx([0.0, 0.1, 0.4])
        for result_, found in zip(results, pictures, strict=True):
            expected = draw_view(result_, world_pictures()[result_.index], View())
            assert is_like(found, expected)
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["run", "view.mp4"]

    def test_a_stretch_of_time(self, tmp_path: Path) -> None:
        run = self.run(tmp_path, [frame_result(index) for index in range(FRAMES)])
        view = View(start_seconds=0.2, end_seconds=0.5)
        assert write_view(run, "cam", tmp_path / "a.mkv", open_footage(WORLD, "cam"), view) == (3, 0)
        pictures, times = decoded(tmp_path / "a.mkv")
        assert times == pytest.approx([0.0, 0.1, 0.2])
        assert is_like(pictures[0], draw_view(frame_result(2), world_pictures()[2], View()))
        with pytest.raises(ConfigError, match="has no frame in this stretch of time"):
            write_view(run, "cam", tmp_path / "b.mp4", None, View(start_seconds=9.0))
        assert not (tmp_path / "b.mp4").exists()

    def test_on_black(self, tmp_path: Path) -> None:
        run = self.run(tmp_path, [frame_result(0), frame_result(1)])
        assert write_view(run, "cam", tmp_path / "a.mp4", None) == (2, 2)
        pictures, _ = decoded(tmp_path / "a.mp4")
        assert is_like(pictures[1], draw_view(frame_result(1), None, View()))

    def test_another_size_is_fitted_in(self, tmp_path: Path) -> None:
        """A stream may change its size; a file cannot."""
        results = [frame_result(0), result(1, {1: ("car", (0, 0, 30, 20))}, size_hw=(20, 40), epoch=1)]
        write_view(self.run(tmp_path, results), "cam", tmp_path / "a.mp4", None)
        pictures, _ = decoded(tmp_path / "a.mp4")
        assert pictures[1].shape == pictures[0].shape
        assert pictures[1][:8].max() < 20
        assert pictures[1][40, 20].max() > 100
        assert pictures[1][40, 110].max() < 20

    def test_what_was_there_stays_where_rendering_fails(self, tmp_path: Path) -> None:
        run = self.run(tmp_path, [frame_result(3)])
        path = tmp_path / "view.mp4"
        path.write_text("earlier")
        with pytest.raises(ConfigError, match="another video"):
            write_view(run, "cam", path, open_footage(WORLD.replace("fps=10", "fps=20"), "cam"))
        assert path.read_text() == "earlier"
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["run", "view.mp4"]

    def test_a_file_name_that_is_no_video(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"a.avi': expected a name that ends in .mp4, .mkv, .mov"):
            write_view(self.run(tmp_path, [frame_result(0)]), "cam", tmp_path / "a.avi", None)

    def test_a_video_file(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "clip.mp4", Fraction(FPS)) as writer:
            for rgb in world_pictures():
                writer.write(rgb)
        results = [frame_result(index) for index in range(FRAMES)]
        run = self.run(tmp_path, results, facts={"recording": str(tmp_path / "clip.mp4")})
        source = find_footage(run.manifest["streams"]["cam"], "cam")
        assert write_view(run, "cam", tmp_path / "a.mp4", source, sound=tmp_path / "clip.mp4") == (FRAMES, 0)
        pictures, _ = decoded(tmp_path / "a.mp4")
        assert all(
            is_like(found, draw_view(each, rgb, View()))
            for found, each, rgb in zip(pictures, results, world_pictures(), strict=True)
        )
