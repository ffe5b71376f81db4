"""Composition: what is refused, in which words, and that the scales are whole."""

import dataclasses
import re
import threading
from pathlib import Path

import pytest

from llm_dag.config.compose import Config, ConfigError, compose, scales, sweep
from llm_dag.config.places import shipped

RESOLVED = shipped("conf") / "_resolved"


@pytest.mark.parametrize(
    ("override", "key", "allowed"),
    [
        ("curation.goper.min_words=60", "curation.goper", "did you mean curation.gopher?"),
        ("curation.gopher.min_word=60", "curation.gopher.min_word", "did you mean curation.gopher.min_words?"),
        ("nonsense=1", "nonsense", "the tree has source, curation"),
        ("curation.gopher.min_words=abc", "curation.gopher.min_words=abc", "allowed is an integer"),
        ("compute.compile=7x", "compute.compile=7x", "allowed is true or false"),
        ("model.heads=3", "model.heads=3", "a divisor of the width"),
        ("pretrain.sequence=100000", "pretrain.sequence=100000", "at most the model's context"),
        ("curation.language.threshold=2", "curation.language.threshold=2", "from 0.0 to 1"),
        ("source=nowhere", "source=nowhere", "allowed is one of common_crawl, jsonl"),
        ("scale=huge", "scale=huge", "one of ci, cluster, gpu, laptop, node"),
        ("+pretrain.extra=1", "+pretrain.extra=1", "keys are fixed"),
        ("~pretrain.seed", "~pretrain.seed", "keys are fixed"),
        ("pretrain.seed", "pretrain.seed", "key=value"),
        ("", "an empty word", "key=value"),
        ("pretrain.seed=range(", "pretrain.seed=range(", "cannot be read"),
        ("pretrain.seed=1,2", "pretrain.seed=1,2", "--multirun makes a run of each"),
        ("pretrain.seed=${nowhere}", "pretrain.seed", "'nowhere' not found"),
        ("source.files=[a.warc]", "source.files=[a.warc]", "'files' not in 'PythonDocs'"),
        ("source.dump=a/b", "source.dump=a/b", "letters a to z, digits"),
        ("source.dump=.hidden", "source.dump=.hidden", "a letter or digit first"),
        ("source.dump=-dash", "source.dump=-dash", "a letter or digit first"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused_with_key_given_and_allowed(
    override: str, key: str, allowed: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["scale=ci", override])
    assert key in str(caught.value)
    assert allowed in str(caught.value)


def test_a_value_of_what_is_asked_for_may_not_depend_on_where_it_runs() -> None:
    with pytest.raises(ConfigError, match=r"tokens\.dtype.*may not depend on compute"):
        compose(["scale=ci", "tokens.dtype=${compute.accelerator}"])


def test_compute_may_depend_on_what_is_asked_for() -> None:
    assert compose(["scale=ci", "compute.store=stores/${source.dump}"]).compute.store == "stores/python-docs"


def test_the_same_overrides_compose_to_equal_trees_in_many_threads() -> None:
    found: list[Config] = []

    def one() -> None:
        found.append(compose(["scale=ci", "pretrain.seed=5"]))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(threads)
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("scale", scales())
def test_each_scale_resolves_to_its_committed_flat_file(scale: str) -> None:
    """Regenerate with: llm-dag run scale=X --cfg job > conf/_resolved/X.yaml"""
    assert (RESOLVED / f"{scale}.yaml").read_text() == compose([f"scale={scale}"]).to_yaml()


def test_every_scale_is_there() -> None:
    assert scales() == ["ci", "cluster", "gpu", "laptop", "node"]
    assert sorted(path.stem for path in RESOLVED.glob("*.yaml")) == scales()


def test_a_folder_of_ones_own_adds_options_and_experiments(tmp_path: Path) -> None:
    experiment = tmp_path / "experiment" / "mine.yaml"
    experiment.parent.mkdir()
    experiment.write_text("# @package _global_\npretrain:\n  seed: 77\n")
    assert compose(["scale=ci", "experiment=mine"], tmp_path).identity.pretrain.seed == 77
    with pytest.raises(ConfigError, match="experiment"):
        compose(["scale=ci", "experiment=mine"])


def test_a_sweep_is_the_product_of_what_lists_several_values() -> None:
    runs = sweep(["scale=ci", "pretrain.seed=1,2", "sft.epochs=range(1,3)"])
    assert runs == [
        ["scale=ci", "pretrain.seed=1", "sft.epochs=1"],
        ["scale=ci", "pretrain.seed=1", "sft.epochs=2"],
        ["scale=ci", "pretrain.seed=2", "sft.epochs=1"],
        ["scale=ci", "pretrain.seed=2", "sft.epochs=2"],
    ]


def test_a_sweep_over_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"pretrain\.seed=range\(: cannot be read"):
        sweep(["scale=ci", "pretrain.seed=range("])


def test_a_folder_of_groups_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere: no such folder"):
        compose(["scale=ci"], tmp_path / "nowhere")


def test_every_key_of_conf_is_explained() -> None:
    """A line of conf/ that sets a value says what the value is, there or in its schema."""
    schemas = "\n".join(path.read_text() for path in (Path(compose.__code__.co_filename).parent).glob("*.py"))

    def keys(node: object) -> list[str]:
        return [field.name for field in dataclasses.fields(node)]  # type: ignore[arg-type]

    identity = compose(["scale=ci"]).identity
    nodes = (identity.source, identity.curation.gopher, identity.pretrain, identity.sft, identity.evaluation.harness)
    for node in nodes:
        for key in keys(node):
            commented = re.search(rf"^    {key}: [^:#]*# ", schemas, re.MULTILINE)
            assert commented, f"{type(node).__name__}.{key} has no comment"
