"""Real WARC files go through source, URL filter and extraction: counts as their makers publish them, no traceback."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from llm_dag.curation import checks_crawl, warc
from tests.curation.crawling import build, from_files, rows

DATA = Path(os.environ.get("LLM_DAG_REAL_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
WEB = DATA / "web"
EDGE = WEB / "warc_edge_cases"
pytestmark = pytest.mark.skipif(not WEB.is_dir(), reason=f"no real data in {DATA}")

KINDS = {  # records by kind, as the makers of the files count them
    "warc_archive_org_2008/IAH-20080430204825-00000-blackbook.warc.gz": {
        "warcinfo": 1, "response": 299, "request": 261, "metadata": 261,
    },
    "warc_iana_2014/iana.warc.gz": {"warcinfo": 1, "response": 48, "request": 171, "revisit": 123},
    "warc_iana_2014/dupes.warc.gz": {"warcinfo": 1, "response": 3, "request": 12, "revisit": 9},
    "warc_dolma_wget_2024/sample-0000.warc.gz": {
        "warcinfo": 1, "response": 22, "request": 22, "metadata": 1, "resource": 2,
    },
    "warc_commoncrawl_2024/whirlwind.warc.gz": {"warcinfo": 1, "response": 1, "request": 1, "metadata": 1},
}  # fmt: skip
HTML_200 = {  # pages that are HTML with status 200
    "warc_archive_org_2008/IAH-20080430204825-00000-blackbook.warc.gz": 94,
    "warc_iana_2014/iana.warc.gz": 16,
    "warc_dolma_wget_2024/sample-0000.warc.gz": 22,
    "warc_commoncrawl_2024/whirlwind.warc.gz": 1,
}
EDGE_CASES = {  # (kind, problem) of every record, or words of the refusal
    "Evil-Warc-Headers.warc": {("response", "clipped"): 1},
    "IAH-urls-wget.warc.gz": {("warcinfo", ""): 1, ("request", ""): 16, ("response", ""): 16, ("resource", ""): 3},
    "bad.arc": "ARC file",
    "block-sized-records.warc.gz": {("unknown", ""): 3},
    "clipped.warc.gz": {("response", "clipped"): 1},
    "example-bad.warc.gz.bad": "more than one record",
    "example-url-agnostic-revisit.warc.gz": {("warcinfo", ""): 1, ("revisit", ""): 1},
    "example-wget-1-14.warc.gz": {("warcinfo", ""): 1, ("request", ""): 1, ("response", ""): 1, ("resource", ""): 3},
    "example-wpull.warc.gz": {("warcinfo", ""): 1, ("request", ""): 1, ("response", ""): 1, ("resource", ""): 1},
    "example.arc.gz": "ARC file",
    "missing-status-text.warc": {("damaged", "corrupt_record"): 1},
    "transfer_compression_none_truncated.warc.gz": {
        ("warcinfo", ""): 1, ("request", ""): 1, ("response", "clipped"): 1,
    },
}  # fmt: skip
WITH_METADATA = {("warcinfo", ""): 1, ("request", ""): 1, ("response", ""): 1, ("metadata", ""): 1, ("resource", ""): 1}
COMPRESSED = {
    "transfer_compression_brotli.warc.gz": "br",
    "transfer_compression_gzip.warc": "gzip",
    "transfer_compression_gzip.warc.gz": "gzip",
    "transfer_compression_gzip_chunked.warc.gz": "chunked, gzip",
    "transfer_compression_none.warc.gz": "",
    "truncated_datetime.warc": "",
}


@pytest.mark.parametrize("name", KINDS)
def test_records_are_counted_as_published(name: str) -> None:
    assert Counter(one.kind for one in warc.captures(WEB / name)) == KINDS[name]


@pytest.mark.parametrize("name", EDGE_CASES)
def test_broken_and_unusual_files(name: str) -> None:
    wanted = EDGE_CASES[name]
    if isinstance(wanted, str):
        with pytest.raises(warc.WarcError, match=wanted):
            list(warc.captures(EDGE / name))
    else:
        assert Counter((one.kind, one.problem) for one in warc.captures(EDGE / name)) == wanted


@pytest.mark.parametrize("name", COMPRESSED)
def test_transfer_codings_are_named(name: str) -> None:
    found = list(warc.captures(EDGE / name))
    assert [one.encodings for one in found if one.kind == "response"] == [COMPRESSED[name]]
    if "chunked" not in name:
        assert Counter((one.kind, one.problem) for one in found) == WITH_METADATA


def test_every_readable_edge_case_goes_through(tmp_path: Path) -> None:
    """One crawl of them all: the same page in six codings gives one text; nothing is lost without a reason."""
    names = [name for name, wanted in EDGE_CASES.items() if not isinstance(wanted, str)]
    files = [EDGE / name for name in sorted([*names, *COMPRESSED])]
    made = build(tmp_path / "store", *from_files(*files, documents=10), "curation=fast")
    assert checks_crawl.pages_indexed(made["raw_pages"]).passed
    assert checks_crawl.records_found_again(made["raw_pages"]).passed
    assert made["raw_pages"].metrics["dropped/clipped"] == 3
    assert made["raw_pages"].metrics["dropped/corrupt_record"] == 1
    judged = made["extracted_text"].metrics
    assert judged["documents_in"] == judged["documents_kept"] + judged["documents_dropped"]
    assert not {"dropped/undecodable_body", "dropped/extraction_failed"} & judged.keys()
    texts = [row["text"] for row in rows(made["extracted_text"], "text") if "tokemon" in row["url"]]
    assert len(texts) >= 5
    assert len(set(texts)) == 1


@pytest.mark.parametrize("extractor", ["fast", "fineweb"])
def test_real_crawls_go_through(tmp_path: Path, extractor: str) -> None:
    files = [WEB / name for name in HTML_200]
    made = build(tmp_path / "store", *from_files(*files, documents=100), f"curation={extractor}")
    pages, extracted = made["raw_pages"], made["extracted_text"].metrics
    assert pages.metrics["documents_kept"] == sum(HTML_200.values())
    assert pages.metrics["dropped/revisit"] == 123
    assert pages.metrics["documents_in"] == 299 + 48 + 123 + 22 + 2 + 1
    assert checks_crawl.pages_indexed(pages).passed
    assert made["url_filtered"].metrics["documents_in"] == sum(HTML_200.values())
    assert extracted["documents_in"] == made["url_filtered"].metrics["documents_kept"]
    assert extracted["documents_kept"] > 0.9 * extracted["documents_in"]
    assert not {"dropped/extraction_failed", "dropped/undecodable_body"} & extracted.keys()


def test_pages_of_many_sites_and_encodings_go_through(tmp_path: Path) -> None:
    """503 pages of some 470 sites, in many languages, without a charset in their headers."""
    made = build(
        tmp_path / "store",
        *from_files(DATA / "extraction/trafilatura_eval/pages-dev.warc.gz", documents=200),
        "curation=fast",
    )
    assert made["raw_pages"].metrics["documents_kept"] == 503
    verdicts = rows(made["extracted_text"], "verdicts")
    kept = [row for row in verdicts if row["kept"]]
    assert len(kept) > 0.98 * len(verdicts)
    assert sum(row["undecodable"] > 0 for row in kept) < 0.02 * len(kept)
    assert {row["reason"] for row in verdicts} <= {"", "no_text", "html_too_deep"}
