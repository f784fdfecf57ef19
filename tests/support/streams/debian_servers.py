"""Servers that Debian packages, as processes: GStreamer's for RTSP, and ffmpeg's for MJPEG over HTTP."""

from __future__ import annotations

import functools
import shutil
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON = "/usr/bin/python3"  # the one that Debian's bindings of GStreamer are for
NEEDED = "apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good ffmpeg"
GSTREAMER = """
import sys, gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_service(sys.argv[2])
factory.set_launch(
    f"( filesrc location={sys.argv[1]} ! pngdec ! imagefreeze is-live=true ! videoconvert"
    " ! video/x-raw,format=I420,framerate=10/1 ! jpegenc quality=95 ! rtpjpegpay name=pay0 )"
)
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
GLib.MainLoop().run()
"""


@functools.cache
def are_here() -> bool:
    """Whether both servers are installed."""
    if shutil.which("ffmpeg") is None or not Path(PYTHON).exists():
        return False
    lines = "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0')"
    lines += "; from gi.repository import Gst; Gst.init(None); assert Gst.ElementFactory.find('rtpjpegpay')"
    return subprocess.run([PYTHON, "-c", lines], capture_output=True, timeout=60, check=False).returncode == 0


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def serving(kind: str, picture: Path, port: int) -> Iterator[str]:
    """Play a picture by "rtsp" or "http" until the end, and give the address."""
    url = f"{kind}://127.0.0.1:{port}/camera"
    if kind == "rtsp":
        command = [PYTHON, "-c", GSTREAMER, str(picture), str(port)]
    else:
        command = ["ffmpeg", "-nostdin", "-loglevel", "quiet", "-re", "-loop", "1", "-framerate", "10"]
        command += ["-i", str(picture), "-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p", "-f", "mpjpeg"]
        command += ["-content_type", "multipart/x-mixed-replace;boundary=ffmpeg", "-listen", "1", url]
    with subprocess.Popen(command) as process:
        try:
            yield url
        finally:
            process.kill()
