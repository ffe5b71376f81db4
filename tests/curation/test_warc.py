"""The WARC reader: whole records, damaged ones, and files that are something else."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_dag.curation import warc

from .crawling import numbered, record, write_warc


@pytest.mark.parametrize("name", ["crawl.warc.gz", "crawl.warc"])
def test_each_record_is_found_again_by_its_place(tmp_path: Path, name: str) -> None:
    path = write_warc(tmp_path / name, [numbered(1), record("https://site.example/r", kind="request"), numbered(2)])
    found = list(warc.captures(path))
    assert [one.kind for one in found] == ["response", "request", "response"]
    assert [one.url for one in found if one.kind == "response"] == ["https://site.example/1", "https://site.example/2"]
    assert found[0].record_id == "urn:uuid:00000000-0000-0000-0000-000000000001"
    assert (found[0].status, found[0].content_type, found[0].charset) == (200, "text/html", "utf-8")
    assert all(warc.fetch(path, one.offset, one.length) == one for one in found)


def test_header_lines_that_end_with_a_bare_line_feed(tmp_path: Path) -> None:
    path = write_warc(tmp_path / "crawl.warc", [record("https://site.example/", line_end="\n"), numbered(2)])
    assert [one.url for one in warc.captures(path)] == ["https://site.example/", "https://site.example/2"]


def test_a_corrupt_member_is_one_damaged_place_and_reading_goes_on(tmp_path: Path) -> None:
    members = [gzip.compress(numbered(number), mtime=0) for number in (1, 2, 3)]
    broken = members[1][:40] + b"\x00" * 30 + members[1][70:]
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(members[0] + broken + members[2])
    found = list(warc.captures(path))
    assert [one.problem for one in found] == ["", "corrupt_gzip", ""]
    assert (found[1].offset, found[1].length) == (len(members[0]), len(broken))
    assert found[2].url == "https://site.example/3"


@pytest.mark.parametrize("name", ["crawl.warc.gz", "crawl.warc"])
def test_a_clipped_file_ends_with_a_clipped_record(tmp_path: Path, name: str) -> None:
    path = write_warc(tmp_path / name, [numbered(1), numbered(2)])
    path.write_bytes(path.read_bytes()[:-60])
    assert [one.problem for one in warc.captures(path)] == ["", "clipped"]


def test_a_record_shorter_than_it_says_is_clipped(tmp_path: Path) -> None:
    short = numbered(1).replace(b"Content-Length: ", b"Content-Length: 9")
    path = write_warc(tmp_path / "crawl.warc.gz", [short, numbered(2)])
    assert [one.problem for one in warc.captures(path)] == ["clipped", ""]


def test_a_wrong_length_in_a_plain_file_costs_one_record(tmp_path: Path) -> None:
    long = numbered(1).replace(b"Content-Length: ", b"Content-Length: 99")
    path = write_warc(tmp_path / "crawl.warc", [long, numbered(2)])
    found = list(warc.captures(path))
    assert [one.problem for one in found] == ["clipped", ""]
    assert found[1].url == "https://site.example/2"


def test_a_record_over_the_limit_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warc, "MAX_RECORD", 10_000)
    path = write_warc(tmp_path / "crawl.warc.gz", [numbered(1, body="x" * 50_000), numbered(2)])
    found = list(warc.captures(path))
    assert [one.problem for one in found] == ["record_too_large", ""]
    assert found[0].payload == b""


def test_codings_are_named_outermost_first(tmp_path: Path) -> None:
    headers = ("Content-Type: text/html", "Content-Encoding: gzip", "Transfer-Encoding: chunked")
    path = write_warc(tmp_path / "crawl.warc.gz", [numbered(1, headers=headers)])
    assert next(warc.captures(path)).encodings == "chunked, gzip"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"filedesc://old.arc 0.0.0.0 20080430 text/plain 76\n", "ARC file"),
        (gzip.compress(b"filedesc://old.arc 0.0.0.0 20080430 text/plain 76\n"), "ARC file"),
        (gzip.compress(numbered(1) + numbered(2)), "more than one record"),
        (b"<html>not an archive</html>", "holds no WARC record"),
        (gzip.compress(b"crawl-data/a.warc.gz\n"), "holds no WARC record"),
        (b"\x28\xb5\x2f\xfd\x00\x00", "zstd"),
    ],
)
def test_another_kind_of_file_is_refused_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "file.warc.gz"
    path.write_bytes(content)
    with pytest.raises(warc.WarcError, match=words) as caught:
        list(warc.captures(path))
    assert str(path) in str(caught.value)


def test_an_empty_file_holds_no_record(tmp_path: Path) -> None:
    (tmp_path / "empty.warc").write_bytes(b"")
    assert list(warc.captures(tmp_path / "empty.warc")) == []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_anywhere_is_never_more_than_a_damaged_record(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever is overwritten or cut, reading ends, places do not overlap, and later records survive."""
    plain = data.draw(st.booleans())
    path = write_warc(tmp_path / ("a.warc" if plain else "a.warc.gz"), [numbered(number) for number in range(4)])
    content = bytearray(path.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=40))
    content[start : start + len(junk)] = junk
    path.write_bytes(bytes(content[: data.draw(st.integers(start + 1, len(content)))]))
    try:
        found = list(warc.captures(path))
    except warc.WarcError:
        return
    ends = [one.offset + one.length for one in found]
    assert all(end <= later.offset for end, later in zip(ends, found[1:], strict=False))
    assert all(end <= len(content) for end in ends)
    for one in found:
        if not one.problem:
            assert warc.fetch(path, one.offset, one.length) == one
