"""From WARC files to the index of pages: identities, reasons, shards, and what a person is told."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from llm_dag.curation import checks_crawl, listing
from llm_dag.store.artifact import Artifact
from llm_dag.store.errors import StoreError

from .crawling import build, from_files, numbered, record, rows, write_warc


def pages_of(store: Path, *paths: Path, documents: int = 50_000) -> Artifact:
    return build(store, *from_files(*paths, documents=documents), until="raw_pages")["raw_pages"]


def test_every_capture_has_a_row_and_a_reason(tmp_path: Path) -> None:
    records = [
        numbered(1),
        numbered(2, status="404 Not Found"),
        numbered(3, status="301 Moved", headers=("Location: /1",)),
        numbered(4, headers=("Content-Type: image/png",)),
        numbered(5, body=""),
        numbered(6, kind="revisit"),
        numbered(7, headers=(), body="<!-- old --><!DOCTYPE html><html><body>x</body></html>"),
        numbered(8, headers=(), body="%PDF-1.4"),
        record("dns:site.example", record_id="d"),
        record("https://site.example/ask", kind="request"),
    ]
    path = write_warc(tmp_path / "a.warc.gz", records)
    pages = pages_of(tmp_path / "store", path)
    reasons = [row["reason"] for row in rows(pages, "verdicts")]
    assert reasons == ["", "http_status", "redirect", "not_html", "no_body", "revisit", "", "not_html", "not_http"]
    assert [row["doc_id"] for row in rows(pages, "pages")] == [row["doc_id"] for row in rows(pages, "verdicts")]
    assert pages.metrics["records/request"] == 1
    assert checks_crawl.pages_indexed(pages).passed
    assert checks_crawl.records_found_again(pages).passed


def test_damage_is_a_row_with_a_place(tmp_path: Path) -> None:
    members = [gzip.compress(numbered(number), mtime=0) for number in (1, 2, 3)]
    path = tmp_path / "a.warc.gz"
    path.write_bytes(members[0] + members[1][:50] + b"\x00" * 40 + members[1][90:] + members[2][:-20])
    pages = pages_of(tmp_path / "store", path)
    assert [row["reason"] for row in rows(pages, "verdicts")] == ["", "corrupt_gzip", "clipped"]
    assert rows(pages, "pages")[1]["offset"] == len(members[0])


def test_two_records_of_one_id_do_not_clash(tmp_path: Path) -> None:
    first = write_warc(tmp_path / "a.warc.gz", [numbered(1), numbered(2)])
    second = write_warc(
        tmp_path / "b.warc.gz", [numbered(1, body="<html>other</html>"), record("https://site.example/x")]
    )
    pages = pages_of(tmp_path / "store", first, second)
    ids = [row["doc_id"] for row in rows(pages, "pages")]
    assert len(set(ids)) == 4
    assert pages.metrics["repeated_record_ids"] == 1


def test_a_file_appended_changes_the_last_shard_only(tmp_path: Path) -> None:
    first = write_warc(tmp_path / "a.warc.gz", [numbered(number) for number in range(5)])
    second = write_warc(tmp_path / "b.warc.gz", [numbered(number) for number in range(5, 8)])
    before = build(tmp_path / "store", *from_files(first, documents=2))
    after = build(tmp_path / "store", *from_files(first, second, documents=2))
    for kind in ("pages", "verdicts"):
        same = [name for name in before["raw_pages"].names(f"{kind}/") if name in after["raw_pages"].names(f"{kind}/")]
        changed = [name for name in same if before["raw_pages"].entry(name) != after["raw_pages"].entry(name)]
        assert changed == [f"{kind}/00002.parquet"]
    assert after["extracted_text"].metrics["shards_reused"] == 2
    assert after["extracted_text"].metrics["documents_kept"] == 8


def test_a_sample_may_take_no_record_of_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_crawl, "SAMPLE", 1)
    path = write_warc(tmp_path / "a.warc.gz", [numbered(number) for number in range(5)])
    found = checks_crawl.records_found_again(pages_of(tmp_path / "store", path, documents=2))
    assert (found.passed, found.numbers["records_sampled"]) == (True, 1)


def test_local_files_are_referred_to_and_not_copied(tmp_path: Path) -> None:
    path = write_warc(tmp_path / "a.warc.gz", [numbered(1)])
    pages = pages_of(tmp_path / "store", path)
    assert pages.path("warc/a.warc.gz") == path
    assert pages.entry("warc/a.warc.gz").url == f"file://{path}"


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    paths = [write_warc(tmp_path / folder / "a.warc.gz", [numbered(n)]) for n, folder in enumerate(("one", "two"))]
    assert len({row["warc"] for row in rows(pages_of(tmp_path / "store", *paths), "pages")}) == 2


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "no record at all"),
        ([numbered(1, status="404 Not Found")], "1 response"),
        ([record("https://site.example/", kind="conversion")], "WET and WAT"),
    ],
)
def test_a_source_without_pages_is_an_error_that_says_what_was_found(
    tmp_path: Path, records: list[bytes], words: str
) -> None:
    path = write_warc(tmp_path / "a.warc.gz", records)
    with pytest.raises(StoreError, match=words):
        pages_of(tmp_path / "store", path)


def test_a_glob_that_matches_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"\*\.warc\.gz"):
        build(tmp_path / "store", "source=warc", f"source.files=[{tmp_path}/*.warc.gz]", until="crawl_listing")


def test_the_same_bytes_twice_are_refused(tmp_path: Path) -> None:
    paths = [write_warc(tmp_path / name, [numbered(1)]) for name in ("a.warc.gz", "b.warc.gz")]
    with pytest.raises(StoreError, match="the same bytes"):
        build(tmp_path / "store", *from_files(*paths), until="crawl_listing")


def test_what_changed_under_the_same_version_names_the_listing_to_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ["source.distributions=[rich]", "source.max_pages=20"]
    made = build(tmp_path, *wanted, until="crawl_listing")["crawl_listing"]
    recorded = listing._recorded
    monkeypatch.setattr(listing, "_recorded", lambda found: recorded(found)[1:])
    with pytest.raises(listing.SourceError, match=r"^rich==\S+: what is installed has changed") as caught:
        build(tmp_path, *wanted, until="raw_pages")
    assert f"remove the folder {made.location} and run" in str(caught.value)
    shutil.rmtree(made.location)
    assert build(tmp_path, *wanted, until="raw_pages")["raw_pages"].metrics["documents_kept"] > 0


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_distribution_is_refused_with_its_key(name: str) -> None:
    with pytest.raises(listing.SourceError, match=r"source\.distributions names ' ?'; the name of an installed"):
        listing.subjects(["rich", name])


def test_a_distribution_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no-such-thing, which is not installed"):
        build(tmp_path / "store", "source.distributions=[no-such-thing]", until="crawl_listing")
