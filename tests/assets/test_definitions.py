"""The code location as Dagster sees it: it loads, explains itself, and its jobs are about one dump."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from llm_dag.assets.graph import graph
from llm_dag.assets.jobs import REFRESHED
from llm_dag.definitions import defs

BIN = Path(sys.executable).parent
GRAPH = graph()
MODELS = {"base_model", "sft_model", "evaluations", "report_card", "conversations"}


def specs() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def chosen(job: str) -> set[str]:
    return {key.to_user_string() for key in defs.resolve_job_def(job).asset_layer.selected_asset_keys}


def test_the_definitions_can_be_loaded() -> None:
    dg.Definitions.validate_loadable(defs)
    assert specs().keys() == set(GRAPH)


@pytest.mark.parametrize("name", GRAPH)
def test_every_asset_explains_itself(name: str) -> None:
    spec, step = specs()[name], GRAPH[name]
    assert spec.description == step.description
    assert len(step.description) > 20
    assert spec.group_name == step.group
    assert step.kinds <= spec.kinds
    assert step.kinds
    assert spec.owners == ["team:llm-dag"]
    assert spec.code_version
    assert {dep.asset_key.to_user_string() for dep in spec.deps} == {item.asset for item in step.inputs}
    assert (spec.partitions_def is not None) == step.partitioned


def test_every_check_is_declared_and_says_what_it_asserts() -> None:
    declared = {}
    for asset in defs.assets or []:
        assert isinstance(asset, dg.AssetsDefinition)
        declared |= {(spec.asset_key.to_user_string(), spec.name): spec for spec in asset.check_specs}
    assert declared.keys() == {(name, check.name) for name, step in GRAPH.items() for check in step.checks}
    assert all(len(spec.description or "") > 20 for spec in declared.values())
    assert [name for name, spec in declared.items() if not spec.blocking] == [("base_model", "heldout_apart")]


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        ("+key:base_model", set(GRAPH) - MODELS | {"base_model"}),
        ("key:sft_model+", {"sft_model", "evaluations", "report_card"}),
        ("group:tokens or (kind:lightning and not key:sft_model)", {"tokenizer", "token_arrays", "base_model"}),
        ("+base_model", {"base_model", "tokenizer", "token_arrays"}),  # the old grammar: one layer
    ],
)
def test_selections_are_parsed(selection: str, found: set[str]) -> None:
    """A Hydra that pins another antlr breaks every selection, and `pip check` does not notice.

    Dagster swallows the parser's error and tries its old grammar, so the last one alone would prove nothing.
    """
    chosen = dg.AssetSelection.from_string(selection).resolve(defs.assets or [])
    assert {key.to_user_string() for key in chosen} == found


def test_each_job_has_its_assets_and_the_default_dump() -> None:
    every = set(GRAPH)
    assert chosen("assistant") == every
    assert chosen("refresh_data") == {name for name, step in GRAPH.items() if step.group in REFRESHED}
    assert chosen("pretrain") == every - MODELS | {"base_model"}
    curated = {name for name, step in GRAPH.items() if step.group in ("crawl", "curation")}
    assert chosen("curate") == curated | {"eval_sets"}
    for job in ("assistant", "refresh_data", "pretrain", "curate"):
        assert defs.resolve_job_def(job).tags["dagster/partition"] == "python-docs"


def test_the_schedule_is_off_until_somebody_switches_it_on() -> None:
    (schedule,) = defs.schedules or []
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.job_name == "refresh_data"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED


def test_training_and_evaluating_take_turns_on_the_accelerator() -> None:
    pools = {
        asset.key.to_user_string(): asset.op.pool
        for asset in defs.assets or []
        if isinstance(asset, dg.AssetsDefinition)
    }
    assert {name for name, pool in pools.items() if pool == "accelerator"} == {"base_model", "sft_model", "evaluations"}


def test_loading_imports_no_library_that_only_steps_need() -> None:
    """Every process that runs a step loads the definitions first."""
    heavy = ["torch", "lightning", "datatrove", "transformers", "tokenizers", "pandas", "pyarrow", "spacy", "fasttext"]
    code = f"import sys, llm_dag.definitions; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_dagsters_own_validation_passes(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    project = Path(__file__).parents[2]
    done = subprocess.run(
        [str(BIN / "dagster"), "definitions", "validate", "-w", "workspace.yaml"],
        capture_output=True,
        text=True,
        cwd=project,
        env={**os.environ, "DAGSTER_HOME": str(tmp_path)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Validation successful" in done.stdout + done.stderr
