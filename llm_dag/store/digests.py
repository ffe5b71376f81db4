"""A memory of file digests, so that ninety gigabytes of WARC are hashed once and not at every start."""

from __future__ import annotations

import json
from pathlib import Path

from llm_dag.store.canonical import file_digest

SMALL = 1 << 22  # hashing four megabytes costs less than remembering them


class FileDigests:
    """Digests by (path, size, modification time, inode), kept in a file of JSON lines that is only appended to."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[tuple[str, int, int, int], str] | None = None

    def __call__(self, path: Path) -> str:
        """The sha256 of a file, from memory if the file is large and unchanged."""
        status = path.stat()
        if status.st_size <= SMALL:
            return file_digest(path)
        key = (str(path), status.st_size, status.st_mtime_ns, status.st_ino)
        known = self._load()
        if key not in known:
            known[key] = file_digest(path)
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            with self._memory.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps([*key, known[key]]) + "\n")
        return known[key]

    def _load(self) -> dict[tuple[str, int, int, int], str]:
        if self._known is None:
            self._known = {}
            lines = self._memory.read_text("utf-8").splitlines() if self._memory.exists() else []
            for line in lines:
                try:
                    name, size, modified, inode, value = json.loads(line)
                except ValueError:  # a process was killed while it wrote: the file is hashed again
                    continue
                self._known[name, size, modified, inode] = value
        return self._known
