"""What Dagster is told of a step that failed."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from llm_dag.assets.declare import step
from llm_dag.assets.materialize import to_asset
from llm_dag.config.compose import compose
from llm_dag.store.errors import StoreError
from llm_dag.store.step import Graph
from llm_dag.store.work import Work
from tests.assets import toy


@step(group="toy", node="tokens")
def judged(work: Work) -> None:
    """Fails as a judge does."""
    error = StoreError("a bad row")
    error.add_note("in shard 00003")
    raise error


def test_the_shard_in_which_a_judge_failed_is_named(tmp_path: Path) -> None:
    asset = to_asset(judged, Graph([judged]), compose(["scale=ci"]))
    conf = toy.conf(str(tmp_path / "store"))
    with dg.instance_for_test() as instance:
        done = dg.materialize([asset], instance=instance, resources={"conf": conf}, raise_on_error=False)
    (failure,) = [event for event in done.all_events if event.is_step_failure]
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert told.description == "judged: a bad row (in shard 00003)"
