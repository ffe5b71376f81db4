"""Recipes: what is asked for, known before any work starts.

    recipe = hash of (asset, partition, code identity, identity config, content digests of every input)

Inputs enter by content, not by their own recipes, so remaking the same bytes makes nothing downstream stale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llm_dag.store.canonical import digest
from llm_dag.store.code_identity import CodeIdentity


@dataclass(frozen=True)
class Recipe:
    """The parts of a recipe; `inputs` maps an input's name to its (partition, content digest) pairs, in order."""

    asset: str
    partition: str | None
    code: CodeIdentity
    config: Mapping[str, Any]
    inputs: Mapping[str, tuple[tuple[str | None, str], ...]]

    @property
    def parts(self) -> dict[str, Any]:
        """Code, config and inputs as plain values: what the manifest keeps, so that a difference can be named."""
        return {
            "modules": dict(self.code.modules),
            "distributions": dict(self.code.distributions),
            "python": self.code.python,
            "config": dict(self.config),
            "inputs": {name: [list(pair) for pair in pairs] for name, pairs in self.inputs.items()},
        }

    @property
    def digest(self) -> str:
        """40 hex digits: the name of the artifact's folder."""
        return digest({"asset": self.asset, "partition": self.partition, **self.parts})[:40]

    @property
    def shard_basis(self) -> str:
        """The digest of code and config alone."""
        return digest([self.asset, self.code.digest, dict(self.config)])


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What changed between the parts of two recipes, in words a person can act on."""
    for name in sorted({*before["modules"], *after["modules"]}):
        old, new = before["modules"].get(name), after["modules"].get(name)
        if old != new:
            yield f"code: {name} {'is new' if old is None else 'is no longer used' if new is None else 'changed'}"
    for name in sorted({*before["distributions"], *after["distributions"]}):
        old, new = before["distributions"].get(name, "none"), after["distributions"].get(name, "none")
        if old != new:
            yield f"version: {name} {old} → {new}"
    if before["python"] != after["python"]:
        yield f"version: Python {before['python']} → {after['python']}"
    yield from _config_differences(before["config"], after["config"], "")
    for name in sorted({*before["inputs"], *after["inputs"]}):
        if before["inputs"].get(name) != after["inputs"].get(name):
            yield f"input: {name} has other bytes"


def _config_differences(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _config_differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"config: {prefix}{key} {_short(old)} → {_short(new)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
