"""A model hub on loopback, for tests: as much of the Hugging Face hub's protocol as a download takes.

Real HTTP over a real socket, so the real client code runs. Knows repositories of files at one revision;
knows nothing of models.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LFS_BYTES = 1024
"""Files of this size and above are listed with their sha256, as files in LFS are."""


class FakeHub:
    """`with FakeHub({"org/name": {"config.json": b"{}"}}) as hub:` serves at `hub.url`.

    `requests` lists (method, path, headers with lower-case names) as they come. `truncate_once` names a file
    whose first download breaks off half-way, as a lost connection does.
    """

    def __init__(self, repositories: Mapping[str, Mapping[str, bytes]], truncate_once: str = "") -> None:
        self.repositories = repositories
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.truncate_once = truncate_once
        hub = self

        class Handler(_Handler):
            owner = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is to be set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeHub:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def downloads(self) -> list[str]:
        """Paths of the files that were asked for with GET."""
        return [
            path.split("/resolve/")[1].split("/", 1)[1]
            for kind, path, _ in self.requests
            if kind == "GET" and "/resolve/" in path
        ]


class _Handler(BaseHTTPRequestHandler):
    owner: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:  # the name is http.server's
        self._answer(body=False)

    def do_GET(self) -> None:  # the name is http.server's
        self._answer(body=True)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: tests read `requests`."""

    def _answer(self, body: bool) -> None:
        path = unquote(self.path.split("?")[0])
        self.owner.requests.append((self.command, path, {key.lower(): value for key, value in self.headers.items()}))
        if path.startswith("/api/models/"):
            self._describe(path.removeprefix("/api/models/"), body)
        elif "/resolve/" in path:
            repository, _, rest = path.strip("/").partition("/resolve/")
            self._file(repository, rest.partition("/")[2], body)
        else:
            self._send(404, b"", {}, body)

    def _describe(self, rest: str, body: bool) -> None:
        repository = rest.partition("/revision/")[0]
        files = self.owner.repositories.get(repository)
        if files is None:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body)
            return
        siblings = [_sibling(name, data) for name, data in files.items()]
        found = {
            "id": repository,
            "modelId": repository,
            "sha": COMMIT,
            "private": False,
            "tags": [],
            "siblings": siblings,
        }
        self._send(200, json.dumps(found).encode(), {"Content-Type": "application/json"}, body)

    def _file(self, repository: str, name: str, body: bool) -> None:
        data = self.owner.repositories.get(repository, {}).get(name)
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if data is None:
            self._send(404, b"", {**headers, "X-Error-Code": "EntryNotFound"}, body)
            return
        headers["ETag"] = f'"{hashlib.sha256(data).hexdigest()}"'
        status, asked = 200, self.headers.get("Range", "")
        if asked.startswith("bytes=") and body:
            start = int(asked.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            status, data = 206, data[start:]
        cut = body and name == self.owner.truncate_once
        if cut:
            self.owner.truncate_once = ""
        self._send(status, data, headers, body, cut)

    def _send(self, status: int, data: bytes, headers: Mapping[str, str], body: bool, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True


def _sibling(name: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
    if len(data) >= LFS_BYTES:
        entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry
