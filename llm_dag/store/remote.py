"""Files that lie elsewhere, by URL: what they are, which ones a glob names, and their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from llm_dag.store.transport import PAUSES, Patience, Reader, RemoteError, State
from llm_dag.store.transport_fsspec import FsspecReader, filesystem_of, plain

HTTP = ("http://", "https://")


class Remote:
    """One reader for each kind of URL; `said` is told whenever something is tried again."""

    def __init__(self, said: Callable[[str], None] = lambda text: None, pauses: tuple[float, ...] = PAUSES) -> None:
        self._patience = Patience(said, pauses)
        self._readers: dict[str, Reader] = {}

    def _reader(self, url: str) -> Reader:
        kind = "http" if url.startswith(HTTP) else "fsspec"
        if kind not in self._readers:
            self._readers[kind] = _http(self._patience) if kind == "http" else FsspecReader(self._patience)
        return self._readers[kind]

    def state(self, url: str) -> State:
        """Size and entity tag of a file. Raises RemoteError."""
        return self._reader(url).state(url)

    def read(self, url: str, state: State, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Bytes `[start, stop)` of the file in `state`, piece by piece. Raises RemoteError."""
        return self._reader(url).read(url, state, start, state.bytes if stop is None else stop)

    def digest(self, url: str, state: State) -> str:
        """The sha256 of a file: it is read whole, and nothing is kept."""
        hasher = hashlib.sha256()
        for piece in self.read(url, state):
            hasher.update(piece)
        return hasher.hexdigest()

    def named(self, url: str) -> list[str]:
        """The URLs that one names: itself, what matches a glob, or all files of a folder; sorted.

        In http(s) a `?` begins a query, and a folder has no list of files that one could rely on.
        """
        http = url.startswith(HTTP)
        magic = any(sign in url for sign in ("*[" if http else "*?["))
        if http and not magic:
            return [url]
        filesystem, path = filesystem_of(url)

        def ask() -> list[str]:
            try:
                found = filesystem.glob(path) if magic else filesystem.find(path)
                return [one for one in found if http or not magic or filesystem.isfile(one)]
            except Exception as error:
                if (told := plain(error, url)) is not error:
                    raise told from error
                raise RemoteError(f"{url}: cannot be listed ({type(error).__name__}: {error})") from error

        found = self._patience.until(url, ask)
        if not found:
            raise RemoteError(f"{url}: no such file or folder, and no file matches it")
        return sorted(filesystem.unstrip_protocol(one) for one in found)


def _http(patience: Patience) -> Reader:
    from llm_dag.store.transport_http import HttpReader  # importing requests costs what a local crawl need not pay

    return HttpReader(patience)
