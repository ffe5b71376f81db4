"""Hash every file of every artifact again, and say which are not what their manifests state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llm_dag.progress import Progress
from llm_dag.store.artifact import Artifact, locate
from llm_dag.store.canonical import file_digest
from llm_dag.store.errors import Corrupt
from llm_dag.store.manifest import Entry
from llm_dag.store.store import Store


@dataclass(frozen=True)
class Fault:
    """A file that is not what its manifest says."""

    artifact: str
    file: str
    found: str


def verify(store: Store, progress: Progress) -> list[Fault]:
    """Every fault of the store; a file that several artifacts share is hashed once."""
    artifacts = store.everything()
    work = [(artifact, entry) for artifact in artifacts for entry in artifact.manifest.files.values()]
    progress.start("verify", sum(entry.bytes for _, entry in work), "bytes")
    done, faults = 0, []
    seen: dict[str, str] = {}
    for artifact, entry in work:
        faults += [Fault(artifact.place, entry.path, found) for found in _wrong(store, artifact, entry, seen)]
        done += entry.bytes
        progress.update(done)
    return faults


def _wrong(store: Store, artifact: Artifact, entry: Entry, seen: dict[str, str]) -> Iterator[str]:
    try:
        path = locate(store.files, artifact.place, entry)
        if str(path) not in seen:
            seen[str(path)] = file_digest(path)
    except (OSError, Corrupt) as error:
        yield f"cannot be read ({error})"
        return
    if seen[str(path)] != entry.digest:
        yield f"sha256 {seen[str(path)]} instead of {entry.digest}"
