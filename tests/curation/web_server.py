"""A server of files on the loopback, with the manners that real ones have: it drops, it is busy, it knows no ranges."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Files:
    """What is served, how, and what was asked for."""

    content: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    etag: str = '"{}"'  # filled with a digest; "": none
    drops: list[int] = field(default_factory=list)  # of each further body, the bytes after which the connection breaks
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # answers instead of each further body
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # path and headers of each request
    url: str = ""

    def tag(self, path: str) -> str:
        return self.etag.format(hashlib.md5(self.content[path], usedforsecurity=False).hexdigest())

    def bodies(self, path: str) -> list[str]:
        """The ranges that were asked for, but for looks at a file's first byte."""
        wanted = [headers.get("Range", "") for name, headers in self.asked if name == path]
        return [one for one in wanted if one != "bytes=0-0"]


@contextmanager
def serving(files: Files) -> Iterator[Files]:
    """Serve in a thread until the block ends; `files.url` is where."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, files)

        def log_message(self, format: str, *args: Any) -> None:
            return None

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            return None  # a reader that has seen enough closes its connection

    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    files.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(handler: BaseHTTPRequestHandler, files: Files) -> None:
    path = handler.path.partition("?")[0].lstrip("/")
    files.asked.append((path, dict(handler.headers)))
    look = handler.headers.get("Range") == "bytes=0-0"
    if not look and files.refusals:
        status, more = files.refusals.pop(0)
        return _head(handler, status, {"Content-Length": "0", **more})
    if path not in files.content:
        return _head(handler, 404, {"Content-Length": "0"})
    content, tag = files.content[path], files.tag(path)
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
    changed = handler.headers.get("If-Range", tag) != tag
    headers = {**({"ETag": tag} if tag else {}), **files.headers}
    if found and files.ranges and not changed:
        start, stop = int(found[1]), min(int(found[2]) + 1, len(content))
        if start >= len(content):
            return _head(handler, 416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        status, body = 206, content[start:stop]
    else:
        status, body = 200, content
    _head(handler, status, {"Content-Length": str(len(body)), **headers})
    drop = files.drops.pop(0) if files.drops and not look else len(body)
    try:
        handler.wfile.write(body[:drop])
        handler.wfile.flush()
    except OSError:  # the reader wanted no more
        handler.close_connection = True
    if drop < len(body):
        handler.close_connection = True
    return None


def _head(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
