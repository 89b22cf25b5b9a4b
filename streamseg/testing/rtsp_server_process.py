"""A camera: a GStreamer RTSP server, run by the system's Python, where GStreamer's bindings are.

It prints "ready PORT" once it listens. On standard input it takes `size WIDTHxHEIGHT`, which changes the picture of the
running stream, and it ends when standard input is closed, so that it never outlives the process that started it.
"""

import argparse
import sys
from typing import Any

import gi  # type: ignore[import-not-found, unused-ignore]  # of the system, not of this environment

for library in ("Gst", "GstRtsp", "GstRtspServer"):
    gi.require_version(library, "1.0")

from gi.repository import (  # type: ignore[import-not-found, unused-ignore]  # noqa: E402
    Gio,
    GLib,
    Gst,
    GstRtsp,
    GstRtspServer,
)

MOUNT = "/live"
ROLE = "user"
RIGHTS = "media.factory.access=true, media.factory.construct=true"
ENCODERS = {  # by preference: the options that keep latency low, frames in order, and keyframes at `gop`
    "openh264enc": "gop-size={gop} slice-mode=n-slices num-slices=1 scene-change-detection=false",
    "x264enc": "key-int-max={gop} tune=zerolatency speed-preset=ultrafast",
}


def main() -> None:
    options = parse()
    Gst.init(None)
    if options.check:
        sys.exit(what_is_missing())
    server = GstRtspServer.RTSPServer(service=str(options.port), address="127.0.0.1")
    if options.password or options.certificate:
        server.set_auth(authentication(options))
    factory = GstRtspServer.RTSPMediaFactory(launch=pipeline(options), shared=options.shared)
    factory.add_role_from_structure(Gst.Structure.from_string(f"{ROLE}, {RIGHTS}")[0])
    server.get_mount_points().add_factory(MOUNT, factory)
    if not server.attach(None):
        sys.exit(f"port {options.port} is taken")
    factory.connect("media-configure", lambda _, media: RUNNING.append(media.get_element()))
    GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, obey)
    print("ready", server.get_bound_port(), flush=True)
    LOOP.run()


LOOP = GLib.MainLoop()
RUNNING: list[Any] = []


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--size", default="160x120")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--gop", type=int, default=5, help="frames from keyframe to keyframe")
    parser.add_argument("--codec", choices=["h264", "mjpeg"], default="h264")
    parser.add_argument("--shared", action="store_true", help="one stream for all: who comes later joins it midway")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--scheme", choices=["basic", "digest"], default="digest")
    parser.add_argument("--check", action="store_true", help="only say what is missing, and exit with 1 if anything is")
    parser.add_argument("--certificate", help="PEM with key: TLS")
    return parser.parse_args()


def what_is_missing() -> str | None:
    elements = ("videotestsrc", "h264parse", "rtph264pay", "jpegenc", "rtpjpegpay")
    missing = [name for name in elements if not Gst.ElementFactory.find(name)]
    if not any(Gst.ElementFactory.find(name) for name in ENCODERS):
        missing.append(" or ".join(ENCODERS))
    return f"GStreamer has no {', '.join(missing)}" if missing else None


def pipeline(options: argparse.Namespace) -> str:
    source = f"videotestsrc is-live=true pattern=ball ! capsfilter name=size caps={caps(options.size)}"
    source += f",framerate={options.fps}/1"
    if options.codec == "mjpeg":
        return f"( {source} ! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
    encoder = next(name for name in ENCODERS if Gst.ElementFactory.find(name))
    encode = f"{encoder} {ENCODERS[encoder].format(gop=options.gop)}"
    return f"( {source} ! {encode} ! h264parse ! rtph264pay config-interval=-1 name=pay0 pt=96 )"


def caps(size: str) -> str:
    width, height = size.split("x")
    return f"video/x-raw,format=I420,width={width},height={height}"


def authentication(options: argparse.Namespace) -> GstRtspServer.RTSPAuth:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    if not options.password:
        auth.set_default_token(token)
    elif options.scheme == "basic":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(options.user, options.password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(options.user, options.password, token)
    if options.certificate:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(options.certificate))
    return auth


def obey(*_: object) -> bool:
    words = sys.stdin.readline().split()
    if not words:
        LOOP.quit()
        return False
    if words[0] == "size":
        for element in RUNNING:
            resized = element.get_by_name("size")
            rate = resized.get_property("caps").get_structure(0).get_fraction("framerate")
            resized.set_property("caps", Gst.Caps.from_string(f"{caps(words[1])},framerate={rate[1]}/{rate[2]}"))
    return True


if __name__ == "__main__":
    main()
