"""Files that fsspec reaches: S3, `memory://`, and what else is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm_dag.store.files import explain
from llm_dag.store.transport import Changed, Interrupted, Patience, RemoteError, State

BLOCK = 8 << 20  # bytes of one request
PASSING = ("HTTPClientError", "ConnectionError", "IncompleteReadError")  # of botocore, whose errors are no OSError


class FsspecReader:
    """Reads block by block; the filesystem itself keeps its connections."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    def state(self, url: str) -> State:
        def ask() -> State:
            filesystem, path = filesystem_of(url)
            try:
                filesystem.invalidate_cache()
                found = filesystem.info(path)
            except Exception as error:
                raise plain(error, url) from error
            if found.get("type") == "directory" or found.get("size") is None:
                raise RemoteError(f"{url}: is a {found.get('type', 'thing without a size')}; a file is wanted")
            modified = found.get("LastModified") or found.get("mtime") or found.get("created") or ""
            etag = str(found.get("ETag") or found.get("etag") or "")
            return State(int(found["size"]), "" if etag.startswith("W/") else etag.strip('"'), str(modified))

        return self._patience.until(url, ask)

    def read(self, url: str, state: State, start: int, stop: int) -> Iterator[bytes]:
        """Blocks have no entity tag of their own, so whoever reads to the end is told if the file changed meanwhile."""
        yield from self._patience.resumed(url, start, stop, lambda at: self._from(url, state, at, stop))
        if state.tag and stop == state.bytes and (now := self.state(url)).tag != state.tag:
            raise Changed(f"{url}: changed while it was read: {now.tag or 'no tag'}; {state.tag} is wanted")

    def _from(self, url: str, state: State, at: int, stop: int) -> Iterator[bytes]:
        filesystem, path = filesystem_of(url)
        while at < stop:
            try:
                block = filesystem.cat_file(path, start=at, end=min(at + BLOCK, stop))
            except Exception as error:
                raise plain(error, url) from error
            if not block:
                raise Changed(f"{url}: ends at byte {at} now; {state.bytes} bytes are wanted")
            yield block
            at += len(block)


def filesystem_of(url: str) -> tuple[Any, str]:
    """The filesystem of a URL, and its path there. Raises RemoteError, naming the package that is missing."""
    import fsspec

    options: dict[str, Any] = {}
    if url.startswith(("http://", "https://")):  # only its listings are used: files are read by HttpReader
        from llm_dag.store.transport_http import agent

        options["client_kwargs"] = {"headers": {"User-Agent": agent()}}
    try:
        filesystem, path = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        raise RemoteError(f"{url}: a package that reads it is not installed: {error}") from error
    except ValueError as error:
        raise RemoteError(f"{url}: {error}; http, https, s3, file, or another protocol of fsspec is wanted") from error
    return filesystem, path


def plain(error: Exception, url: str) -> Exception:
    """An error of a filesystem as one that is final (RemoteError), or may pass (Interrupted); else itself."""
    if isinstance(error, RemoteError | Interrupted):
        return error
    if isinstance(error, FileNotFoundError):
        return RemoteError(f"{url}: no such file")
    if isinstance(error, PermissionError):
        return RemoteError(f"{url}: access is refused ({error}); credentials that may read it are wanted")
    if any(kind.__module__ == "botocore.exceptions" and kind.__name__ in PASSING for kind in type(error).__mro__):
        return Interrupted(f"S3 cannot be reached ({' '.join(str(error).split())})")
    if explained := explain(error, url):
        return RemoteError(str(explained))
    if isinstance(error, OSError):
        return Interrupted(f"cannot be read ({' '.join(str(error).split()) or type(error).__name__})")
    return error
