"""Every key of the configuration does something, and it is shown what.

The graph is made once at its smallest. Each key of the identity tree then has another value, the one step that reads it
is made again over the same inputs, and its bytes must differ. A key without an entry fails, so no knob can be added
that nothing reads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from llm_dag.config.compose import compose
from llm_dag.config.source import CommonCrawl, Jsonl, Parquet, PythonDocs, Warc
from llm_dag.store.resolve import Resolver, State
from tests.knobs import runtime
from tests.knobs.shown import differ
from tests.knobs.table import IDENTITY, Bytes, Gate
from tests.knobs.world import COMMON_CRAWL, JSONL, PARQUET, SMALL, WARC, World, build_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("world"))


def leaves(node: Any, prefix: str) -> Iterator[str]:
    """The dotted keys of a resolved tree; lists and mappings are values."""
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"


def test_the_tables_have_every_key_and_no_other(world: World) -> None:
    identity = world.config.identity
    assert isinstance(identity.source, PythonDocs)
    keys = [*leaves(identity, ""), *leaves(Warc(), f"{WARC}source."), *leaves(CommonCrawl(), f"{COMMON_CRAWL}source.")]
    keys += [*leaves(Parquet(), f"{PARQUET}source."), *leaves(Jsonl(), f"{JSONL}source.")]
    assert sorted(keys) == sorted(IDENTITY)
    assert sorted(leaves(world.compute, "compute.")) == sorted(runtime.RUNTIME)


@pytest.mark.parametrize("key", IDENTITY)
def test_what_is_asked_for_changes_what_is_made(world: World, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    entry = IDENTITY[key]
    if isinstance(entry, Bytes):
        value = entry.value(world.folder) if callable(entry.value) else entry.value
        differ(world, key, value, entry.asset, entry.files)
    elif isinstance(entry, Gate):
        made = [world.make(entry.asset, changes) for changes in ({}, {key: entry.value}, {})]
        assert [one.checks[entry.check].passed for one in made] == [True, False, True]
        assert len({one.artifact.recipe for one in made}) == 1  # what a check wants decides nothing that is made
    else:
        entry(world, monkeypatch)


@pytest.mark.parametrize("key", runtime.RUNTIME)
def test_where_it_runs_changes_what_happens(world: World, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    runtime.RUNTIME[key](world, monkeypatch)


def test_where_it_runs_changes_no_recipe(world: World) -> None:
    assert runtime.OTHER_VALUES.keys() | {"store"} == vars(world.compute).keys()
    named = {**world.named, **{f"compute.{key}": value for key, value in runtime.OTHER_VALUES.items()}}
    config = compose([*SMALL, *(f"{key}={value}" for key, value in named.items()), "compute.store=elsewhere"])
    assert not any(vars(config.compute)[key] == value for key, value in vars(world.compute).items())
    found = Resolver(world.store, world.graph, config.identity)
    assert {found.resolve(name).state for name in world.graph} == {State.FRESH}
