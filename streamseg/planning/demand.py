"""What is asked for."""

from dataclasses import dataclass, field
from typing import Literal

from ..parsing import require

__all__ = ["CODECS", "Demand", "Node"]

CODECS = ("h264", "hevc", "av1", "mjpeg")


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the cluster.

    Attributes:
        cores: of its CPU.
        memory_gb: RAM.
        gpus: of the demand's kind.
        network_gbit: of its interface, each way.
    """

    cores: int = 64
    memory_gb: float = 512.0
    gpus: int = 8
    network_gbit: float = 100.0

    def __post_init__(self) -> None:
        require(self.cores >= 1, "cores", self.cores, "at least 1")
        require(self.memory_gb > 0, "memory_gb", self.memory_gb, "more than 0")
        require(self.gpus >= 0, "gpus", self.gpus, "0 or more")
        require(self.network_gbit > 0, "network_gbit", self.network_gbit, "more than 0")


@dataclass(frozen=True, slots=True)
class Demand:
    """Streams that are all alike.

    Attributes:
        streams: how many.
        fps: frames a second of each that are segmented.
        camera_fps: what the camera sends; every one of them is decoded. None: the same as `fps`.
        size_hw: of its pictures.
        codec: of its packets.
        model: a model's name.
        device: a kind of GPU, or "cpu".
        decoder: "cpu" or "nvdec".
        max_batch: frames of a forward pass.
        load: share of a worker's capacity that is planned to be used; the rest is for bursts and for failed neighbours.
        segments: of a frame, on average; what records grow with.
        near: each decoder runs on its worker's machine; otherwise decoded frames travel between machines.
        node: what the cluster is made of.
    """

    streams: int
    fps: float = 10.0
    camera_fps: float | None = None
    size_hw: tuple[int, int] = (720, 1280)
    codec: Literal["h264", "hevc", "av1", "mjpeg"] = "h264"
    model: str = "fcclip-convnext-large"
    device: str = "L4"
    decoder: Literal["cpu", "nvdec"] = "cpu"
    max_batch: int = 8
    load: float = 0.7
    segments: int = 15
    near: bool = False
    node: Node = field(default_factory=Node)

    def __post_init__(self) -> None:
        require(self.streams >= 1, "streams", self.streams, "at least 1")
        require(0 < self.fps <= 1000, "fps", self.fps, "more than 0, at most 1000")
        sent = self.camera_fps
        require(sent is None or sent >= self.fps, "camera_fps", sent, f"at least the {self.fps:g} that are segmented")
        require(min(self.size_hw) >= 16, "size", self.size_hw, "at least 16x16 pixels")
        require(self.codec in CODECS, "codec", self.codec, f"one of {', '.join(CODECS)}")
        require(self.decoder in ("cpu", "nvdec"), "decoder", self.decoder, "cpu or nvdec")
        require(self.decoder == "cpu" or self.device != "cpu", "decoder", self.decoder, "cpu where there is no GPU")
        require(self.max_batch >= 1, "max_batch", self.max_batch, "at least 1")
        require(0 < self.load <= 1, "load", self.load, "more than 0, at most 1")
        require(self.segments >= 0, "segments", self.segments, "0 or more")
        require(self.device == "cpu" or self.node.gpus >= 1, "gpus", self.node.gpus, "at least 1, or the device cpu")

    @property
    def sent_fps(self) -> float:
        """Frames a second that each camera sends."""
        return self.fps if self.camera_fps is None else self.camera_fps

    @property
    def megapixels(self) -> float:
        return self.size_hw[0] * self.size_hw[1] / 1e6

    @property
    def frame_bytes(self) -> int:
        """Of one decoded picture."""
        return 3 * self.size_hw[0] * self.size_hw[1]
