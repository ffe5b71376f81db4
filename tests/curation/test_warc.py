"""The WARC reader: whole records, damaged ones, and files that are something else."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_dag.curation import warc
from llm_dag.curation.raw_pages import reason

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


PAGE = numbered(1)
STATED = int(re.search(rb"Content-Length: (\d+)", PAGE)[1])  # type: ignore[index]


def stating(length: str) -> bytes:
    """A page whose WARC header states another length than it has."""
    return re.sub(rb"Content-Length: \d+", b"Content-Length: " + length.encode(), PAGE, count=1)


@pytest.mark.parametrize("name", ["crawl.warc.gz", "crawl.warc"])
@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (stating("abc"), "corrupt_record"),
        (stating(""), "corrupt_record"),
        (stating("-5"), "corrupt_record"),
        (stating(f"+{STATED}"), "corrupt_record"),
        (stating(f"{STATED}.0"), "corrupt_record"),
        (stating(f"{STATED} bytes"), "corrupt_record"),
        (stating("0"), "corrupt_record"),
        (stating("30"), "corrupt_record"),  # in the middle of the HTTP header
        (stating(str(STATED - 1)), "corrupt_record"),
        (stating("9" * 11), "clipped"),
        (stating("9" * 30), "clipped"),
        (stating("9" * 5000), "corrupt_record"),
        (PAGE.replace(b"Content-Length: %d\r\n" % STATED, b""), "corrupt_record"),
        (PAGE.replace(b"Content-Length: ", b"Content-Length: 3\r\nContent-Length: ", 1), "corrupt_record"),
    ],
)
def test_a_length_that_is_wrong_costs_its_record(tmp_path: Path, name: str, broken: bytes, problem: str) -> None:
    path = write_warc(tmp_path / name, [broken, numbered(2)])
    found = list(warc.captures(path))
    assert [(one.problem, reason(one), one.url[-1]) for one in found] == [(problem, problem, "1"), ("", "", "2")]
    assert found[0].payload == b""
    assert found[0].offset + found[0].length == found[1].offset


@pytest.mark.parametrize(("name", "problem"), [("crawl.warc.gz", "clipped"), ("crawl.warc", "corrupt_record")])
def test_a_length_that_is_a_little_too_large(tmp_path: Path, name: str, problem: str) -> None:
    """In a plain file the bytes are there, but they are those of the next record, which is not lost with it."""
    path = write_warc(tmp_path / name, [stating(str(STATED + 40)), numbered(2)])
    assert [(one.problem, one.url[-1]) for one in warc.captures(path)] == [(problem, "1"), ("", "2")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, STATED - 1), st.sampled_from(["crawl.warc.gz", "crawl.warc"]))
def test_a_page_is_never_a_part_of_itself(tmp_path: Path, length: int, name: str) -> None:
    found = list(warc.captures(write_warc(tmp_path / name, [stating(str(length)), numbered(2)])))
    assert "" not in [reason(one) for one in found[:-1]]
    assert (found[-1].problem, found[-1].url[-1]) == ("", "2")


@pytest.mark.parametrize("name", ["crawl.warc.gz", "crawl.warc"])
@pytest.mark.parametrize("stated", ["0", "7", "999999", "-1", "many", "9" * 40])
def test_what_the_server_said_of_the_length_does_not_count(tmp_path: Path, name: str, stated: str) -> None:
    headers = ("Content-Type: text/html; charset=utf-8", f"Content-Length: {stated}")
    path = write_warc(tmp_path / name, [numbered(1), numbered(1, headers=headers)])
    honest, other = warc.captures(path)
    assert (other.problem, reason(other), other.payload) == ("", "", honest.payload)


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
