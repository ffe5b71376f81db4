"""Files of conf/ together: every scale takes every source, and a fault in a file is told with the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from llm_dag.config.compose import ConfigError, compose, scales
from llm_dag.config.places import shipped

CONF = shipped("conf")
GROUPS = ("curation", "pretrain", "conversations", "sft", "evaluation", "compute")
PRESETS = sorted(file for group in GROUPS for file in (CONF / group).glob("*.yaml") if "  - _self_" in file.read_text())

SOURCES = {"python_docs": [], "warc": ["source.files=[crawl.warc.gz]"]}
SOURCES |= {"parquet": ["source.files=[rows.parquet]"], "jsonl": ["source.files=[rows.jsonl]"]}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("scale", scales())
def test_every_scale_takes_every_source(scale: str, source: str) -> None:
    found = compose([f"scale={scale}", f"source={source}", *SOURCES[source]])
    assert found.identity.source.kind == source
    assert found.identity == compose([f"source={source}", f"scale={scale}", *SOURCES[source]]).identity


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("pretrain:\n  sed: 1\n", "In 'experiment/mine': Key 'sed' not in 'Pretrain'"),
        (
            "pretrain:\n  seed: many\n",
            "In 'experiment/mine': Value 'many' of type 'str' could not be converted to Integer",
        ),
        ("pretrain: [\n", 'mine.yaml", line 3'),
    ],
)
def test_a_fault_in_a_file_is_told_with_the_file(tmp_path: Path, content: str, told: str) -> None:
    experiment = tmp_path / "experiment" / "mine.yaml"
    experiment.parent.mkdir()
    experiment.write_text("# @package _global_\n" + content)
    with pytest.raises(ConfigError) as caught:
        compose(["scale=ci", "experiment=mine"], tmp_path)
    assert told in str(caught.value)


def _values(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of a tree by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= _values(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _stated(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a file of conf/ says itself, and what the file that it starts from comes to."""
    node = yaml.safe_load(file.read_text())
    started: dict[str, Any] = {}
    for option in node.pop("defaults", []):
        if option != "_self_":
            own, below = _stated(file.parent / f"{option}.yaml")
            started |= below | own
    return _values(node), started


@pytest.mark.parametrize("file", PRESETS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_preset_states_only_what_it_changes(file: Path) -> None:
    stated, started = _stated(file)
    assert started
    assert {key: value for key, value in stated.items() if started.get(key) == value} == {}
    assert stated.keys() <= started.keys()


@pytest.mark.parametrize(
    "file", sorted(set(CONF.rglob("*.yaml")) - set(CONF.glob("_resolved/*"))), ids=lambda file: file.stem
)
def test_every_value_is_explained_where_it_stands(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert [line for line in lines if re.match(r" *\w+: +[^#\s]", line) and " # " not in line] == []
