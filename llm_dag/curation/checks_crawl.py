"""Checks of the crawl: the index of pages, and what was taken down. Messages hold counts and URLs, never page text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llm_dag import ledger
from llm_dag.curation import stored, warc
from llm_dag.curation.takedowns import Rule, committed
from llm_dag.store.artifact import Artifact
from llm_dag.store.checks import CheckResult

SAMPLE = 64  # records that are read again; spread evenly over the crawl
UNSEEN = ("Cc", "Cf")  # Unicode categories of what no reader sees: control and format characters


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
        for row, payload, _ in stored.payloads(artifact, rows.take(pa.array(picked, pa.int64())).to_pylist()):
            found += 1
            if warc.payload_digest(payload) != row["payload_digest"]:
                wrong += 1
                first = first or f"; first: {row['warc']}, {row['kind']} at {row['offset']}"
    message = f"{found - wrong} of {found} sampled records have the payload that was indexed{first}"
    return CheckResult(not wrong, message, {"records_sampled": found, "records_wrong": wrong})


def takedowns_honoured(artifact: Artifact) -> CheckResult:
    """No page that a takedown rule names is kept.

    URLs are read in a way that is not the filter's and takes in more, so that a spelling which the filter does not know
    is seen here. It may stop a run for a page that nobody named (`straße.example` and `strasse.example` are one here,
    and so are a host's ports); a person then accepts that, or names the page.
    """
    rules = committed(artifact.ancestor("takedowns").path("rules.parquet"))
    named = [_named_by(rule) for rule in rules]
    pages = artifact.ancestor("raw_pages")
    left: list[str] = []
    for name in artifact.shards if rules else ():
        judged = pq.read_table(pages.path(f"pages/{name}.parquet"), columns=["doc_id", "url"], partitioning=None)
        verdicts = ledger.read_verdicts(artifact.path(f"verdicts/{name}.parquet"), ["doc_id", "row", "kept"])
        kept = ledger.kept_rows(judged, verdicts, name)["url"].to_pylist()
        left += [url for url in kept if any(by(*plain(url)) for by in named)]
    message = f"{len(rules)} rules, {len(left)} pages kept that they name" + (f"; first: {left[0]}" if left else "")
    return CheckResult(not left, message, {"rules": len(rules), "pages_left": len(left)})


def _named_by(rule: Rule) -> Callable[[str, str], bool]:
    """Whether a rule may mean the page with this host and rest; one without a host may be meant by every rule."""
    host, rest = plain(rule.value)
    if rule.kind == "domain":
        return lambda name, _: not name or f".{name}".endswith(f".{host}")
    pattern = host if host.endswith("*") and not rest else f"{host}/{rest}"
    sign = "*" if rule.kind == "pattern" else "\n"  # no URL has a line break: all of it stands for itself
    form = re.compile(".*".join(map(re.escape, pattern.split(sign))), re.DOTALL)
    return lambda name, more: not name or form.fullmatch(f"{name}/{more}") is not None


def plain(url: str) -> tuple[str, str]:
    """A URL's host and the rest as a person reads them: decoded, the host in one case and without `xn--`."""
    text = re.sub(r"^[^/]*//+", "", url.partition("#")[0].strip().replace("\\", "/"))
    authority, rest = re.split(r"/|(?=\?)", f"{text}/", maxsplit=1)
    shown = "".join(sign for sign in unquote(authority) if unicodedata.category(sign) not in UNSEEN)
    host = unicodedata.normalize("NFKC", shown).casefold().replace("。", ".").rpartition("@")[2]
    labels = re.sub(r":\d*$", "", host).strip(".").split(".")
    return ".".join(map(_unicode, labels)), unquote(rest[:-1]).removesuffix("?")


def _unicode(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return unicodedata.normalize("NFKC", label[4:].encode("ascii").decode("punycode")).casefold()
    except UnicodeError:
        return label
