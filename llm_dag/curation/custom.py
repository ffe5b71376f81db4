"""FineWeb's own rules (Penedo et al. 2024, section 3.6), benchmark overlap, learned quality, and the user's filters.

FineWeb's four scores, the overlap and the score of the quality classifier (where there is one) are measured for every
page and recorded; decisions and reasons of the rules are those of datatrove's `FineWebQualityFilter`. The user's
filters run only on pages that are still kept, in the order of the configuration; they may judge a text but not change
it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from datatrove.utils.text import TERMINAL_PUNCTUATION

from llm_dag import ledger
from llm_dag.config.curation import Custom
from llm_dag.curation.decontamination import Benchmarks, read_items
from llm_dag.curation.quality_scores import MODEL, Classifier
from llm_dag.curation.user_filters import FilterError, UserFilter, user_filters
from llm_dag.curation.words import Splitter
from llm_dag.store.canonical import file_digest
from llm_dag.store.work import Shard, Work

BENCHMARKS = "benchmarks.parquet"
ENDINGS = tuple(TERMINAL_PUNCTUATION)
RULES = ("line_punct_ratio", "short_line_ratio", "char_dup_ratio", "list_ratio")
SCORES = {
    "lines": pa.int64(),
    **{rule: pa.float64() for rule in RULES},
    "overlap_task": pa.string(),
    "overlap_item": pa.string(),
    "overlap_ngram": pa.string(),
    "overlap_share": pa.float64(),
}

QUALITY = {"quality": pa.float64()}  # only where there is a classifier


def build(work: Work) -> None:
    """Judge every text that C4's rules left."""
    items = work.input("eval_sets").path(BENCHMARKS)
    made_from = {"benchmarks": file_digest(items)}
    benchmarks = read_benchmarks(items, work.config.overlap_ngram)
    work.metrics |= {"benchmark_items": benchmarks.items, "benchmark_items_too_short": benchmarks.too_short}
    del benchmarks  # whoever judges reads them
    tools: dict[str, Callable[[], Any]] = {
        "splitter": Splitter.here,
        "benchmarks": partial(read_benchmarks, items, work.config.overlap_ngram),
        "filters": partial(user_filters, work.config),
    }
    learned = work.input("quality_classifier")
    if learned.names(MODEL):
        made_from["quality"] = learned.entry(MODEL).digest
        tools["classifier"] = partial(Classifier, learned.path(MODEL))
    elif work.config.min_quality > 0:
        raise FilterError(
            f"curation.custom.min_quality={work.config.min_quality}: there is no classifier; name labelled texts in "
            "curation.quality.labels"
        )
    work.map_shards(judge, reads={"c4_filtered": "text"}, extra=lambda name: made_from, tools=tools)


def read_benchmarks(items: Path, n: int) -> Benchmarks:
    """What is looked for of a file of benchmark items."""
    return Benchmarks(read_items(items), n)


def judge(
    shard: Shard,
    splitter: Splitter,
    benchmarks: Benchmarks,
    filters: Sequence[UserFilter] = (),
    classifier: Classifier | None = None,
) -> dict[str, int]:
    """Write the shard's verdicts."""
    verdicts = ledger.VerdictWriter(SCORES | (QUALITY if classifier else {}))
    for document in ledger.documents(shard.read("c4_filtered")):
        scores: dict[str, Any] = measure(document.text, splitter.words(document.text), shard.config)
        overlap = benchmarks.overlap(document.text)
        if overlap:
            scores |= {f"overlap_{name}": value for name, value in vars(overlap).items()}
        if classifier:
            scores["quality"] = classifier.score(document.text)
        reason = decide(scores, shard.config)
        for judge_document in filters:
            reason = reason or judge_document(document)
        verdicts.add(document.doc_id, document.row, reason=reason, **scores)
    for one in filters:
        one.end_shard()
    return verdicts.write(shard.write("verdicts"))


def measure(text: str, words: Sequence[str], config: Custom) -> dict[str, float]:
    """FineWeb's scores of a text, given its words. Lines of white space do not count as lines."""
    lines = [line for line in text.split("\n") if line.strip()]
    count = max(1, len(lines))
    return {
        "lines": len(lines),
        "line_punct_ratio": sum(line.endswith(ENDINGS) for line in lines) / count,
        "short_line_ratio": sum(len(line) <= config.short_line_length for line in lines) / count,
        "char_dup_ratio": (sum(map(len, lines)) - sum(map(len, set(lines)))) / max(1, len(text) - text.count("\n")),
        "list_ratio": text.count("\n") / max(1, len(words)),
    }


def decide(scores: Mapping[str, Any], config: Custom) -> str:
    """The reason to drop a page, from its scores alone; empty: keep it."""
    if not scores["lines"]:
        return "empty"
    for rule in RULES:
        limit = getattr(config, rule)
        if scores[rule] < limit if rule == "line_punct_ratio" else scores[rule] > limit:
            return rule
    if scores.get("overlap_task") is not None and scores["overlap_share"] >= config.overlap_share:
        return "evaluation_overlap"
    quality = scores.get("quality")
    return "low_quality" if quality is not None and quality < config.min_quality else ""
