"""An HTTP server with a camera's MJPEG stream: multipart/x-mixed-replace, a JPEG a part."""

from __future__ import annotations

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np


class MjpegServer(ThreadingHTTPServer):
    """Serves one picture at a rate; `cut` ends all connections, `url` is where it is."""

    daemon_threads = True

    def __init__(self, picture: np.ndarray, *, port: int = 0, rate: int = 10) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.rate = rate
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=95)
        self.jpeg = file.getvalue()
        self.page: tuple[str, bytes] | None = None  # served in place of the stream: its type, and its bytes
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/camera.mjpg"

    def cut(self) -> None:
        """End the server and all its connections."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Connection(BaseHTTPRequestHandler):
    server: MjpegServer

    def do_GET(self) -> None:
        self.send_response(200)
        if self.server.page is not None:
            kind, page = self.server.page
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(page)
            return
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        jpeg = self.server.jpeg
        try:
            while not self.server.stopping.wait(1 / self.server.rate):
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
        except OSError:  # the reader has gone
            return

    def log_message(self, *_: object) -> None:
        """Say nothing."""
