"""Hash every file of every artifact again, and say which are not what their manifests state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llm_dag.config.places import is_url
from llm_dag.progress import Progress
from llm_dag.store.artifact import WHOLE, Artifact
from llm_dag.store.canonical import file_digest
from llm_dag.store.errors import Corrupt
from llm_dag.store.files import MANIFEST
from llm_dag.store.manifest import Entry
from llm_dag.store.remote import Remote
from llm_dag.store.store import Store
from llm_dag.store.transport import RemoteError


@dataclass(frozen=True)
class Fault:
    """A file that is not what its manifest says."""

    artifact: str
    file: str
    found: str


def verify(store: Store, progress: Progress) -> list[Fault]:
    """Every fault of the store; a file that several artifacts share is hashed once.

    Files that were referenced where they lie on the network are not hashed (a crawl has terabytes of them): each is
    looked at once, and must be there with the size that was stated. Their bytes are checked whenever they are read.
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
    remote = Remote(pauses=())
    for artifact, entry in work:
        faults += [Fault(artifact.place, entry.path, found) for found in _wrong(store, artifact, entry, seen, remote)]
        done += entry.bytes
        progress.update(done)
    return faults


def _wrong(store: Store, artifact: Artifact, entry: Entry, seen: dict[str, str], remote: Remote) -> Iterator[str]:
    """What is wrong with a file; `seen` holds what was found where it lies, a digest or, on the network, a size."""
    lies = entry.url or f"{artifact.place}/{entry.path}"
    try:
        if lies not in seen:
            if is_url(lies):
                seen[lies] = str(remote.state(lies).bytes)
            elif lies.startswith("file://"):
                seen[lies] = file_digest(Path(lies.removeprefix("file://")))
            else:
                seen[lies] = store.files.hashed(lies)
    except RemoteError as error:
        seen[lies] = str(error)
    except OSError as error:
        yield f"cannot be read ({error})"
        return
    if is_url(lies):
        if seen[lies] != str(entry.bytes):
            sized = f"{lies} has {seen[lies]} bytes instead of {entry.bytes}"
            yield sized if seen[lies].isdigit() else seen[lies]
    elif seen[lies] != entry.digest:
        yield f"sha256 {seen[lies]} instead of {entry.digest}"
