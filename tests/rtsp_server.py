"""The RTSP camera of `streamseg.testing`, where it is installed."""

import os

import pytest

from streamseg.testing.rtsp_server import PACKAGES, RtspServer, missing

__all__ = ["RtspServer", "require_rtsp_server"]


def require_rtsp_server() -> None:
    """Skip where the server is missing; fail instead where STREAMSEG_REQUIRE_RTSP=1 says that it must be there."""
    reason = missing()
    if not reason:
        return
    if os.environ.get("STREAMSEG_REQUIRE_RTSP") == "1":
        pytest.fail(f"STREAMSEG_REQUIRE_RTSP=1, but there is no RTSP server: {reason}", pytrace=False)
    pytest.skip(f"needs an RTSP server ({reason}): apt-get install {PACKAGES}")
