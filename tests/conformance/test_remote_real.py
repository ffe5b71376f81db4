"""Real WARC files from a server: the same pages as from disk, and digests that their writers stated."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from pathlib import Path

import pytest

from llm_dag.config.source import CommonCrawl
from llm_dag.curation import common_crawl, warc
from llm_dag.store import transport
from llm_dag.store.errors import StoreError
from llm_dag.store.remote import Remote
from tests.curation.crawling import build, from_files, rows
from tests.curation.web_server import Files, serving

DATA = Path(os.environ.get("LLM_DAG_REAL_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
WEB = DATA / "web"
COMMON = WEB / "warc_commoncrawl_2024"
CRAWL = "CC-MAIN-2024-22"
pytestmark = pytest.mark.skipif(not WEB.is_dir(), reason=f"no real data in {DATA}")

COMPARED = {  # records for which a stated digest was compared; all are the bytes that were digested
    "warc_archive_org_2008/IAH-20080430204825-00000-blackbook.warc.gz": 261,
    "warc_iana_2014/iana.warc.gz": 23,
    "warc_dolma_wget_2024/sample-0000.warc.gz": 24,
    "warc_commoncrawl_2024/whirlwind.warc.gz": 1,
    "warc_edge_cases/IAH-urls-wget.warc.gz": 19,
    "warc_edge_cases/transfer_compression_gzip_chunked.warc.gz": 1,
    "../extraction/trafilatura_eval/pages-dev.warc.gz": 503,
}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transport, "pause", lambda seconds: None)


@pytest.mark.parametrize("name", COMPARED)
def test_stated_digests_are_those_of_the_bytes(name: str) -> None:
    found = Counter(one.digests for one in warc.captures(WEB / name) if one.kind in warc.PAGES and not one.problem)
    assert (found["same"], found["other"]) == (COMPARED[name], 0)


def test_a_crawl_from_a_server_that_drops_is_the_same_as_from_disk(tmp_path: Path) -> None:
    paths = [WEB / "warc_iana_2014" / "iana.warc.gz", WEB / "warc_dolma_wget_2024" / "sample-0000.warc.gz"]
    there = build(tmp_path / "local", *from_files(*paths, documents=100), "curation=fast")
    files = Files({path.name: path.read_bytes() for path in paths}, drops=[300_000, 200_000, 9_000])
    with serving(files):
        listed = ",".join(f"{files.url}/{path.name}" for path in paths)
        overrides = ["source=warc", f"source.files=[{listed}]", "source.shard_documents=100", "curation=fast"]
        here = build(tmp_path / "remote", *overrides)
    for asset in ("raw_pages", "url_filtered", "extracted_text"):
        assert here[asset].digest == there[asset].digest
    assert files.drops == []


def test_a_file_of_common_crawl_comes_through_its_listing(tmp_path: Path) -> None:
    path = f"crawl-data/{CRAWL}/segments/1715971057216.39/warc/whirlwind.warc.gz"
    content = {
        f"crawl-data/{CRAWL}/warc.paths.gz": gzip.compress(f"{path}\n".encode()),
        path: (COMMON / "whirlwind.warc.gz").read_bytes(),
    }
    with serving(Files(content)) as files:
        made = build(tmp_path, "source=common_crawl", f"compute.common_crawl={files.url}", "curation=fast")
    assert made["raw_pages"].metrics["digests/same"] == 1
    assert [row["url"] for row in rows(made["extracted_text"], "text")] == ["https://an.wikipedia.org/wiki/Escopete"]


def test_a_real_listing_of_another_kind_of_file_is_refused() -> None:
    """The file in the data folder lists the parts of an index, under the name of a listing of WARC files."""
    content = {f"crawl-data/{CRAWL}/warc.paths.gz": (COMMON / "CC-MAIN-2024-22.warc.paths.gz").read_bytes()}
    with serving(Files(content)) as files, pytest.raises(StoreError, match=r"line 1: 'part-00000-.*parquet'; the path"):
        common_crawl.chosen(CommonCrawl("common_crawl", CRAWL, 1, CRAWL, 0, 1), files.url, Remote())
