"""FineWeb's own rules (Penedo et al. 2024, section 3.6), benchmark overlap, and the user's filters.

FineWeb's four scores and the overlap are measured for every page and recorded; decisions and reasons of the rules are
those of datatrove's `FineWebQualityFilter`. The user's filters run only on pages that are still kept, in the order of
the configuration; they may judge a text but not change it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
from datatrove.data import Document
from datatrove.utils.text import TERMINAL_PUNCTUATION

from llm_dag import ledger
from llm_dag.config.curation import Custom
from llm_dag.config.targets import UnknownTarget, instantiate
from llm_dag.curation.decontamination import Benchmarks, read_items
from llm_dag.curation.words import Splitter
from llm_dag.store.canonical import file_digest
from llm_dag.store.errors import StoreError
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
}

UserFilter = Callable[[ledger.Document], str]


class FilterError(StoreError):
    """A filter of `curation.custom.filters` cannot be had, or does what a filter may not; the message names its key."""


def build(work: Work) -> None:
    """Judge every text that C4's rules left."""
    items = work.input("eval_sets").path(BENCHMARKS)
    looked_for = file_digest(items)
    benchmarks = Benchmarks(read_items(items), work.config.overlap_ngram)
    work.metrics |= {"benchmark_items": benchmarks.items, "benchmark_items_too_short": benchmarks.too_short}
    judge_shard = partial(judge, splitter=Splitter(), benchmarks=benchmarks, filters=user_filters(work.config))
    work.map_shards(judge_shard, reads={"c4_filtered": "text"}, extra=lambda name: {"benchmarks": looked_for})


def judge(
    shard: Shard, splitter: Splitter, benchmarks: Benchmarks, filters: Sequence[UserFilter] = ()
) -> dict[str, int]:
    """Write the shard's verdicts."""
    verdicts = ledger.VerdictWriter(SCORES)
    for document in ledger.documents(shard.read("c4_filtered")):
        scores: dict[str, Any] = measure(document.text, splitter.words(document.text), shard.config)
        overlap = benchmarks.overlap(document.text)
        if overlap:
            scores |= {f"overlap_{name}": value for name, value in vars(overlap).items()}
        reason = decide(scores, shard.config)
        for judge_document in filters:
            reason = reason or judge_document(document)
        verdicts.add(document.doc_id, document.row, reason=reason, **scores)
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
    return "evaluation_overlap" if scores.get("overlap_task") is not None else ""


def user_filters(config: Custom) -> list[UserFilter]:
    """The filters of `curation.custom.filters`. Raises FilterError for a block that is not one."""
    made: list[UserFilter] = []
    for index, block in enumerate(config.filters):
        key = f"curation.custom.filters[{index}]"
        try:
            chosen = instantiate(block, key, config.modules)
        except UnknownTarget as error:
            raise FilterError(str(error)) from error
        if not callable(getattr(chosen, "filter", None)):
            raise FilterError(f"{key}._target_={block['_target_']}: it has no method filter(document)")
        made.append(partial(apply_filter, chosen, key))
    return made


def apply_filter(chosen: Any, key: str, document: ledger.Document) -> str:
    """The reason for which a datatrove filter drops a document, prefixed with the filter's name; empty: it keeps it.

    Raises FilterError if the filter changed the text: what a later step reads would not be what was judged.
    """
    given = Document(text=document.text, id=document.doc_id, metadata={"url": document.url, "date": document.date})
    result = chosen.filter(given)
    if given.text != document.text:
        raise FilterError(f"{key}: {type(chosen).__name__} changed the text of {document.doc_id}; a filter only judges")
    kept, why = result if isinstance(result, tuple) else (result, "")
    if kept:
        return ""
    return "_".join(part for part in (snake_case(type(chosen).__name__), snake_case(str(why or ""))) if part)


def snake_case(name: str) -> str:
    """`RegexFilter` → `regex_filter`, "too few words" → `too_few_words`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
