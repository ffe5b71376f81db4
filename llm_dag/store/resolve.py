"""What each asset needs: reuse, resume or build, and why. The authority for `status`, `--dry-run` and the sensors.

A recipe is known as soon as its inputs are. Where an input must be built first, a step is *undecided*: it is rebuilt
unless the input yields the same bytes; it is *stale* for certain if its own code or config differ from the last ones.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llm_dag.config.source import source_from
from llm_dag.store.artifact import Artifact
from llm_dag.store.canonical import digest, gates, identity, requested
from llm_dag.store.code_identity import CodeIdentity, identify
from llm_dag.store.errors import MissingInput, StoreError
from llm_dag.store.recipe import Recipe, differences
from llm_dag.store.step import Graph, Input, Step
from llm_dag.store.store import Store


class State(enum.Enum):
    """What a run would do with an asset."""

    FRESH = "fresh"
    HELD = "held"
    RESUME = "resume"
    BUILD = "build"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Resolution:
    """One asset under one configuration; `artifact` is there if it is fresh or held.

    `gates` are the values that its checks compare with (config.fields.gate).
    """

    step: Step
    partition: str | None
    state: State
    recipe: Recipe | None
    artifact: Artifact | None
    inputs: Mapping[str, tuple[Resolution, ...]]
    reasons: tuple[str, ...] = ()
    request: str = ""
    gates: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.step.name


class Resolver:
    """Resolves the assets of one configuration.

    `root` is the identity config; the `source` node of another dump than the configured one is what that dump was
    crawled with. Results are remembered; make a new resolver after something was built.
    """

    def __init__(
        self,
        store: Store,
        graph: Graph,
        root: Any,
        code: Callable[..., CodeIdentity] = identify,
        source_from: Callable[[dict[str, Any]], Any] = source_from,
    ) -> None:
        self.store = store
        self.graph = graph
        self.root = root
        self.code = code  # as it is now; what was resolved is remembered
        self._source_from = source_from
        self._code = functools.cache(code)
        self._resolved: dict[tuple[str, str], Resolution] = {}
        self._resolving: list[tuple[str, str]] = []

    def resolve(self, name: str, dump: str | None = None) -> Resolution:
        """The state of an asset; `dump` is the partition, or of an unpartitioned asset the dump in whose run it is."""
        dump = dump or self.root.source.dump
        key = (name, dump)
        if key not in self._resolved:
            if key in self._resolving:
                raise StoreError(
                    f"{name} of the dump {dump} would be made from itself: the lists of dumps lead in a circle"
                )
            self._resolving.append(key)
            try:
                self._resolved[key] = self._resolve(self.graph[name], dump)
            finally:
                self._resolving.pop()
        return self._resolved[key]

    def node(self, step: Step, dump: str) -> Any:
        """The step's node of the identity config."""
        root = self.root
        if step.node.split(".")[0] == "source" and dump != root.source.dump:
            root = dataclasses.replace(root, source=self._source_from(self.store.dump_source(dump)))
        node = functools.reduce(getattr, step.node.split("."), root)
        return node.of_dump(dump) if hasattr(node, "of_dump") else node

    def dumps(self, item: Input) -> list[str]:
        """The dumps of an input that an unpartitioned step opens."""
        return list(functools.reduce(getattr, item.dumps.split("."), self.root))

    def earlier(self, step: Step, dump: str) -> list[tuple[str, str]]:
        """(asset, dump) of what a step opens of earlier dumps, in the order of the list."""
        if step.earlier is None:
            return []
        dumps = getattr(self.node(step, dump), step.earlier.key)
        return [(asset, each) for asset in step.earlier.assets for each in dumps]

    def _resolve(self, step: Step, dump: str) -> Resolution:
        partition = dump if step.partitioned else None
        inputs = {item.asset: self._inputs(step, item, dump) for item in step.inputs if not item.via}
        for item in step.inputs:
            if item.via:
                inputs[item.asset] = tuple(self._through(inputs[item.via][0], item.asset, dump))
        for asset, each in self.earlier(step, dump):
            inputs[asset] = (*inputs.get(asset, ()), self.resolve(asset, each))
        node = self.node(step, dump)
        config = identity(node, step.node, self.store.digests)
        code = self._code(step.build)
        known = all(one.artifact for found in inputs.values() for one in found)
        recipe = Recipe(step.name, partition, code, config, _digests(inputs)) if known else None
        artifact = self.store.find(step.name, partition, recipe.digest) if recipe else None
        request = self._request(step, dump) if step.held else ""
        found = Resolution(step, partition, State.FRESH, recipe, artifact, inputs, (), request, gates(node))
        if artifact:
            return found
        reasons = self._reasons(step, partition, code, config, inputs)
        kept = self.store.holder_of(step.name, request) if step.held else None
        if kept and (held := self.store.find(step.name, partition, kept)):
            return dataclasses.replace(found, state=State.HELD, artifact=held, reasons=reasons)
        if recipe is None:
            waits = sorted({one.name for each in inputs.values() for one in each if not one.artifact})
            if reasons:  # its own code, config or a known input differ: stale whatever the others yield
                return dataclasses.replace(found, state=State.BUILD, reasons=reasons)
            reason = f"rebuilds unless {' and '.join(waits)} yield{'s' if len(waits) == 1 else ''} the same bytes"
            return dataclasses.replace(found, state=State.UNDECIDED, reasons=(reason,))
        resumable = self.store.scratch(step.name, partition, recipe.digest).exists()
        return dataclasses.replace(found, state=State.RESUME if resumable else State.BUILD, reasons=reasons)

    def _inputs(self, step: Step, item: Input, dump: str) -> tuple[Resolution, ...]:
        wanted = self.graph[item.asset]
        if wanted.partitioned and not step.partitioned:
            if not item.dumps:
                raise StoreError(f"{step.name} opens the partitioned {item.asset} but names no list of dumps")
            return tuple(self.resolve(item.asset, each) for each in self.dumps(item))
        return (self.resolve(item.asset, dump),)

    def _through(self, via: Resolution, asset: str, dump: str) -> list[Resolution]:
        """What an input was itself made from: by its manifest if it exists, else by its resolution."""
        if via.artifact is None:
            return list(via.inputs[asset])
        step = self.graph[asset]
        wanted = gates(self.node(step, dump))
        return [
            Resolution(step, one.partition, State.FRESH, None, one, {}, gates=wanted)
            for one in via.artifact.inputs(asset)
        ]

    def _request(self, step: Step, dump: str) -> str:
        """What a held asset was asked for: the configuration of it and of everything that it is made from.

        Other bytes under the same configuration (a refreshed dump, a taken-down page, a new version of this program)
        leave the request as it is; asking for other filters or another model is another request.
        """
        asked: dict[str, Any] = {}

        def ask(one: Step, at: str) -> None:
            about_dump = one.partitioned or one.node.split(".")[0] == "source"
            key = f"{one.name} {at}" if about_dump else one.name  # the run's own dump is not what a model is asked for
            if key in asked:
                return
            asked[key] = requested(self.node(one, at), one.node)
            for item in one.inputs:
                spread = self.graph[item.asset].partitioned and not one.partitioned and item.dumps
                for each in self.dumps(item) if spread else [at]:
                    ask(self.graph[item.asset], each)
            for asset, each in self.earlier(one, at):
                ask(self.graph[asset], each)

        ask(step, dump)
        return digest(asked)[:40]

    def _reasons(
        self,
        step: Step,
        partition: str | None,
        code: CodeIdentity,
        config: Mapping[str, Any],
        inputs: Mapping[str, tuple[Resolution, ...]],
    ) -> tuple[str, ...]:
        """What differs from the artifact of this asset that is closest to what is asked for."""
        made = self.store.artifacts(step.name, partition)
        if not made:
            return ("never built",)
        parts = Recipe(step.name, partition, code, config, {}).parts
        found = []
        for artifact in reversed(made):
            before = dict(artifact.manifest.recipe_parts)
            known = _digests({name: each for name, each in inputs.items() if all(one.artifact for one in each)})
            parts["inputs"] = {
                name: [list(pair) for pair in known[name]] if name in known else before["inputs"].get(name)
                for name in inputs
            }
            found.append(tuple(differences(before, parts)))
        return min(found, key=len)


def require_inputs(resolution: Resolution) -> None:
    """Raises MissingInput, naming what to build first."""
    missing = sorted({one.name for found in resolution.inputs.values() for one in found if one.artifact is None})
    if missing:
        first = next(one for one in resolution.inputs[missing[0]] if one.artifact is None)
        where = f" of the dump {first.partition}" if first.partition else ""
        raise MissingInput(
            f"{resolution.name} opens {', '.join(missing)}, not made yet with this code and configuration{where}; "
            f"materialize {'it' if len(missing) == 1 else 'them'} first"
        )


def _digests(inputs: Mapping[str, tuple[Resolution, ...]]) -> dict[str, tuple[tuple[str | None, str], ...]]:
    return {
        name: tuple((one.partition, one.artifact.digest) for one in found if one.artifact)
        for name, found in inputs.items()
    }
