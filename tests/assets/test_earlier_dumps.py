"""Deduplication against earlier dumps, as the graph declares it and as Dagster is told of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from llm_dag.assets.graph import graph
from llm_dag.assets.materialize import _inputs_used
from llm_dag.config.compose import compose
from llm_dag.store.canonical import config_values
from llm_dag.store.manifest import InputRef
from llm_dag.store.resolve import Resolution, Resolver
from llm_dag.store.store import Store

LIST = ("curation.minhash.scope=all", "curation.minhash.against=[first,second]")


def resolver(store: Store, dump: str, *overrides: str) -> Resolver:
    identity = compose(["scale=ci", f"source.dump={dump}", *overrides]).identity
    store.register_dump(dump, config_values(identity.source))
    return Resolver(store, graph(), identity)


def opened(found: Resolution) -> dict[str, list[str | None]]:
    return {name: [one.partition for one in each] for name, each in found.inputs.items()}


def test_the_earlier_dumps_of_a_list_are_opened_and_no_others(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for dump in ("first", "second"):
        resolver(store, dump)
    found = opened(resolver(store, "third", *LIST).resolve("minhash_deduped"))
    assert found == {
        "minhash_signatures": ["third", "first", "second"],
        "extracted_text": ["third", "first", "second"],
        "gopher_filtered": ["third"],
        "minhash_deduped": ["first", "second"],
    }
    by_itself = opened(resolver(store, "first", *LIST).resolve("minhash_deduped"))
    assert by_itself == opened(resolver(store, "first").resolve("minhash_deduped"))


def test_a_model_of_several_dumps_is_asked_for_with_the_same_list(tmp_path: Path) -> None:
    """What a model reads of the first dump is what the first dump's own run made."""
    store = Store(str(tmp_path))
    both = "pretrain.dumps=[first,second]"
    for dump in ("second", "python-docs"):  # the latter is the tokenizer's
        resolver(store, dump)
    alone = resolver(store, "first", both).resolve("base_model")
    listed = resolver(store, "first", both, *LIST).resolve("base_model")
    assert alone.request != listed.request  # the second dump is asked for otherwise
    arrays = {one.partition: one for one in listed.inputs["token_arrays"]}
    assert arrays.keys() == {"first", "second"}


def test_dagster_compares_the_own_dump(tmp_path: Path) -> None:
    names = {"minhash_signatures": ("second", "first"), "minhash_deduped": ("first",), "takedowns": (None,)}
    inputs = {
        name: tuple(InputRef(name, one, "0" * 40, f"{name} {one}") for one in each) for name, each in names.items()
    }
    made = SimpleNamespace(asset="minhash_deduped", partition="second", manifest=SimpleNamespace(inputs=inputs))
    assert _inputs_used(made) == {  # type: ignore[arg-type]
        "dagster/input_data_version/minhash_signatures": "minhash_signatures second",
        "dagster/input_data_version/takedowns": "takedowns None",
    }
