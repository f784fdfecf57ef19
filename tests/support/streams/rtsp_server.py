"""A small RTSP server (RFC 2326): one stream of MPEG-4 (RFC 6416) in the same TCP connection."""

from __future__ import annotations

import socketserver
import struct
import threading
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

if TYPE_CHECKING:
    import numpy as np

CLOCK = 90_000  # of RTP's timestamps, a second


class RtspServer(socketserver.ThreadingTCPServer):
    """Serves one picture at a rate, to any number of readers; `cut` ends all connections, `url` is where it is."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, picture: np.ndarray, *, port: int = 0, rate: int = 10) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.rate = rate
        self.config, self.frame = _encode(picture)
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"rtsp://viewer:secret@127.0.0.1:{self.port}/camera"

    def cut(self) -> None:
        """End the server and all its connections."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        self._thread.join()


def _encode(picture: np.ndarray) -> tuple[bytes, bytes]:
    """The header of an MPEG-4 stream, and a key frame of the picture."""
    encoder: Any = av.CodecContext.create("mpeg4", "w")
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    encoder.flags |= 1 << 22  # the header apart from the frames
    encoder.qmin = encoder.qmax = 2
    packets = [*encoder.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")), *encoder.encode(None)]
    return bytes(encoder.extradata), bytes(packets[0])


class _Connection(socketserver.StreamRequestHandler):
    server: RtspServer

    def handle(self) -> None:
        writing = threading.Lock()
        self.connection.settimeout(0.05)
        text = b""
        while not self.server.stopping.is_set():
            try:
                new = self.connection.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                return
            if not new:
                return
            text += new
            while b"\r\n\r\n" in text:
                request, _, text = text.partition(b"\r\n\r\n")
                with suppress(OSError):  # the reader has gone
                    self._reply(request.decode(), writing)

    def _reply(self, request: str, writing: threading.Lock) -> None:
        method = request.partition(" ")[0]
        about = dict(line.split(": ", 1) for line in request.splitlines()[1:])
        headers = {"CSeq": about["CSeq"]}
        body = ""
        if method == "OPTIONS":
            headers["Public"] = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"
        elif method == "DESCRIBE":
            config = self.server.config.hex().upper()
            body = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
                f"a=rtpmap:96 MP4V-ES/{CLOCK}\r\na=fmtp:96 profile-level-id=1; config={config}\r\na=control:video\r\n"
            )
            headers |= {"Content-Type": "application/sdp", "Content-Length": str(len(body))}
        elif method == "SETUP":
            headers |= {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1", "Session": "1"}
        else:
            headers["Session"] = "1"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with writing:
            self.wfile.write(f"RTSP/1.0 200 OK\r\n{lines}\r\n{body}".encode())
        if method == "PLAY":
            threading.Thread(target=self._play, args=(writing,), daemon=True).start()

    def _play(self, writing: threading.Lock) -> None:
        sequence, shown = 0, 0
        try:
            while not self.server.stopping.wait(1 / self.server.rate):
                data = self.server.frame
                parts = [data[at : at + 1400] for at in range(0, len(data), 1400)]
                for part in parts:
                    last = part is parts[-1]
                    header = struct.pack(">BBHII", 0x80, 96 | last << 7, sequence % 65536, shown, 1)
                    with writing:
                        self.wfile.write(struct.pack(">BBH", ord("$"), 0, len(header) + len(part)) + header + part)
                    sequence += 1
                shown += CLOCK // self.server.rate
        except OSError:  # the reader has gone
            return
