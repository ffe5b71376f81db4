"""A new dump does not retrain the world."""

from pathlib import Path

from llm_dag.assets.graph import graph
from llm_dag.config.compose import compose
from llm_dag.store.canonical import config_values
from llm_dag.store.resolve import Resolver
from llm_dag.store.store import Store


def test_a_second_dump_leaves_what_models_were_asked_for_as_it_is(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first, second = compose(["scale=ci"]).identity, compose(["scale=ci", "source.dump=second"]).identity
    store.register_dump(first.source.dump, config_values(first.source))
    for held in ("tokenizer", "base_model"):
        before = Resolver(store, graph(), first).resolve(held)
        after = Resolver(store, graph(), second).resolve(held)
        assert after.request == before.request
        assert [one.partition for one in after.inputs.get("token_arrays", ())] in ([], ["python-docs"])


def test_a_dump_joins_when_it_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = compose(["scale=ci"]).identity
    both = compose(["scale=ci", "source.dump=second", "pretrain.dumps=[python-docs,second]"]).identity
    store.register_dump(first.source.dump, config_values(first.source))
    named = Resolver(store, graph(), both).resolve("base_model")
    assert [one.partition for one in named.inputs["token_arrays"]] == ["python-docs", "second"]
    assert named.request != Resolver(store, graph(), first).resolve("base_model").request
