"""Hash every file of every artifact again, and say which are not what their manifests state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llm_dag.progress import Progress
from llm_dag.store.artifact import WHOLE, Artifact
from llm_dag.store.canonical import file_digest
from llm_dag.store.errors import Corrupt
from llm_dag.store.files import MANIFEST
from llm_dag.store.manifest import Entry
from llm_dag.store.store import Store


@dataclass(frozen=True)
class Fault:
    """A file that is not what its manifest says."""

    artifact: str
    file: str
    found: str


def verify(store: Store, progress: Progress) -> list[Fault]:
    """Every fault of the store; a file that several artifacts share is hashed once.

    Files that were referenced where they lie on the network are not the store's: their digests are checked whenever
    they are fetched.
    """
    artifacts, faults = [], []
    for asset, partition, recipe in store.places():
        try:
            found = store.find(asset, partition, recipe)
        except Corrupt as error:
            faults.append(Fault(f"{asset}/{partition or WHOLE}/{recipe}", MANIFEST, str(error)))
            continue
        if found is not None:
            artifacts.append(found)
    work = [(artifact, entry) for artifact in artifacts for entry in artifact.manifest.files.values()]
    progress.start("verify", sum(entry.bytes for _, entry in work), "bytes")
    done = 0
    seen: dict[str, str] = {}
    for artifact, entry in work:
        faults += [Fault(artifact.place, entry.path, found) for found in _wrong(store, artifact, entry, seen)]
        done += entry.bytes
        progress.update(done)
    return faults


def _wrong(store: Store, artifact: Artifact, entry: Entry, seen: dict[str, str]) -> Iterator[str]:
    try:
        lies = entry.url or f"{artifact.place}/{entry.path}"
        if "://" in lies and not lies.startswith("file://"):
            return
        if lies not in seen:
            outside = "://" in lies
            seen[lies] = file_digest(Path(lies.removeprefix("file://"))) if outside else store.files.hashed(lies)
    except OSError as error:
        yield f"cannot be read ({error})"
        return
    if seen[lies] != entry.digest:
        yield f"sha256 {seen[lies]} instead of {entry.digest}"
