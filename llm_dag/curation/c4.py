"""C4's rules (Raffel et al. 2020, section 2.2) without the one about terminal punctuation, as FineWeb uses them.

Lines are cut and pages dropped as datatrove's `C4QualityFilter(filter_no_terminal_punct=False)` does; texts, decisions
and reasons are equal. What was cut stands in the verdict as counts for each rule. The text that is left is written with
its duplicate cluster and that cluster's split key. Cost: one pass over the lines; sentences are counted only where the
page could still stay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from llm_dag import ledger
from llm_dag.config.curation import C4
from llm_dag.curation.words import Splitter
from llm_dag.store.work import Shard, Work

CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")
LOREM_IPSUM = "lorem ipsum"
JAVASCRIPT = "javascript"
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")

CARRIED = {"cluster": pa.string(), "split_key": pa.string()}  # of the deduplication, beside the text
COUNTS = ("lines", "cut_long_word", "cut_few_words", "cut_javascript", "cut_policy", "cut_citations")
SCORES = {**{name: pa.int64() for name in COUNTS}, "sentences": pa.int64(), "characters_cut": pa.int64()}


def build(work: Work) -> None:
    """Judge every page that is no duplicate, and write the text that is left of it."""
    reads = {"extracted_text": "text", "minhash_deduped": "verdicts"}
    work.map_shards(judge, reads, tools={"splitter": Splitter.here})


def judge(shard: Shard, splitter: Splitter) -> dict[str, int]:
    """Write the shard's verdicts and the texts that are left."""
    verdicts, texts = ledger.VerdictWriter(SCORES), ledger.TextWriter(CARRIED)
    carried = clusters(shard.read("minhash_deduped"))
    cut = 0
    for document in ledger.documents(shard.read("extracted_text"), shard.read("minhash_deduped")):
        page = clean(document.text, shard.config, splitter)
        scores = {**page.counts, "sentences": page.sentences}
        if not page.reason:
            scores["characters_cut"] = len(document.text) - len(page.text)
            cut += len(document.text) - len(page.text)
            texts.add(document.doc_id, document.url, document.date, page.text, **carried[document.doc_id])
        verdicts.add(document.doc_id, document.row, reason=page.reason, **scores)
    texts.write(shard.write("text"))
    return {**verdicts.write(shard.write("verdicts")), "characters": texts.characters, "characters_cut": cut}


def clusters(verdicts: Path) -> dict[str, dict[str, str]]:
    """The duplicate cluster and the split key of each document."""
    rows = ledger.read_verdicts(verdicts, ["doc_id", *CARRIED]).to_pylist()
    return {row.pop("doc_id"): row for row in rows}


@dataclass
class Page:
    """What the rules leave of a page. `sentences` is None where the page was dropped before they were counted."""

    reason: str = ""
    text: str = ""
    sentences: int | None = None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))


def clean(text: str, config: C4, splitter: Splitter) -> Page:
    """Apply the rules to a text."""
    page = Page()
    kept = []
    for line in text.splitlines():
        page.counts["lines"] += 1
        line, fate = judge_line(line.strip(), config, page.counts)
        if fate.startswith("cut_"):
            page.counts[fate] += 1
        elif fate:
            page.reason = fate
            return page
        else:
            kept.append(line)
    page.sentences = sum(map(splitter.sentences, kept))
    if page.sentences < config.min_sentences:
        page.reason = "too_few_sentences"
    else:
        page.text = "\n".join(kept).strip()
    return page


def judge_line(line: str, config: C4, counts: dict[str, int]) -> tuple[str, str]:
    """The line without citations, and its fate: empty (stays), `cut_…`, or the reason to drop the whole page.

    Words are counted before citations go, in the order of the rules that the original code has.
    """
    words = line.split()
    if len(line) > config.max_word_length and max(map(len, words)) > config.max_word_length:
        return line, "cut_long_word"
    if config.cut_citations and "[" in line:
        line, cut = CITATION.subn("", line)
        counts["cut_citations"] += cut
    if len(words) < config.min_words_per_line:
        return line, "cut_few_words"
    lowered = line.lower()
    if config.drop_lorem_ipsum and LOREM_IPSUM in lowered:
        return line, "lorem_ipsum"
    if config.cut_javascript and JAVASCRIPT in lowered:
        return line, "cut_javascript"
    if config.drop_curly_bracket and "{" in line:
        return line, "curly_bracket"
    may_match = "use" in lowered or "policy" in lowered  # one of them stands in each phrase
    if config.cut_policy and may_match and any(phrase in lowered for phrase in POLICY):
        return line, "cut_policy"
    return line, ""
