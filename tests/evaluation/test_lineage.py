"""The lineage of the report card."""

from __future__ import annotations

from llm_dag.assets.graph import graph
from llm_dag.evaluation.page.lineage import GROUPS

DRAWN_APART = {"evaluations", "report_card"}  # what the lineage leads to


def test_every_asset_of_the_graph_has_a_colour() -> None:
    coloured = [asset for assets in GROUPS.values() for asset in assets]
    assert sorted(coloured) == sorted(graph().keys() - DRAWN_APART)
