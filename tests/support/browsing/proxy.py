"""A reverse proxy that has a server in a folder of its own."""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def in_folder(address: tuple[str, int], folder: str) -> Iterator[str]:
    """Have the server at `address` in this folder of another one, and return the folder's URL."""

    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            if not self.path.startswith(f"/{folder}/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            kept = {name: self.headers[name] for name in ("content-type", "authorization") if name in self.headers}
            connection = http.client.HTTPConnection(*address, timeout=60)
            connection.request(self.command, self.path.removeprefix(f"/{folder}"), body, kept)
            reply = connection.getresponse()
            whole = reply.read()
            self.send_response(reply.status)
            for name in ("content-type", "content-security-policy"):
                if value := reply.getheader(name):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole)
            connection.close()

        do_GET = do_POST = forward  # noqa: N815  # their names

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}/{folder}/"
        finally:
            proxy.shutdown()
