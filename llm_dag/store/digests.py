"""A memory of file digests, so that ninety gigabytes of WARC are hashed once and not at every start."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

from llm_dag.store.canonical import file_digest

SMALL = 1 << 22  # hashing four megabytes costs less than remembering them
SETTLED_SECONDS = 2.0  # a file changed just now may change again within one tick of the file system's clock


Known = dict[tuple[str, int, int, int, int], str]


class FileDigests:
    """Digests by (path, size, modification, change of status, inode), in a file of lines that is only appended to."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: Known | None = None

    def __call__(self, path: Path) -> str:
        """The sha256 of a file, from memory if the file is large and unchanged."""
        status = path.stat()
        if status.st_size <= SMALL:
            return file_digest(path)
        key = (str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        known = self._load()
        if key in known:
            return known[key]
        found, after = file_digest(path), path.stat()
        unchanged = (after.st_size, after.st_mtime_ns, after.st_ctime_ns) == key[1:4]
        if unchanged and time.time() - status.st_ctime > SETTLED_SECONDS:
            known[key] = found
            with contextlib.suppress(OSError):  # a store that cannot be written is read all the same
                self._memory.parent.mkdir(parents=True, exist_ok=True)
                with self._memory.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps([*key, found]) + "\n")
        return found

    def _load(self) -> Known:
        if self._known is None:
            self._known = {}
            lines = self._memory.read_text("utf-8").splitlines() if self._memory.exists() else []
            for line in lines:
                try:
                    name, size, modified, changed, inode, value = json.loads(line)
                except (ValueError, TypeError):  # a process was killed while it wrote: the file is hashed again
                    continue
                self._known[name, size, modified, changed, inode] = value
        return self._known
