"""HTTP inputs on 127.0.0.1: a camera that sends JPEG after JPEG, a live HLS playlist, damaged streams."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import cv2
import numpy as np
from numpy.typing import NDArray

SIZE_HW = (120, 160)
FPS = 10
SEGMENT_FRAMES = 10
WINDOW = 3  # segments in the playlist


@dataclass
class HttpCamera:
    """What it serves, and how.

    Attributes:
        begun: when the broadcast began; `time.monotonic()`.
        pictures_per_answer: after so many JPEGs it closes the connection.
        finished: the playlist is at its end: its last line says so.
        status: answer everything with this HTTP status instead.
        requests: paths asked for.
    """

    begun: float = field(default_factory=lambda: time.monotonic() - WINDOW * SEGMENT_FRAMES / FPS)
    pictures_per_answer: int = 1_000_000
    finished: bool = False
    status: int = 200
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def playlist(self) -> str:
        """A window that slides on with the clock."""
        seconds = SEGMENT_FRAMES // FPS
        newest = int((time.monotonic() - self.begun) / seconds) if not self.finished else WINDOW
        segments = range(max(0, newest - WINDOW), newest)
        head = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{seconds}"]
        head.append(f"#EXT-X-MEDIA-SEQUENCE:{segments.start}")
        lines = [f"#EXTINF:{seconds}.0,\nsegment-{number}.ts" for number in segments]
        return "\n".join([*head, *lines, *(["#EXT-X-ENDLIST"] if self.finished else [])]) + "\n"


def picture(number: int) -> NDArray[np.uint8]:
    """(H, W, 3): a square that moves over a grey ground, brighter with every picture."""
    rgb = np.full((*SIZE_HW, 3), 40 + number % 100, np.uint8)
    left = (4 * number) % (SIZE_HW[1] - 32)
    rgb[40:72, left : left + 32] = 230
    return rgb


def jpeg(number: int) -> bytes:
    return cv2.imencode(".jpg", picture(number))[1].tobytes()


def transport_stream(first: int, number: int, *, alter: Callable[[int, bytes], bytes] = lambda _, data: data) -> bytes:
    """MPEG-TS with H.264, a keyframe every `SEGMENT_FRAMES`.

    Args:
        first: number of the first picture; also says when it is shown.
        number: of pictures.
        alter: what happens to the packet of a picture, given its place and its bytes.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width = SIZE_HW
        stream.pix_fmt = "yuv420p"
        stream.gop_size = SEGMENT_FRAMES
        stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        place = 0
        for shown in [*range(first, first + number), None]:
            frame = None
            if shown is not None:
                frame = av.VideoFrame.from_ndarray(picture(shown), "rgb24")
                frame.pts, frame.time_base = shown, Fraction(1, FPS)
            for packet in stream.encode(frame):
                altered = av.Packet(alter(place, bytes(packet)))
                altered.pts, altered.dts, altered.time_base = packet.pts, packet.dts, packet.time_base
                altered.is_keyframe, altered.stream = packet.is_keyframe, stream
                container.mux(altered)
                place += 1
    return buffer.getvalue()


@contextmanager
def serve(camera: HttpCamera, files: dict[str, bytes] | None = None) -> Iterator[HttpCamera]:
    """The camera at `camera.url`: /mjpeg, /live.m3u8 and its segments, and `files` by path.

    A file is sent, and then the connection stays open: a live stream that has nothing new.
    """
    quit_ = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            camera.requests.append(self.path)
            with suppress(OSError):  # who asked has gone
                self.answer()

        def answer(self) -> None:
            if camera.status != 200:
                self.send_error(camera.status)
            elif self.path == "/mjpeg":
                self.begin("multipart/x-mixed-replace; boundary=next")
                self.send_jpegs()
            elif self.path == "/live.m3u8":
                self.send("application/vnd.apple.mpegurl", camera.playlist().encode())
            elif self.path.startswith("/segment-"):
                number = int(self.path.removeprefix("/segment-").removesuffix(".ts"))
                self.send("video/mp2t", transport_stream(number * SEGMENT_FRAMES, SEGMENT_FRAMES))
            elif files and self.path in files:
                self.begin("video/mp2t")
                self.wfile.write(files[self.path])
                self.wfile.flush()
                quit_.wait(60)
            else:
                self.send_error(404)

        def begin(self, content_type: str, length: int | None = None) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()

        def send(self, content_type: str, data: bytes) -> None:
            self.begin(content_type, len(data))
            self.wfile.write(data)

        def send_jpegs(self) -> None:
            for number in range(camera.pictures_per_answer):
                data = jpeg(number)
                head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                self.wfile.flush()
                if quit_.wait(1 / FPS):
                    return

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    camera.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield camera
    finally:
        quit_.set()
        server.shutdown()
        server.server_close()
        thread.join()
