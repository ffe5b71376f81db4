"""Checks of the crawl: the index of pages, and what was taken down. Messages hold counts and URLs, never page text."""

from __future__ import annotations

import base64
import hashlib

import pyarrow.compute as pc
import pyarrow.parquet as pq

from llm_dag import ledger
from llm_dag.curation import warc
from llm_dag.curation.takedowns import committed
from llm_dag.store.artifact import Artifact
from llm_dag.store.checks import CheckResult

SAMPLE = 64  # records that are read again; spread evenly over the crawl


def pages_indexed(artifact: Artifact) -> CheckResult:
    """Every capture has one page row and one verdict, in the same order, and no doc_id stands twice in the dump."""
    seen: set[bytes] = set()
    total = kept = 0
    for name in artifact.shards:
        pages = pq.read_table(artifact.path(f"pages/{name}.parquet"), columns=["doc_id"], partitioning=None)
        verdicts = ledger.read_verdicts(artifact.path(f"verdicts/{name}.parquet"), ["doc_id", "row", "kept"])
        ids = pages["doc_id"].to_pylist()
        if ids != verdicts["doc_id"].to_pylist() or verdicts["row"].to_pylist() != list(range(len(ids))):
            return CheckResult(False, f"shard {name}: its verdicts are not those of its {len(ids)} pages, row by row")
        seen.update(map(bytes.fromhex, ids))
        total += len(ids)
        kept += pc.sum(verdicts["kept"]).as_py() or 0
    message = f"{total} captures, {len(seen)} different doc_ids, {kept} pages"
    if len(seen) != total or not kept:
        return CheckResult(False, f"{message}; wanted: as many doc_ids as captures, and some pages")
    return CheckResult(True, message, {"captures": total, "pages": kept})


def records_found_again(artifact: Artifact) -> CheckResult:
    """A sample of the indexed records is read back from its place, and has the payload that was indexed."""
    found = wrong = 0
    first = ""
    total = sum(pq.read_metadata(artifact.path(f"pages/{name}.parquet")).num_rows for name in artifact.shards)
    step, number = max(1, total // SAMPLE), 0
    for name in artifact.shards:
        rows = pq.read_table(artifact.path(f"pages/{name}.parquet"), partitioning=None)
        picked = [index for index in range(len(rows)) if (number + index) % step == 0]
        number += len(rows)
        for row in rows.take(picked).to_pylist():
            capture = warc.fetch(artifact.path(row["warc"]), row["offset"], row["length"])
            sha1 = hashlib.sha1(capture.payload, usedforsecurity=False).digest()
            found += 1
            if f"sha1:{base64.b32encode(sha1).decode()}" != row["payload_digest"]:
                wrong += 1
                first = first or f"; first: {row['warc']} at byte {row['offset']}"
    message = f"{found - wrong} of {found} sampled records have the payload that was indexed{first}"
    return CheckResult(not wrong, message, {"records_sampled": found, "records_wrong": wrong})


def takedowns_honoured(artifact: Artifact) -> CheckResult:
    """No page that a takedown rule names is kept."""
    rules = committed(artifact.ancestor("takedowns").path("rules.parquet"))
    pages = artifact.ancestor("raw_pages")
    left: list[str] = []
    for name in artifact.shards if rules else ():
        judged = pq.read_table(pages.path(f"pages/{name}.parquet"), columns=["doc_id", "url"], partitioning=None)
        verdicts = ledger.read_verdicts(artifact.path(f"verdicts/{name}.parquet"), ["doc_id", "row", "kept"])
        kept = ledger.kept_rows(judged, verdicts, name)["url"].to_pylist()
        left += [url for url in kept if any(rule.matches(url) for rule in rules)]
    message = f"{len(rules)} rules, {len(left)} pages kept that they name" + (f"; first: {left[0]}" if left else "")
    return CheckResult(not left, message, {"rules": len(rules), "pages_left": len(left)})
