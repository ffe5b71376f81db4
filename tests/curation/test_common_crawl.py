"""Crawls of Common Crawl: the listing, the range, and what of where they are read from enters a recipe (nothing)."""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from llm_dag.config.compose import ConfigError, compose
from llm_dag.config.source import CommonCrawl
from llm_dag.curation import common_crawl
from llm_dag.store import transport
from llm_dag.store.artifact import Artifact
from llm_dag.store.errors import StoreError
from llm_dag.store.remote import Remote

from .crawling import build, numbered, rows
from .web_server import Files, serving

CRAWL = "CC-MAIN-2024-22"
LISTING = f"crawl-data/{CRAWL}/warc.paths.gz"
PATHS = [f"crawl-data/{CRAWL}/segments/17159710572{n}.39/warc/CC-MAIN-2024051723-0000{n}.warc.gz" for n in range(4)]
CONFIG = CommonCrawl("common_crawl", CRAWL, 50, CRAWL, 0, 1)


def listing(paths: list[str]) -> bytes:
    return gzip.compress("".join(f"{path}\n" for path in paths).encode(), mtime=0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transport, "pause", lambda seconds: None)
    content = {LISTING: listing(PATHS)}
    for number, path in enumerate(PATHS):
        records = [numbered(10 * number + page) for page in range(3)]
        content[path] = b"".join(gzip.compress(one, mtime=0) for one in records)
    with serving(Files(content)) as files:
        yield files


def made(store: Path, base: str, *more: str, until: str = "raw_pages") -> dict[str, Artifact]:
    overrides = ["source=common_crawl", f"compute.common_crawl={base}", *more]
    return build(store, *overrides, until=until)


@pytest.mark.parametrize(
    ("first", "most", "found"), [(0, 1, PATHS[:1]), (1, 2, PATHS[1:3]), (2, 0, PATHS[2:]), (3, 9, PATHS[3:])]
)
def test_the_range_is_taken_in_the_order_of_the_listing(server: Files, first: int, most: int, found: list[str]) -> None:
    config = dataclasses.replace(CONFIG, first_file=first, max_files=most)
    assert common_crawl.chosen(config, server.url, Remote()) == found


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (listing([]), "first_file=0: .* lists 0 files"),
        (listing(PATHS)[:-20], "ends in the middle of its gzip stream"),
        (b"<html>moved</html>", "no gzip file"),
        (listing(["part-00000.c000.gz.parquet"]), r"warc\.paths\.gz, line 1: 'part-0.*'; the path of a WARC file"),
        (listing([*PATHS, "crawl-data/../../etc/a.warc.gz"]), "line 5: "),
        (listing([PATHS[0], "https://elsewhere.example/a.warc.gz"]), "line 2: 'https:"),
        (listing([*PATHS, PATHS[1]]), "line 5: .*00001.warc.gz stands in line 2 already"),
    ],
)
def test_a_listing_that_is_none_is_refused_with_its_line(server: Files, content: bytes, words: str) -> None:
    server.content[LISTING] = content
    with pytest.raises(StoreError, match=words):
        common_crawl.chosen(CONFIG, server.url, Remote())


def test_a_listing_that_unpacks_without_end_is_bounded(server: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common_crawl, "MOST", 100_000)
    server.content[LISTING] = gzip.compress(b"x" * 10_000_000)
    with pytest.raises(StoreError, match="more than 100000 bytes"):
        common_crawl.chosen(CONFIG, server.url, Remote())


def test_a_crawl_that_there_is_not_is_named(server: Files) -> None:
    with pytest.raises(StoreError, match=r"crawl-data/CC-MAIN-1999-01/warc\.paths\.gz: .* 404"):
        common_crawl.chosen(dataclasses.replace(CONFIG, crawl="CC-MAIN-1999-01"), server.url, Remote())


def test_pages_come_through_a_bad_line_and_a_busy_server(server: Files, tmp_path: Path) -> None:
    server.refusals = [(503, {"Retry-After": "5"}), (429, {})]
    server.drops = [10_000, 100, 300, 200]
    found = made(tmp_path / "store", server.url, "source.first_file=1", "source.max_files=2")["raw_pages"]
    assert found.partition == CRAWL
    assert [row["url"].rpartition("/")[2] for row in rows(found, "pages")] == ["10", "11", "12", "20", "21", "22"]
    assert found.entry(f"warc/{PATHS[1].rpartition('/')[2]}").url == f"{server.url}/{PATHS[1]}"
    asked = [headers["Range"] for path, headers in server.asked if path in PATHS and "If-Range" in headers]
    assert any(wanted.startswith("bytes=100-") for wanted in asked)  # it went on at the byte where it stopped


def test_where_a_crawl_is_read_changes_no_byte_of_what_is_made(server: Files, tmp_path: Path) -> None:
    with serving(Files(dict(server.content), etag='"{}"')) as mirror:
        there = [made(tmp_path / name, url) for name, url in (("one", server.url), ("two", mirror.url))]
    for asset in ("crawl_listing", "raw_pages"):
        assert there[0][asset].recipe == there[1][asset].recipe
        assert there[0][asset].digest == there[1][asset].digest
    row = pq.read_table(there[0]["crawl_listing"].path("listing.parquet")).to_pylist()[0]
    assert row["place"] == PATHS[0]
    assert (row["bytes"], row["etag"]) == (len(server.content[PATHS[0]]), server.tag(PATHS[0]).strip('"'))


def test_a_mirror_may_be_a_folder(server: Files, tmp_path: Path) -> None:
    for name, content in server.content.items():
        path = tmp_path / "mirror" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    found = made(tmp_path / "store", str(tmp_path / "mirror"))
    assert found["raw_pages"].metrics["documents_kept"] == 3
    assert server.asked == []


@pytest.mark.parametrize("failing", ["gone", "short"])
def test_a_file_that_cannot_be_read_whole_leaves_no_artifact(server: Files, tmp_path: Path, failing: str) -> None:
    made(tmp_path / "store", server.url, until="crawl_listing")
    if failing == "gone":
        del server.content[PATHS[0]]
    else:
        server.drops = [50] * 20
    with pytest.raises(StoreError, match=f"{server.url}/{PATHS[0]}: ") as caught:
        made(tmp_path / "store", server.url)
    assert ("404" if failing == "gone" else "the connection broke") in str(caught.value)
    assert not (tmp_path / "store" / "raw_pages").exists()


def test_a_listed_crawl_is_fresh_without_asking_anybody(server: Files, tmp_path: Path) -> None:
    made(tmp_path, server.url)
    server.asked.clear()
    made(tmp_path, server.url)
    made(tmp_path, "s3://nobody")  # the place is no part of any recipe
    assert server.asked == []


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("source.crawl=2024-22", "source.crawl=2024-22: allowed is the name of a crawl of Common Crawl"),
        ("source.crawl=../secret", "the name of a crawl"),
        ("source.first_file=-1", "source.first_file=-1: allowed is 0 or more"),
        ("source.max_files=-1", "source.max_files=-1: allowed is 0 or more"),
        ("compute.common_crawl=''", "compute.common_crawl=: allowed is a URL or folder"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(override: str, allowed: str) -> None:
    with pytest.raises(ConfigError, match=allowed):
        compose(["source=common_crawl", "source.dump=d", override])
