"""Files of conf/ together: every scale takes every source, and a fault in a file is told with the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_dag.config.compose import ConfigError, compose, scales

SOURCES = {"python_docs": [], "warc": ["source.files=[crawl.warc.gz]"]}


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
