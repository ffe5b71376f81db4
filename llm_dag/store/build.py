"""Materialize one asset: reuse it, or make it under a lease, commit it whole, and check it.

    resolve → gate the inputs → lease → (somebody else made it: reuse) → work in scratch → code unchanged?
    → hash, manifest, publish → checks

Killed anywhere, this leaves a complete artifact or none, and scratch from which the next run resumes.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from llm_dag.config.compute import Compute
from llm_dag.progress import Progress
from llm_dag.store.artifact import DATA, Artifact, place
from llm_dag.store.canonical import config_values, file_digest
from llm_dag.store.code_identity import CodeIdentity, edited_since, identify
from llm_dag.store.errors import CodeChanged, StoreError
from llm_dag.store.files import explain
from llm_dag.store.leases import Holder, Lease, held
from llm_dag.store.manifest import Entry, InputRef, Manifest
from llm_dag.store.recipe import Recipe
from llm_dag.store.resolve import Resolution, Resolver, State, require_inputs
from llm_dag.store.step import Step
from llm_dag.store.store import CheckRecord, Store, now
from llm_dag.store.witness import commit, process_started, witness
from llm_dag.store.work import Earlier, Work


@dataclass(frozen=True)
class Outcome:
    """What materializing gave: the artifact, whether it was there already, and its checks."""

    artifact: Artifact
    state: State
    reasons: tuple[str, ...]
    checks: Mapping[str, CheckRecord]

    @property
    def reused(self) -> bool:
        return self.state in (State.FRESH, State.HELD)


def materialize(resolver: Resolver, name: str, dump: str | None, compute: Compute, progress: Progress) -> Outcome:
    """Materialize an asset of the resolver's configuration. Raises StoreError with a message for a person."""
    store, resolution = resolver.store, resolver.resolve(name, dump)
    step = resolution.step
    if resolution.state is State.HELD:
        progress.say(f"{name} is held; it would be rebuilt because {', '.join(resolution.reasons)}")
    try:
        artifact, state = resolution.artifact, resolution.state
        if artifact is None:
            require_inputs(resolution)
            for found in resolution.inputs.values():
                for one in found:
                    if one.artifact is not None:
                        store.require(one.artifact, one.step, name)
            artifact, state = _make(resolver, resolution, dump or resolver.root.source.dump, compute, progress)
        if step.held and state is not State.HELD:
            store.hold(name, resolution.request, artifact.recipe)
        return Outcome(artifact, state, resolution.reasons, run_checks(store, step, artifact))
    except OSError as error:
        raise explain(error, store.files.url) or error from error


def _make(
    resolver: Resolver, resolution: Resolution, dump: str, compute: Compute, progress: Progress
) -> tuple[Artifact, State]:
    store, recipe, step = resolver.store, resolution.recipe, resolution.step
    assert recipe is not None
    where = place(step.name, resolution.partition, recipe.digest)
    said = False

    def waiting(holder: Holder | None) -> bool:
        nonlocal said
        if holder and not said:
            progress.say(f"{step.name} is being made by process {holder.pid} on {holder.host}; waiting for it")
            said = True
        return store.find(step.name, resolution.partition, recipe.digest) is not None

    guard = store.files.workspace / "guards" / where.replace("/", "-")
    with held(store.files, f".leases/{where}.json", guard, waiting) as lease:
        made = store.find(step.name, resolution.partition, recipe.digest)
        if lease is None or made:
            if made is None:
                raise StoreError(f"{where} vanished while this process waited for it")
            return made, State.FRESH
        folder = store.scratch(step.name, resolution.partition, recipe.digest)
        begun = time.monotonic()
        work = _work(resolver, resolution, recipe, dump, compute, progress, folder)
        _run(step, work, recipe.code)
        seconds = time.monotonic() - begun
        artifact = _commit(store, resolution, recipe, work, resolver.node(step, dump), seconds, lease)
        _discard(folder)
        return artifact, resolution.state


def _work(
    resolver: Resolver,
    resolution: Resolution,
    recipe: Recipe,
    dump: str,
    compute: Compute,
    progress: Progress,
    folder: Path,
) -> Work:
    inputs = {
        name: [one.artifact for one in found if one.artifact is not None] for name, found in resolution.inputs.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    work = Work(
        asset=resolution.name,
        partition=resolution.partition,
        config=resolver.node(resolution.step, dump),
        compute=compute,
        input_artifacts=inputs,
        folder=folder,
        progress=progress,
        shard_basis=recipe.shard_basis,
        earlier_shards=lambda: _earlier(resolver.store, resolution),
        witness=witness(compute.threads, compute.devices, compute.nodes),
    )
    work.clear_outputs()
    return work


def _run(step: Step, work: Work, code: CodeIdentity) -> None:
    """Run the step. Raises CodeChanged if its code is not, at the start or at the end, what the recipe names."""
    started = process_started()
    if started and (edited := edited_since(code, started)):
        raise CodeChanged(f"{step.name}: {', '.join(edited)} changed since this process started; run again")
    step.build(work)
    after = identify(step.build)
    if after != code:
        changed = sorted(
            name for name in {*code.modules, *after.modules} if code.modules.get(name) != after.modules.get(name)
        )
        raise CodeChanged(f"{step.name}: {', '.join(changed) or 'a distribution'} changed while it ran; run again")


def _commit(
    store: Store, resolution: Resolution, recipe: Recipe, work: Work, node: object, seconds: float, lease: Lease
) -> Artifact:
    """Hash what was written, write the manifest last, and publish. The first commit of a recipe wins."""
    out = work.folder / "out"
    for kind in ("data", "record"):
        (out / kind).mkdir(parents=True, exist_ok=True)
    entries = {entry.path: entry for entry in _hashed(out)} | work.references
    if not any(path.startswith(DATA) for path in entries):
        raise StoreError(f"{resolution.name} wrote nothing under data/")
    manifest = Manifest(
        asset=resolution.name,
        partition=resolution.partition,
        recipe=recipe.digest,
        recipe_parts=recipe.parts,
        config=config_values(node),
        inputs={name: _references(found) for name, found in resolution.inputs.items()},
        files=dict(sorted(entries.items())),
        shards=work.shards,
        metrics={name: work.metrics[name] for name in sorted(work.metrics)},
        witness=work.witness,
        commit=commit(Path(__file__).parent),
        versions={**recipe.code.distributions, "python": recipe.code.python},
        seconds=round(seconds, 3),
        finished=now(),
    )
    for name, content in manifest.to_files().items():
        (out / name).write_bytes(content)
    for path in out.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    lease.check()
    where = place(resolution.name, resolution.partition, recipe.digest)
    published = store.files.publish(out, where)
    artifact = store.find(resolution.name, resolution.partition, recipe.digest)
    if artifact is None:
        raise StoreError(f"{where}: something that is not an artifact lies there; move it away and run again")
    if not published and artifact.digest != manifest.digest:
        _note_difference(store, artifact, manifest)
    return artifact


def _discard(folder: Path) -> None:
    """Remove a scratch folder, also one that lost the race to commit and has been made read-only."""
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


def _hashed(out: Path) -> list[Entry]:
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.parent != out)
    return [Entry(path.relative_to(out).as_posix(), file_digest(path), path.stat().st_size) for path in files]


def _references(found: tuple[Resolution, ...]) -> tuple[InputRef, ...]:
    made = [one.artifact for one in found if one.artifact is not None]
    return tuple(InputRef(one.asset, one.partition, one.recipe, one.digest) for one in made)


def _note_difference(store: Store, artifact: Artifact, other: Manifest) -> None:
    paths = {*artifact.manifest.files, *other.files}
    kept, lost = artifact.manifest.files, other.files
    differing = sorted(
        path
        for path in paths
        if path.startswith(DATA) and (path not in kept or path not in lost or kept[path].digest != lost[path].digest)
    )
    store.note_difference(
        artifact.place,
        {"digest": other.digest, "files": differing, "witness": other.witness, "finished": other.finished},
    )


def _earlier(store: Store, resolution: Resolution) -> dict[str, Earlier]:
    """The shards of this asset's earlier artifacts by key, each with entries that say where its files lie."""
    shards: dict[str, Earlier] = {}
    for artifact in store.artifacts(resolution.name, resolution.partition):
        for record in artifact.manifest.shards.values():
            entries = []
            if not record.key:
                continue
            for name in record.files:
                entry = artifact.manifest.files[DATA + name]
                entries.append(dataclasses.replace(entry, url=entry.url or f"{artifact.place}/{entry.path}"))
            shards[record.key] = Earlier(tuple(entries), record)
    return shards


def run_checks(
    store: Store, step: Step, artifact: Artifact, code: Callable[..., CodeIdentity] = identify
) -> dict[str, CheckRecord]:
    """Run the checks that have no result yet, or whose own code changed, and record the results."""
    known = store.checks(artifact)
    records = {}
    for check in step.checks:
        version = code(check.run).digest
        record = known.get(check.name)
        if record is None or record.code != version or record.blocking != check.blocking:
            try:
                result = check.run(artifact)
                record = CheckRecord(
                    check.name, result.passed, check.blocking, result.message, dict(result.numbers), version
                )
            except Exception as error:  # a check that breaks has not passed; what broke is its message
                message = f"the check broke: {type(error).__name__}: {error}"
                record = CheckRecord(check.name, False, check.blocking, message, {}, version)
        records[check.name] = record
    if records != known:
        store.record_checks(artifact, list(records.values()))
    return records


def adopt(store: Store, artifact: Artifact, recipe: Recipe, who: str, why: str) -> Artifact:
    """Keep an artifact's bytes under another recipe (after a refactor that changes nothing), recording who and why."""
    if not why.strip() or not who.strip():
        raise StoreError(f"adopting {artifact.place} needs a name and a reason")
    files = {
        path: dataclasses.replace(entry, url=entry.url or f"{artifact.place}/{path}")
        for path, entry in artifact.manifest.files.items()
    }
    adopted = {"from": artifact.recipe, "who": who, "why": why, "when": now()}
    manifest = dataclasses.replace(
        artifact.manifest, recipe=recipe.digest, recipe_parts=recipe.parts, files=files, adopted=adopted
    )
    out = store.scratch(artifact.asset, artifact.partition, recipe.digest) / "out"
    out.mkdir(parents=True)
    for name, content in manifest.to_files().items():
        (out / name).write_bytes(content)
    store.files.publish(out, place(artifact.asset, artifact.partition, recipe.digest))
    found = store.find(artifact.asset, artifact.partition, recipe.digest)
    if found is None:
        raise StoreError(f"{artifact.place} could not be adopted as {recipe.digest}")
    return found
