"""Everything that the reported artifacts were made from, in an order in which it could be made again.

Depth first over the inputs that the manifests name: an artifact comes after its inputs and as close to them as it can,
so that a chain of steps is drawn as a line. Artifacts are opened through their manifests; one that is gone keeps its
row, with what its reference says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from llm_dag.evaluation.page.wording import duration, size
from llm_dag.evaluation.plots import Bar, arcs, bars
from llm_dag.store.artifact import Artifact
from llm_dag.store.errors import StoreError
from llm_dag.store.manifest import InputRef

Key = tuple[str, str | None, str]

GROUPS = {
    "crawl": ("crawl_listing", "raw_pages", "takedowns"),
    "curation": (
        "url_filtered",
        "extracted_text",
        "language_filtered",
        "gopher_filtered",
        "minhash_signatures",
        "minhash_deduped",
        "c4_filtered",
        "quality_classifier",
        "custom_filtered",
        "pii_redacted",
    ),
    "tokens": ("tokenizer", "token_arrays"),
    "models": ("base_model", "sft_model"),
    "tasks": ("eval_sets", "conversations"),
}


@dataclass(frozen=True)
class Node:
    """One artifact of the lineage, or what is known of one that cannot be opened."""

    asset: str
    partition: str | None
    recipe: str
    digest: str
    inputs: tuple[Key, ...]
    artifact: Artifact | None

    @property
    def key(self) -> Key:
        return self.asset, self.partition, self.recipe

    @property
    def name(self) -> str:
        return f"{self.asset} · {self.partition}" if self.partition else self.asset

    @property
    def group(self) -> str:
        return next((group for group, assets in GROUPS.items() if self.asset in assets), "other")

    @property
    def made_from(self) -> str:
        """The inputs in words."""
        return ", ".join(f"{asset} {recipe[:8]}" for asset, _, recipe in self.inputs) or "nothing earlier"


def trace(roots: Iterable[Artifact]) -> list[Node]:
    """The roots and all their ancestors, each after its inputs."""
    found: dict[Key, Node] = {}
    for root in roots:
        _visit(root, found)
    return list(found.values())


def _visit(artifact: Artifact, found: dict[Key, Node]) -> None:
    if (artifact.asset, artifact.partition, artifact.recipe) in found:
        return
    references: list[InputRef] = []
    for name, wanted in artifact.manifest.inputs.items():
        references += wanted
        try:
            for above in artifact.inputs(name):
                _visit(above, found)
        except StoreError:
            for reference in wanted:
                node = Node(reference.asset, reference.partition, reference.recipe, reference.digest, (), None)
                found.setdefault(node.key, node)
    keys = tuple(dict.fromkeys((item.asset, item.partition, item.recipe) for item in references))
    node = Node(artifact.asset, artifact.partition, artifact.recipe, artifact.digest, keys, artifact)
    found[node.key] = node


def graph(nodes: list[Node]) -> Markup:
    """The arcs between the rows of the lineage."""
    row = {node.key: at for at, node in enumerate(nodes)}
    edges = sorted({(row[above], row[node.key]) for node in nodes for above in node.inputs if above in row})
    return arcs(
        edges,
        [node.group for node in nodes],
        "Lineage of the reported artifacts",
        f"{len(nodes)} artifacts and {len(edges)} arcs from an artifact to one that was made from it.",
    )


def time_and_space(nodes: list[Node]) -> Markup:
    """A bar for the seconds of each artifact, its bytes in words."""
    names = Counter(node.name for node in nodes)
    rows = [
        Bar(
            _told_apart(node, names),
            f"{duration(node.artifact.seconds)} · {size(node.artifact.bytes)}",
            node.artifact.seconds,
        )
        for node in nodes
        if node.artifact is not None
    ]
    total = sum(node.artifact.seconds for node in nodes if node.artifact is not None)
    return bars(rows, "Time of each artifact", f"{len(rows)} artifacts took {duration(total)} together.", thickness=5)


def _told_apart(node: Node, names: Counter[str]) -> str:
    """The node's name, with its recipe where the report knows several of that name."""
    return f"{node.name} · {node.recipe[:6]}" if names[node.name] > 1 else node.name


def settings(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A resolved configuration as (dotted key, value) pairs."""
    rows: list[tuple[str, str]] = []
    for key in sorted(config):
        value = config[key]
        if isinstance(value, Mapping):
            rows += settings(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return rows
