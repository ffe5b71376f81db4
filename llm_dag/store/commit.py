"""Commit what a step wrote: hash every file, write the manifest last, publish. The first commit of a recipe wins."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_dag.store.artifact import DATA, Artifact, place
from llm_dag.store.canonical import config_values, file_digest
from llm_dag.store.errors import StoreError, Unhashable
from llm_dag.store.leases import Lease
from llm_dag.store.manifest import Entry, InputRef, Manifest
from llm_dag.store.recipe import Recipe, differences
from llm_dag.store.resolve import Resolution
from llm_dag.store.store import Store, now
from llm_dag.store.witness import commit as code_commit
from llm_dag.store.work import Work


def commit(store: Store, resolution: Resolution, recipe: Recipe, work: Work, seconds: float, lease: Lease) -> Artifact:
    """Publish the outputs of a finished step, if its lease still holds.

    If another process has committed the recipe meanwhile, its artifact is the result; a difference is recorded.
    """
    out = work.folder / "out"
    for kind in ("data", "record"):
        (out / kind).mkdir(parents=True, exist_ok=True)
    where = place(resolution.name, resolution.partition, recipe.digest)
    staged = store.files.staged(where)
    entries = {entry.path: entry for entry in _hashed(out)} | work.references
    manifest = Manifest(
        asset=resolution.name,
        partition=resolution.partition,
        recipe=recipe.digest,
        recipe_parts=recipe.parts,
        config=config_values(work.config),
        inputs={name: _references(found) for name, found in resolution.inputs.items()},
        files={path: _lying(entry, where, staged) for path, entry in sorted(entries.items())},
        shards=work.shards,
        metrics={name: _number(name, work.metrics[name]) for name in sorted(work.metrics)},
        witness={name: _shown(value) for name, value in work.witness.items()},
        commit=code_commit(Path(__file__).parent),
        versions={**recipe.code.distributions, "python": recipe.code.python},
        seconds=round(seconds, 3),
        finished=now(),
    )
    _check_whole(manifest)
    _seal(out, manifest)
    lease.check()
    published = store.files.publish(out, where, staged)
    artifact = store.find(resolution.name, resolution.partition, recipe.digest)
    if artifact is None:
        raise StoreError(f"{where}: something that is not an artifact lies there; move it away and run again")
    if not published and artifact.digest != manifest.digest:
        _note_difference(store, artifact, manifest)
    return artifact


def adopt(store: Store, artifact: Artifact, recipe: Recipe, who: str, why: str) -> Artifact:
    """Keep an artifact's bytes under another recipe (after a refactor that changes nothing), recording who and why.

    Raises StoreError without a name and a reason, if more than code differs, and if the recipe has an artifact.
    """
    if not why.strip() or not who.strip():
        raise StoreError(f"adopting {artifact.place} needs a name and a reason")
    beyond = [one for one in differences(artifact.manifest.recipe_parts, recipe.parts) if _asks_otherwise(one)]
    if (artifact.asset, artifact.partition) != (recipe.asset, recipe.partition) or beyond:
        raise StoreError(
            f"{artifact.place} was asked for otherwise ({'; '.join(beyond) or 'another asset'}); "
            "adopting keeps an artifact across a change of code, not of what is asked for"
        )
    files = {path: _lying(entry, "", artifact.place) for path, entry in artifact.manifest.files.items()}
    adopted = {"from": artifact.recipe, "who": who, "why": why, "when": now()}
    manifest = dataclasses.replace(
        artifact.manifest, recipe=recipe.digest, recipe_parts=recipe.parts, files=files, adopted=adopted
    )
    where = place(artifact.asset, artifact.partition, recipe.digest)
    adopting = store.files.workspace / "adopting"
    adopting.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=adopting) as folder:
        out = Path(folder) / "out"
        out.mkdir()
        _seal(out, manifest)
        if not store.files.publish(out, where, where):
            raise StoreError(f"{where} is in the store already; there is nothing to adopt")
    found = store.find(artifact.asset, artifact.partition, recipe.digest)
    assert found is not None
    return found


def _asks_otherwise(difference: str) -> bool:
    return difference.startswith(("config:", "input:"))


def _lying(entry: Entry, where: str, staged: str) -> Entry:
    """The entry of a file that will lie under `staged`, in the manifest of the artifact at `where`."""
    return entry if entry.url or staged == where else dataclasses.replace(entry, url=f"{staged}/{entry.path}")


def _seal(out: Path, manifest: Manifest) -> None:
    """Write the manifest and make everything read-only; the folder itself still has to be moved."""
    for name, content in manifest.to_files().items():
        (out / name).write_bytes(content)
    for path in out.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)


def _hashed(out: Path) -> list[Entry]:
    """The entries of all files below `out`, which must be files: what a link points to may change after the commit."""
    entries = []
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StoreError(f"{name} is no plain file; an artifact holds bytes, and `Work.reference` names others'")
        if path.is_file() and path.parent != out:
            entries.append(Entry(name, file_digest(path), path.stat().st_size))
    return entries


def _check_whole(manifest: Manifest) -> None:
    """Raises StoreError if nothing was written, or if a shard names a file that was not."""
    if not any(path.startswith(DATA) for path in manifest.files):
        raise StoreError(f"{manifest.asset} wrote nothing under data/")
    for name, record in manifest.shards.items():
        for path in record.files:
            if DATA + path not in manifest.files:
                raise StoreError(f"{manifest.asset}: the shard {name} names {path}, which was not written")


def _number(name: str, value: Any) -> float:
    """A metric as a plain number; libraries hand out numbers of their own."""
    if isinstance(value, bool | int | float):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Unhashable(f"metrics[{name!r}] is a {type(value).__name__}; a metric is a number") from None


def _shown(value: Any) -> Any:
    """A value of the witness; it is shown to people and hashed nowhere, so text does for what JSON does not know."""
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _shown(item) for name, item in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _references(found: tuple[Resolution, ...]) -> tuple[InputRef, ...]:
    made = [one.artifact for one in found if one.artifact is not None]
    return tuple(InputRef(one.asset, one.partition, one.recipe, one.digest) for one in made)


def _note_difference(store: Store, artifact: Artifact, other: Manifest) -> None:
    kept, lost = artifact.manifest.files, other.files
    differing = sorted(
        path
        for path in {*kept, *lost}
        if path.startswith(DATA) and (path not in kept or path not in lost or kept[path].digest != lost[path].digest)
    )
    store.note_difference(
        artifact.place,
        {"digest": other.digest, "files": differing, "witness": other.witness, "finished": other.finished},
    )
