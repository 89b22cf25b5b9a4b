"""Where results go: one dataclass per kind of sink, told apart by `kind`."""

from dataclasses import dataclass, field
from typing import Literal

from ..parsing import require

__all__ = [
    "JsonlSettings",
    "MasksSettings",
    "MotsSettings",
    "PngSettings",
    "Policy",
    "RotationSettings",
    "SinkSettings",
    "StdoutSettings",
    "TracksSettings",
    "VideoSettings",
    "VpsSettings",
    "WebhookSettings",
    "YtvisSettings",
]

Policy = Literal["stop", "drop-and-count"]
"""What a sink that cannot write does: end the run with its error, or go on without it and count what was lost."""


@dataclass(frozen=True, slots=True)
class RotationSettings:
    """When sinks finish their files and begin new ones, and how many finished parts stay; null for never, and for all.

    Attributes:
        when: "live" rotates what comes from inputs without end, "always" from recordings too, "never" nothing.
        seconds: length of a part in the stream's own time.
        megabytes: size of a part.
        keep: finished parts that stay, for each stream and sink.
        keep_megabytes: what the finished parts of a stream and sink may hold together; the newest always stays.
    """

    when: Literal["live", "always", "never"] = "live"
    seconds: float | None = 3600.0
    megabytes: float | None = 1000.0
    keep: int | None = 24
    keep_megabytes: float | None = 10_000.0

    def __post_init__(self) -> None:
        for name in ("seconds", "megabytes", "keep_megabytes"):
            value = getattr(self, name)
            require(value is None or value > 0, f"rotation.{name}", value, "more than 0, or null")
        require(self.keep is None or self.keep >= 1, "rotation.keep", self.keep, "at least 1, or null")


@dataclass(frozen=True, slots=True)
class JsonlSettings:
    """Frame records, one line of JSON each.

    Attributes:
        masks: write the run lengths of every segment.
        on_error: see `Policy`.
    """

    kind: Literal["jsonl"] = "jsonl"
    masks: bool = True
    on_error: Policy = "stop"


@dataclass(frozen=True, slots=True)
class StdoutSettings:
    """Frame records to standard output, for the next program of a pipe.

    Attributes:
        masks: write the run lengths of every segment.
        timeout_seconds: with `drop-and-count`, how long a frame waits for a reader that has stalled; with `stop`, it
            waits for as long as it takes.
        on_error: see `Policy`.
    """

    kind: Literal["stdout"] = "stdout"
    masks: bool = True
    timeout_seconds: float = 5.0
    on_error: Policy = "stop"

    def __post_init__(self) -> None:
        require(self.timeout_seconds > 0, "stdout.timeout_seconds", self.timeout_seconds, "more than 0")


@dataclass(frozen=True, slots=True)
class PngSettings:
    """One panoptic PNG for each frame, and the JSON documents that describe them."""

    kind: Literal["png"] = "png"
    on_error: Policy = "stop"


@dataclass(frozen=True, slots=True)
class MasksSettings:
    """One black and white PNG for each segment of each frame."""

    kind: Literal["masks"] = "masks"
    on_error: Policy = "stop"


@dataclass(frozen=True, slots=True)
class TracksSettings:
    """One line for each track that has ended."""

    kind: Literal["tracks"] = "tracks"
    on_error: Policy = "stop"


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """The pictures with segments drawn over them, as H.264 in MP4.

    Attributes:
        quality: constant rate factor of x264: 0 is lossless, 51 the worst.
        preset: how much x264 tries; ultrafast is twice as quick as veryfast, and its files are twice as large.
        min_side: smaller pictures are enlarged by a whole number to this long side, in pixels, so that names have room;
            null leaves them.
        max_side: larger pictures are scaled down to this long side, in pixels; null leaves them.
        opacity: of things, 0 (outlines and names alone) to 1; stuff is drawn lighter.
        show_labels, show_ids, show_scores: what is written beside a segment.
        color_by: one colour for each identity, or for each category.
        audio: take over the recording's sound.
        on_error: see `Policy`.
    """

    kind: Literal["video"] = "video"
    quality: int = 23
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = "veryfast"
    min_side: int | None = 480
    max_side: int | None = None
    opacity: float = 0.5
    show_labels: bool = True
    show_ids: bool = True
    show_scores: bool = False
    color_by: Literal["id", "category"] = "id"
    audio: bool = False
    on_error: Policy = "stop"

    def __post_init__(self) -> None:
        require(0 <= self.quality <= 51, "video.quality", self.quality, "0 (lossless) to 51")
        for name in ("min_side", "max_side"):
            value = getattr(self, name)
            require(value is None or 16 <= value <= 16_384, f"video.{name}", value, "16 to 16384, or null")
        require(0 <= self.opacity <= 1, "video.opacity", self.opacity, "0 to 1")


@dataclass(frozen=True, slots=True)
class VpsSettings:
    """One video panoptic document, as VIPSeg has it, compiled when the stream ends."""

    kind: Literal["vps"] = "vps"
    on_error: Policy = "stop"


@dataclass(frozen=True, slots=True)
class MotsSettings:
    """Tracks of things as text, as TrackEval reads it, compiled when the stream ends."""

    kind: Literal["mots"] = "mots"
    on_error: Policy = "stop"


@dataclass(frozen=True, slots=True)
class YtvisSettings:
    """Tracks as one YouTube-VIS result document, compiled when the stream ends.

    Attributes:
        stuff: list tracks of stuff too.
        on_error: see `Policy`.
    """

    kind: Literal["ytvis"] = "ytvis"
    stuff: bool = False
    on_error: Policy = "stop"


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Frame records to a web server, by HTTP POST.

    Attributes:
        url: http or https; `${NAME}` stands for an environment variable, here and in headers.
        headers: lines such as "Authorization: Bearer ${TOKEN}".
        masks: send the run lengths of every segment.
        batch: so many records to a request: a JSON object for 1, else an array of them.
        timeout_seconds: for one attempt.
        total_seconds: for all attempts, waits included.
        max_attempts: at most so many.
        first_backoff_seconds, max_backoff_seconds: waits between attempts grow from one to the other, with jitter.
        dead_letter_megabytes: how large the file of records that could not be delivered may get.
        on_error: "drop-and-count" puts what cannot be delivered into that file, "stop" ends the run as well.
    """

    url: str = field(repr=False)  # as the headers, it may hold a secret
    kind: Literal["webhook"] = "webhook"
    headers: tuple[str, ...] = field(default=(), repr=False)
    masks: bool = False
    batch: int = 1
    timeout_seconds: float = 5.0
    total_seconds: float = 30.0
    max_attempts: int = 5
    first_backoff_seconds: float = 0.5
    max_backoff_seconds: float = 10.0
    dead_letter_megabytes: float = 100.0
    on_error: Policy = "drop-and-count"

    def __post_init__(self) -> None:
        for name in ("batch", "max_attempts"):
            value = getattr(self, name)
            require(value >= 1, f"webhook.{name}", value, "at least 1")
        for name in ("timeout_seconds", "total_seconds", "first_backoff_seconds", "max_backoff_seconds"):
            value = getattr(self, name)
            require(0 < value <= 3600, f"webhook.{name}", value, "more than 0 and at most 3600")
        require(
            self.dead_letter_megabytes >= 0, "webhook.dead_letter_megabytes", self.dead_letter_megabytes, "at least 0"
        )


SinkSettings = (
    JsonlSettings
    | StdoutSettings
    | PngSettings
    | MasksSettings
    | TracksSettings
    | VideoSettings
    | VpsSettings
    | MotsSettings
    | YtvisSettings
    | WebhookSettings
)
"""Any of them (a union, told apart by `kind`)."""
