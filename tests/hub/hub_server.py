"""A stand-in for a hub: the requests that a download makes of the real one, on this machine.

It answers from `Repository` objects, breaks connections and refuses on command, and remembers who
asked for what.
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
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

COMMIT = hashlib.sha1(b"first").hexdigest()
_API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/revision/main")
_FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<commit>[^/]+)/(?P<name>.+)")


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class Repository:
    """What the hub has, and how it behaves."""

    files: dict[str, bytes]
    commit: str = COMMIT
    token: str | None = None
    """Who does not bring it is told that there is no such repository."""
    gated: bool = False
    """Everybody sees the files' names, nobody gets one."""


@dataclass
class Hub:
    """The server's state; tests change it while it runs."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    status: int | None = None
    """Answer everything with this."""
    listing: bytes | None = None
    """Answer this instead of a list of files."""
    breaks: list[int] = field(default_factory=list)
    """Close the connections of the next downloads after so many bytes each."""
    busy: int = 0
    """Answer the next downloads, so many, with 503."""
    ranges: bool = True
    """Send parts of files when asked for parts."""
    content_range: str | None = None
    """Say this of every part."""
    damage: bytes = b""
    """Appended to every file that is sent, in place of as many bytes at its end."""
    surplus: bytes = b""
    """Appended to every file that is sent."""
    etag: str | None = None
    """Say this instead of the SHA-256."""
    elsewhere: str | None = None
    """Send who wants a file to this server."""

    def gets(self) -> list[str | None]:
        """The ranges of all requests for a file's content so far."""
        return [ask.range for ask in self.asked if ask.method == "GET" and "/api/" not in ask.path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        authorization = self.headers.get("Authorization")
        ask = Asked(self.command, path, self.headers.get("Range"), authorization)
        self.hub.asked.append(ask)
        match = _API.fullmatch(path) or _FILE.fullmatch(path)
        repository = self.hub.repositories.get(match["repo"]) if match else None
        if self.hub.status is not None:
            self._refuse(self.hub.status)
        elif match is None:
            self._refuse(404)
        elif repository is None:
            self._refuse(401 if authorization is None else 404, "RepoNotFound")
        elif repository.token is not None and authorization != f"Bearer {repository.token}":
            self._refuse(401, "RepoNotFound")
        elif "name" not in match.groupdict():
            self._list(repository, match["repo"])
        elif repository.gated:
            self._refuse(403, "GatedRepo")
        elif match["name"] not in repository.files:
            self._refuse(404, "EntryNotFound")
        else:
            self._file(repository, repository.files[match["name"]], ask)

    def _list(self, repository: Repository, repo: str) -> None:
        siblings = [{"rfilename": name} for name in repository.files]
        about = {"id": repo, "sha": repository.commit, "siblings": siblings}
        answer = json.dumps(about).encode() if self.hub.listing is None else self.hub.listing
        self._begin(200, {"Content-Type": "application/json"}, len(answer))
        self.wfile.write(answer)

    def _refuse(self, status: int, code: str = "") -> None:
        self._begin(status, {"X-Error-Code": code} if code else {}, 0)

    def _file(self, repository: Repository, content: bytes, ask: Asked) -> None:
        hub = self.hub
        etag = hashlib.sha256(content).hexdigest() if hub.etag is None else hub.etag
        headers = {"X-Repo-Commit": repository.commit, "ETag": f'"{etag}"'}
        if hub.elsewhere is not None:
            linked = {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{etag}"'}
            self._begin(302, headers | linked | {"Location": hub.elsewhere + self.path}, 0)
            return
        sent = content[: len(content) - len(hub.damage)] + hub.damage
        start, status = 0, 200
        if hub.ranges and ask.range:
            start, status = int(ask.range.removeprefix("bytes=").removesuffix("-")), 206
            actual = f"bytes {start}-{len(sent) - 1}/{len(sent)}"
            headers["Content-Range"] = actual if hub.content_range is None else hub.content_range
        if ask.method == "HEAD":
            self._begin(status, headers, len(sent))
            return
        if hub.busy:
            hub.busy -= 1
            self._refuse(503)
            return
        body = sent[start:] + hub.surplus
        if hub.surplus:
            self._begin(status, headers, None)
            self.close_connection = True
        else:
            self._begin(status, headers, len(body))
        if hub.breaks:
            body = body[: hub.breaks.pop(0)]
            self.close_connection = True
        self.wfile.write(body)

    def _begin(self, status: int, headers: dict[str, str], length: int | None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()


@contextmanager
def serving(host: str = "127.0.0.1") -> Iterator[Hub]:
    """Run a hub for the time of the block."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        hub.url = f"http://{host}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
