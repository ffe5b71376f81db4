"""What both sides decided about each page of a crawl, and why they differ where they do.

Pages are matched by WARC-Record-ID. A difference has one of the causes that are listed here, each of which must show in
what was recorded of the page (its status, its encoding, its similarity); what has none is `unexplained`.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEPT = "kept"
NAMES = {  # our asset → the step's name here
    "raw_pages": "no page",
    "url_filtered": "url",
    "extracted_text": "no text",
    "language_filtered": "language",
    "gopher_filtered": "gopher",
    "minhash_deduped": "minhash",
    "c4_filtered": "c4",
    "custom_filtered": "fineweb",
}
FOLDERS = {  # datatrove's folder of removed pages → the step's name here
    "url": "url",
    "language": "language",
    "gopher_repetition": "gopher",
    "gopher_quality": "gopher",
    "minhash": "minhash",
    "c4": "c4",
    "fineweb": "fineweb",
}
UNEXPLAINED = "unexplained"
NO_PAGE = {f"no page: {reason}" for reason in ("http_status", "redirect", "no_body", "not_html")}


@dataclass(frozen=True)
class Fate:
    """What became of a page: `kept`, or the step and the reason that dropped it; its extracted and its final text."""

    outcome: str = "no text"
    extracted: str | None = None
    final: str | None = None
    encoding: str = "utf-8"
    undecodable: int = 0
    cluster_size: int = 0
    jaccard: float | None = None


def differences(ours: Mapping[str, Fate], theirs: Mapping[str, Fate]) -> dict[str, int]:
    """How many pages of a crawl have the same fate, and how many another one, by cause."""
    found: Counter[str] = Counter()
    for record_id in ours.keys() | theirs.keys():
        found[_cause(ours.get(record_id), theirs.get(record_id, Fate()))] += 1
    return dict(sorted(found.items()))


def _cause(mine: Fate | None, other: Fate) -> str:
    from llm_dag.curation.extraction import clean

    if mine is None:
        return UNEXPLAINED
    if mine.outcome in NO_PAGE:
        return "no page of status 200 (trap 8)"
    same = "the same, " if mine.outcome == other.outcome else ""
    if mine.extracted is not None and mine.extracted != other.extracted:
        if other.extracted is not None and clean(other.extracted) == mine.extracted:
            return f"{same}text without control characters and trailing blanks"
        known = mine.encoding != "utf-8" or mine.undecodable  # datatrove takes whole UTF-8 alone, and guesses else
        return f"{same}another text: character encoding (trap 8)" if known else UNEXPLAINED
    if same:
        if mine.final == other.final:
            return "the same"
        return "the same, other placeholders (trap 9)" if _masked(mine.final) == _masked(other.final) else UNEXPLAINED
    if mine.outcome == "minhash" and (mine.jaccard or 0) >= 0.7:
        return "near-duplicate by true similarity (traps 4, 5)"
    if other.outcome == "minhash" and mine.cluster_size > 1:
        return "kept: unlike every kept page, or the winner of its cluster (traps 4, 5)"
    if other.outcome == "minhash" and mine.cluster_size == 1:
        return "kept: no band in common with another page under our hash functions (trap 4)"
    return UNEXPLAINED


def _masked(text: str | None) -> str | None:
    """A final text without e-mail and IPv4 addresses, placeholders among them."""
    return text and re.sub(r"[\w.+-]+@[\w.-]+\w|\d+(?:\.\d+){3}", "", text)


def of_datatrove(folder: Path) -> dict[str, Fate]:
    """The fates of the pages that datatrove read, by record id."""
    extracted: dict[str, str] = {_id(row): row["text"] for row in _rows(folder / "base")}
    fates = {}
    for name, step in FOLDERS.items():
        for row in _rows(folder / "removed" / name):
            reason = row["metadata"].get("filter_reason", "")
            outcome = step if step in ("language", "minhash") else f"{step}: {reason}"
            text = None if step == "url" else extracted.get(_id(row), row["text"])
            fates[_id(row)] = Fate(outcome, text)
    for row in _rows(folder / "kept"):
        fates[_id(row)] = Fate(KEPT, extracted[_id(row)], row["text"])
    return fates


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def _id(row: Mapping[str, Any]) -> str:
    return str(row["id"]).strip("<>")


def of_steps(profile: str, warc: Path, store: Path) -> dict[str, Fate]:
    """The fates of the pages that this project read, by record id. Everything is in the store by now."""
    import pyarrow.parquet as pq

    from benchmarks.curation_steps import made

    artifacts = dict(made(profile, f"'{warc}'", store))
    texts: dict[str, dict[str, str]] = {}
    for asset in ("extracted_text", "pii_redacted"):
        rows = [pq.read_table(artifacts[asset].path(name)) for name in artifacts[asset].names("text/")]
        texts[asset] = {key: text for table in rows for key, text in _pairs(table, "doc_id", "text")}
    outcomes: dict[str, str] = {}
    scores: dict[str, dict[str, Any]] = {}
    for asset, wanted in (
        ("extracted_text", ["encoding", "undecodable"]),
        ("minhash_deduped", ["cluster_size", "jaccard"]),
    ):
        for name in artifacts[asset].names("verdicts/"):
            for row in pq.read_table(artifacts[asset].path(name), columns=["doc_id", *wanted]).to_pylist():
                known = {key: value for key, value in row.items() if key != "doc_id" and value is not None}
                scores.setdefault(row["doc_id"], {}).update(known)
    for asset, step in NAMES.items():
        for name in artifacts[asset].names("verdicts/"):
            for doc_id, reason in _pairs(pq.read_table(artifacts[asset].path(name)), "doc_id", "reason"):
                alone = step in ("language", "minhash", "no text")
                outcomes[doc_id] = KEPT if not reason else step if alone else f"{step}: {reason}"
    return {
        record_id: Fate(
            outcomes[doc_id],
            texts["extracted_text"].get(doc_id),
            texts["pii_redacted"].get(doc_id),
            **scores.get(doc_id, {}),
        )
        for name in artifacts["raw_pages"].names("pages/")
        for doc_id, record_id in _pairs(pq.read_table(artifacts["raw_pages"].path(name)), "doc_id", "record_id")
        if doc_id in outcomes
    }


def _pairs(table: Any, one: str, other: str) -> Iterator[tuple[Any, Any]]:
    return zip(table[one].to_pylist(), table[other].to_pylist(), strict=True)
