"""Materialize one asset: reuse it, or make it under a lease, commit it whole, and check it.

    resolve → gate the inputs → lease → (somebody else made it: reuse) → work in scratch → code unchanged?
    → hash, manifest, publish → checks

With several machines (`compute.nodes`), the processes beside the first follow it: see store/follow.py.

Killed anywhere, this leaves a complete artifact or none, and scratch from which the next run resumes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llm_dag.config.compute import Compute
from llm_dag.progress import Progress
from llm_dag.store.artifact import DATA, WHOLE, Artifact, place
from llm_dag.store.canonical import identity, ungated
from llm_dag.store.code_identity import CodeIdentity, edited_since
from llm_dag.store.commit import commit
from llm_dag.store.errors import CodeChanged, Corrupt, StoreError
from llm_dag.store.files import explain
from llm_dag.store.follow import Follower
from llm_dag.store.gate import open_inputs, run_checks
from llm_dag.store.launcher import Launch, launched
from llm_dag.store.leases import Holder, held
from llm_dag.store.manifest import Entry
from llm_dag.store.recipe import Recipe
from llm_dag.store.resolve import Resolution, Resolver, State, require_inputs
from llm_dag.store.store import CheckRecord, Store
from llm_dag.store.witness import process_started, witness
from llm_dag.store.work import Earlier, Work

__all__ = ["Outcome", "materialize", "run_checks"]


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
    store, launch = resolver.store, launched(compute)
    try:
        resolution = resolver.resolve(name, dump)
        step = resolution.step
        if resolution.state is State.HELD:
            progress.say(f"{name} is held; --release {name} rebuilds it ({', '.join(resolution.reasons)})")
        artifact, state = resolution.artifact, resolution.state
        if artifact is None:
            require_inputs(resolution)
            open_inputs(store, resolution, resolver.code)
            dump = dump or resolver.root.source.dump
            if launch and not launch.leads:
                artifact, state = _followed(resolver, resolution, dump, compute, progress, launch), State.FRESH
            else:
                artifact, state = _make(resolver, resolution, dump, compute, progress)
        if step.held and state is not State.HELD:
            store.hold(name, resolution.request, artifact.recipe)
        checks = run_checks(store, step, artifact, resolution.gates, resolver.code)
        return Outcome(artifact, state, resolution.reasons, checks)
    except Exception as error:
        if explained := explain(error, store.files.url):
            raise explained from error
        raise


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
        folder = store.scratch(step.name, resolution.partition, recipe.digest)
        if lease is None or made:
            if made is None:
                raise StoreError(f"{where} vanished while this process waited for it")
            if lease is not None:  # a run that was killed between its commit and its tidying has left its scratch
                _discard(folder)
            return made, State.FRESH
        begun = time.monotonic()
        work = _work(resolver, resolution, recipe, dump, compute, progress, folder)
        _run(resolver, resolution, recipe, work)
        artifact = commit(store, resolution, recipe, work, time.monotonic() - begun, lease)
        _discard(folder)
        return artifact, resolution.state


def _followed(
    resolver: Resolver, resolution: Resolution, dump: str, compute: Compute, progress: Progress, launch: Launch
) -> Artifact:
    """What the leader makes of this; where a step is made together, this process takes part in a folder of its own."""
    store, recipe, step = resolver.store, resolution.recipe, resolution.step
    assert recipe is not None
    where = place(step.name, resolution.partition, recipe.digest)
    folder = store.files.workspace / "followers" / f"{where.replace('/', '-')}-rank-{launch.rank}"

    def take_part() -> None:
        try:
            _discard(folder)  # of a launch that was killed
            _run(resolver, resolution, recipe, _work(resolver, resolution, recipe, dump, compute, progress, folder))
        finally:
            _discard(folder)

    def find() -> Artifact | None:
        return store.find(step.name, resolution.partition, recipe.digest)

    return Follower(store, where, launch.key, find).artifact(take_part if step.together else None)


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
        config=ungated(resolver.node(resolution.step, dump)),
        compute=compute,
        input_artifacts=inputs,
        folder=folder,
        progress=progress,
        recipe=recipe.digest,
        digest_of=resolver.store.digests,
        shard_basis=recipe.shard_basis,
        earlier_shards=lambda: _earlier(resolver.store, resolution),
        witness=witness(compute.threads, compute.devices, compute.nodes),
    )
    work.clear_outputs()
    return work


def _run(resolver: Resolver, resolution: Resolution, recipe: Recipe, work: Work) -> None:
    """Run the step. Raises CodeChanged if its code is not, at the start and at the end, what the recipe names."""
    step, started = resolution.step, process_started()
    _require_same_code(resolver, resolution, recipe.code, "before")
    if started and (edited := edited_since(step.build, recipe.code, started)):
        raise CodeChanged(f"{step.name}: {', '.join(edited)} changed since this process started; run again")
    step.build(work)
    try:
        _require_same_code(resolver, resolution, recipe.code, "while")
        if identity(work.config, step.node, resolver.store.digests) != recipe.config:
            raise StoreError(f"{step.name}: a file that {step.node} names changed while the step ran; run again")
    except StoreError:
        work.forget_shards()  # a worker process may have loaded what was changed, and made any of them
        raise


def _require_same_code(resolver: Resolver, resolution: Resolution, code: CodeIdentity, when: str) -> None:
    after = resolver.code(resolution.step.build)
    if after != code:
        changed = sorted(
            name for name in {*code.modules, *after.modules} if code.modules.get(name) != after.modules.get(name)
        )
        named = ", ".join(changed) or "a distribution"
        raise CodeChanged(f"{resolution.name}: code changed {when} it was running: {named}; run again")


def _discard(folder: Path) -> None:
    """Remove a scratch folder, also one that lost the race to commit and has been made read-only.

    The artifact is committed by now: what cannot be removed is rubbish, not a failure.
    """
    for path in [item for item in folder.rglob("*") if item.is_dir()]:
        path.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


def _earlier(store: Store, resolution: Resolution) -> dict[str, Earlier]:
    """The shards of this asset's earlier artifacts by key, each with entries that say where its files lie."""
    shards: dict[str, Earlier] = {}
    for artifact in store.artifacts(resolution.name, resolution.partition):
        for record in artifact.manifest.shards.values():
            entries = []
            for name in record.files if record.key else ():
                entry = artifact.manifest.files[DATA + name]
                entries.append(dataclasses.replace(entry, url=entry.url or f"{artifact.place}/{entry.path}"))
            if record.key and all(_still_there(store, entry) for entry in entries):
                shards.setdefault(record.key, Earlier(tuple(entries), record))
    return shards


def _still_there(store: Store, entry: Entry) -> bool:
    """Whether the artifact that an entry points into is in the store (somebody may have removed it by hand)."""
    if "://" in entry.url:
        return True
    asset, partition, recipe, *_ = entry.url.split("/")
    with contextlib.suppress(Corrupt):
        return store.find(asset, None if partition == WHOLE else partition, recipe) is not None
    return False
