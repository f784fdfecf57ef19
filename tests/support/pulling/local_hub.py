"""A Hub on this machine: what huggingface.co answers to `huggingface_hub` and to a download, with faults on demand.

Large files are redirected to a second server, as the real one does to its CDN. Paths, headers
and the JSON follow `huggingface_hub` (`hf_api.py`, `file_download.py`, `constants.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

# The repositories of a tiny model, and the file of its language model.
MODEL, LANGUAGE_MODEL, GGUF = "somebody/Tiny-V", "somebody/Tiny-V-gguf", "Tiny-V-Q4_K_M.gguf"

LARGE = (".safetensors", ".gguf")  # what a repository's .gitattributes gives to Git LFS


@dataclass
class LocalHub:
    """`repositories` maps names to their files, `faults` say what goes wrong, the lists what was asked for."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)  # bytes after which the next answers with a large file break off
    wrong: set[str] = field(default_factory=set)  # large files that arrive with one byte changed
    statuses: list[int] = field(default_factory=list)  # of the next answers
    gated: dict[str, str] = field(default_factory=dict)  # error codes of repositories that are not given
    ranges: bool = True  # whether the rest of a file can be asked for
    token: str | None = None
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)  # path, range, authorization
    url: str = ""
    storage_url: str = ""

    def add(self, name: str, folder: Path) -> str:
        """Publish the files of `folder`; returns the commit."""
        self.repositories[name] = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        self.commits[name] = hashlib.sha1(b"".join(self.repositories[name].values())).hexdigest()
        return self.commits[name]

    def change(self, name: str, file: str, content: bytes) -> str:
        """Publish another content of one file; returns the new commit."""
        self.repositories[name][file] = content
        self.commits[name] = hashlib.sha1(b"".join(self.repositories[name].values())).hexdigest()
        return self.commits[name]

    def downloaded(self) -> list[tuple[str, str | None]]:
        """Path and range of every request for the bytes of a large file."""
        return [(path, asked) for path, asked, _ in self.asked if path.startswith("/storage/")]

    def content(self, digest: str) -> tuple[str, bytes] | None:
        """The large file with this SHA-256."""
        for files in self.repositories.values():
            for name, content in files.items():
                if name.endswith(LARGE) and hashlib.sha256(content).hexdigest() == digest:
                    return name, content
        return None

    def info(self, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "sha": self.commits[name],
            "siblings": [_sibling(file, content) for file, content in self.repositories[name].items()],
        }


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
    if name.endswith(LARGE):
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
    return entry


@contextmanager
def running_hub() -> Iterator[LocalHub]:
    """Serve a hub until the block ends."""
    hub = LocalHub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    servers = [_Server(("127.0.0.1", 0), Handler) for _ in range(2)]
    hub.url, hub.storage_url = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients are killed here."""


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.asked.append((path, self.headers.get("Range"), self.headers.get("Authorization")))
        if hub.statuses and (status := hub.statuses.pop(0)) != 200:
            return self._answer(status, b"")
        if found := re.fullmatch(r"/storage/(\w{64})", path):
            return self._large(found[1])
        found = re.fullmatch(r"/(?:api/models/)?([\w.-]+/[\w.-]+?)(?:/(?:revision|resolve)/([^/]+)(?:/(.+))?)?", path)
        if found is None:
            return self._refuse(404, "RepoNotFound")
        return self._repository(*found.groups())

    def _repository(self, name: str, revision: str | None, file: str | None) -> None:
        hub = self.hub
        allowed = hub.token is None or self.headers.get("Authorization") == f"Bearer {hub.token}"
        if name in hub.gated:
            self._refuse(403, hub.gated[name])
        elif name not in hub.repositories or not allowed:
            self._refuse(401, "RepoNotFound")
        elif revision not in (None, "main", hub.commits[name]):
            self._refuse(404, "RevisionNotFound")
        elif file is None:
            self._answer(200, json.dumps(hub.info(name)).encode(), {"Content-Type": "application/json"})
        else:
            self._file(name, file)

    def _file(self, name: str, file: str) -> None:
        hub = self.hub
        content = hub.repositories[name].get(file)
        headers = {"X-Repo-Commit": hub.commits[name]}
        if content is None:
            self._refuse(404, "EntryNotFound")
        elif file.endswith(LARGE):
            digest = hashlib.sha256(content).hexdigest()
            headers |= {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(content))}
            self._answer(302, b"", headers | {"Location": f"{hub.storage_url}/storage/{digest}"})
        else:
            self._answer(200, content, headers | {"ETag": f'"{_sibling(file, content)["blobId"]}"'})

    def _large(self, digest: str) -> None:
        hub = self.hub
        name, content = hub.content(digest) or ("", b"")
        if name in hub.wrong:
            content = content[:-1] + bytes([content[-1] ^ 1])
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "") if hub.ranges else None
        begin = int(asked[1]) if asked else 0
        headers = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"} if asked else {}
        cut = hub.cuts.pop(0) if hub.cuts else None
        self._answer(206 if asked else 200, content[begin:], headers, cut=cut)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, b"", {"X-Error-Code": code})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True
