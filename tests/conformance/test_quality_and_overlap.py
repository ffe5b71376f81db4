"""A classifier trained on human judgments of web pages, and benchmark overlap on pages that nobody planted."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from llm_dag.curation import checks_quality, quality
from llm_dag.curation.decontamination import Benchmarks, Item
from tests.conformance.test_curation_decisions import REAL, records
from tests.curation.chain import node, run

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL}")
LEAST = 0.125  # curation.custom.overlap_share


def test_a_classifier_of_human_labels_beats_the_majority_and_the_length(tmp_path: Path) -> None:
    """191 labels; people agreed with each other on some 71 % of them. Measured: AUC 0.829 (0.770 to 0.889)."""
    path = tmp_path / "labels.jsonl"
    with path.open("w") as file:
        for record in records("quality_filter/dclm_human_labels/labels.jsonl.zst"):
            file.write(json.dumps({"text": record["text"], "label": record["label"]}) + "\n")
    made = run(quality.build, "quality_classifier", node("quality", labels=[str(path)]), [], tmp_path)
    result = checks_quality.beats_majority(made)  # type: ignore[arg-type]
    assert result.passed, result.message
    assert result.numbers["labels"] == 191
    assert result.numbers["auc"] > result.numbers["auc_of_length"] > 0.7
    assert result.numbers["accuracy_gain_low"] > 0


@pytest.fixture(scope="module")
def benchmarks() -> Benchmarks:
    found = []
    for task in ("arc_easy", "arc_challenge", "openbook_qa", "boolq", "lambada_openai"):
        for number, record in enumerate(records(f"evals/gauntlet/{task}.jsonl.zst")):
            question = record.get("query") or f"{record['context']} {record['continuation']}"
            question = " ".join(question.removeprefix("Question: ").removeprefix("Passage: ").split())
            found.append(Item(task, str(number), "\n".join([question, *record.get("choices", [])])))
    return Benchmarks(found, node("custom").overlap_ngram)


def real_pages() -> list[str]:
    pages = [record["text"] for record in records("quality_filter/datatrove_reference_decisions/decisions.jsonl.zst")]
    return pages + [record["text"] for record in records("text/common_crawl_cc_licensed_2019/docs.jsonl.zst")]


def test_no_common_phrase_of_real_pages_is_an_overlap(benchmarks: Benchmarks) -> None:
    """1,100 pages of the web, none of which holds an item (all were looked at)."""
    assert not [overlap.ngram for page in real_pages() if (overlap := benchmarks.overlap(page))]


def test_planted_items_are_found(benchmarks: Benchmarks) -> None:
    draw = random.Random(3)
    pages = real_pages()
    every = records("evals/gauntlet/arc_easy.jsonl.zst")
    whole = alone = 0
    for record in draw.sample(every, 200):
        before, after = draw.choice(pages), draw.choice(pages)
        question = record["query"].removeprefix("Question: ")
        for text, lettered in (("\n".join([question, *record["choices"]]), False), (question, True)):
            overlap = benchmarks.overlap(f"{before}\n{text}\n{after}")
            hit = overlap is not None and overlap.share >= LEAST
            whole, alone = whole + (hit and not lettered), alone + (hit and lettered)
    assert whole >= 195
    assert alone >= 180
