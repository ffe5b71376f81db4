"""The URL filter beside datatrove's with its own lists loaded, over published block lists and the URLs of crawls."""

from __future__ import annotations

import io
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from datatrove.data import Document

from llm_dag.curation import warc
from llm_dag.curation.takedowns import Rules
from llm_dag.curation.url_filter import UrlFilter
from llm_dag.curation.url_lists import OwnLists, integrated

REAL = Path(os.environ.get("LLM_DAG_REAL_DATA", Path(__file__).parents[3] / "shared/data"))
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL}")

CRAWLS = (
    "extraction/trafilatura_eval/pages-dev.warc.gz",
    "web/warc_archive_org_2008/IAH-20080430204825-00000-blackbook.warc.gz",
    "web/warc_iana_2014/iana.warc.gz",
    "web/warc_dolma_wget_2024/sample-0000.warc.gz",
)


def listed() -> Iterator[str]:
    """URLs from the entries of the UT1 lists, as they are, with a scheme, and below a subdomain."""
    zstandard = pytest.importorskip("zstandard")
    packed = (REAL / "url_filter/ut1_blacklists/blacklists.tar.zst").read_bytes()
    raw = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(packed).read()
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        for member in archive:
            if member.isfile() and Path(member.name).name in ("domains", "urls"):
                file = archive.extractfile(member)
                assert file is not None
                for entry in file.read().decode("utf-8", "replace").split():
                    yield entry
                    yield f"http://{entry}"
                    yield f"https://www.{entry}/page"


def crawled() -> Iterator[str]:
    for name in CRAWLS:
        yield from (one.url for one in warc.captures(REAL / name) if one.kind == "response")


def test_every_decision_and_reason_is_datatroves() -> None:
    """Over some 260,000 URLs. The one exception: a URL without a host could never be taken down, so it goes."""
    import tldextract
    from datatrove.pipeline.filters import URLFilter

    peer = URLFilter(soft_word_threshold=2)
    peer.tldextractor = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    ours, rules = UrlFilter(integrated(), OwnLists(frozenset(), frozenset()), 2), Rules([])
    reasons: Counter[str] = Counter()
    for url in dict.fromkeys((*listed(), *crawled())):
        verdict = peer.filter(Document(text="", id="", metadata={"url": url}))
        theirs = "" if verdict is True else verdict[1]  # type: ignore[index]
        found = ours.judge(url, rules).reason
        assert found == ("unreadable_url" if url.startswith("dns:") else theirs), url
        reasons[found] += 1
    assert reasons.keys() >= {
        "",
        "domain",
        "subdomain",
        "url",
        "hard_blacklisted",
        "soft_blacklisted",
        "blacklisted_subword",
    }
    assert reasons.total() > 200_000
