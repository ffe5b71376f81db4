"""Files of JSON lines: every line is a document or a row with a reason, and is found again by its place."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_dag.config.source import Jsonl
from llm_dag.curation import json_lines
from llm_dag.curation.row_values import RowsError
from llm_dag.curation.warc import Capture

COLUMNS = Jsonl("jsonl", "rows", 10, ["a"], text="text", id="id", url="meta.url", date="date")
REASONS = {"", "bad_json", "not_utf8", "no_text", "wrong_type", "line_too_long"}


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": lambda content: gzip.compress(content, mtime=0),
    "members": lambda content: b"".join(
        gzip.compress(content[i : i + 50], mtime=0) for i in range(0, len(content), 50)
    ),
    "zstd": zstd,
    "frames": lambda content: b"".join(zstd(content[i : i + 50]) for i in range(0, len(content), 50)),
}


def read(path: Path) -> list[Capture]:
    return list(json_lines.captures(path, COLUMNS, {}))


def found_again(path: Path, places: Sequence[Capture]) -> list[bytes]:
    lines = json_lines.Lines(path)
    return [json_lines.text_at(lines, one.offset, one.length, "text")[0] for one in places]


def one(tmp_path: Path, line: bytes | dict[str, Any]) -> Capture:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line if isinstance(line, bytes) else json.dumps(line).encode())
    (capture,) = read(path)
    assert found_again(path, [capture]) == [capture.payload]
    return capture


lines = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda value: json.dumps(value).encode(), st.recursive(st.none() | st.text(), st.lists, max_leaves=4)),
    st.builds(
        lambda text, more, plain: json.dumps({"text": text, **more}, ensure_ascii=plain).encode(),
        st.text(st.characters(exclude_categories=())) | st.none() | st.integers(),
        st.dictionaries(st.sampled_from(["id", "meta", "date"]), st.text(max_size=5) | st.floats() | st.none()),
        st.just(True),
    ),
    st.sampled_from([b"", b" \t", b"\r", b"{}", b"[" * 99, b'{"text": "x"}' + b" " * 100]),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(lines, max_size=8).map(b"\n".join), st.sampled_from(sorted(PACKED)), st.randoms(use_true_random=False))
def test_every_line_is_a_document_or_has_a_reason(tmp_path: Path, content: bytes, form: str, random: Any) -> None:
    path = tmp_path / "rows.jsonl"
    packed = PACKED[form](content)
    path.write_bytes(packed)
    try:
        found = read(path)
    except RowsError:
        assert form == "plain"
        assert any(packed.startswith(magic) for magic in json_lines._OTHERS)
        return
    if form == "plain" and content[:4] in (b"\x1f\x8b", b"\x28\xb5\x2f\xfd"):
        return
    pieces = [piece + b"\n" for piece in content.split(b"\n")]
    pieces[-1] = pieces[-1][:-1]
    assert [content[one.offset : one.offset + one.length] for one in found] == [piece for piece in pieces if piece]
    assert [one.line for one in found] == list(range(1, len(found) + 1))
    for capture in found:
        assert capture.problem in REASONS
        blank = capture.kind == json_lines.BLANK
        assert not blank or not content[capture.offset : capture.offset + capture.length].decode().strip()
        assert capture.payload.strip() or blank or capture.problem
    random.shuffle(found)
    assert found_again(path, found) == [capture.payload for capture in found]


def test_the_columns_of_a_line(tmp_path: Path) -> None:
    row = {"text": "Say “hé”.\n\n \x00\x07 Tabs\tstay. ", "id": "<urn:uuid:1>", "meta": {"url": "https://a.example/"}}
    capture = one(tmp_path, {**row, "date": 20240501, "more": [[1.5, None]]})
    assert capture.payload.decode() == row["text"]  # control characters and blanks at the end too
    assert (capture.record_id, capture.url, capture.date) == ("urn:uuid:1", "https://a.example/", "20240501")
    assert (capture.kind, capture.field, capture.content_type) == ("line", "text", "text/plain")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"', "bad_json"),
        (b'["text"]', "bad_json"),
        (b"text", "bad_json"),
        (b'{"text": "a"}{"text": "b"}', "bad_json"),
        (b'{"text": "a", "n": ' + b"[" * 100_000, "bad_json"),
        (b'{"text": "a", "n": ' + b"[" * 101 + b"]" * 101 + b"}", "bad_json"),
        (b'{"text": "a", "n": ' + b"[" * 99 + b"]" * 99 + b"}", ""),
        (b'{"text": "' + b"[" * 200 + b'"}', ""),
        (b'{"text": "a", "n": NaN}', ""),
        (b'{"text": "caf\xe9"}', "not_utf8"),
        ('{"text": "a"}'.encode("utf-16"), "not_utf8"),
        (b'{"text": ""}', "no_text"),
        (b'{"text": " \\n\\t"}', "no_text"),
        (b'{"text": null}', "no_text"),
        (b'{"Text": "a"}', "no_text"),
        (b'{"text": 5}', "wrong_type"),
        (b'{"text": ["a"]}', "wrong_type"),
        (b'{"text": "a", "id": true}', "wrong_type"),
        (b'{"text": "a", "id": 1.5}', "wrong_type"),
        (b'{"text": "a", "meta": {"url": {}}}', "wrong_type"),
        (b'{"text": "a", "meta": "no mapping"}', ""),
        (b'\xef\xbb\xbf{"text": "a"}', ""),
    ],
)
def test_what_is_wrong_with_a_line(tmp_path: Path, line: bytes, reason: str) -> None:
    assert one(tmp_path, line).problem == reason


def test_half_of_a_surrogate_pair_is_replaced_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(rb'{"text": "\ud83d\ude00 a\ud800b\udfff", "id": "\ud800"}')
    (capture,) = read(path)
    assert capture.payload.decode() == "\U0001f600 a�b�"
    assert capture.record_id == "�"
    assert json_lines.text_at(json_lines.Lines(path), 0, capture.length, "text") == (capture.payload, 2)


def test_a_line_of_a_hundred_megabytes_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = b'{"text": "a"}\n'
    with path.open("wb") as stream:
        stream.write(good)
        stream.seek(100 << 20, 1)
        stream.write(b"\n" + good)
    tracemalloc.start()
    try:
        found = read(path)
        assert found_again(path, found) == [b"a", b"", b"a"]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [capture.problem for capture in found] == ["", "line_too_long", ""]
    assert (found[1].offset, found[1].length) == (len(good), (100 << 20) + 1)
    assert peak < 3 * json_lines.MAX_LINE


def test_a_line_of_too_many_values_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_OPENED", 100)
    found = [one(tmp_path, b'{"text": "a", "n": [' + b"{}," * count + b"0]}") for count in (98, 99)]
    assert [capture.problem for capture in found] == ["", "json_too_large"]


def test_a_line_at_the_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE", 40)
    at, over = ((b'{"text": "%s"}' % (b"a" * count)) for count in (27, 29))
    path = tmp_path / "a.jsonl"
    for ends in (b"", b"\n", b"\n\n"):
        path.write_bytes(at + b"\n" + over + ends)
        found = read(path)
        assert [(len(one.payload), one.problem) for one in found[:2]] == [(27, ""), (0, "line_too_long")]
        assert found_again(path, found) == [one.payload for one in found]


MANY = b"".join(b'{"text": "line %d of them %s"}\n' % (number, str(number**20).encode()) for number in range(5000))


@pytest.mark.parametrize(
    ("content", "reason", "least"),
    [
        (gzip.compress(MANY, mtime=0)[:-2000], "clipped", 4000),
        (
            gzip.compress(MANY, mtime=0)[:60_000] + bytes(64) + gzip.compress(MANY, mtime=0)[60_064:],
            "corrupt_gzip",
            1000,
        ),
        (gzip.compress(MANY, mtime=0) + b"rubbish", "corrupt_gzip", 5000),
        (zstd(MANY)[:-20_000], "clipped", 1000),
        (zstd(MANY)[:90_000] + bytes(64) + zstd(MANY)[90_064:], "corrupt_zstd", 1000),
    ],
)
def test_what_is_before_the_damage_is_read(tmp_path: Path, content: bytes, reason: str, least: int) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(content)
    *whole, last = read(path)
    assert (last.problem, last.length, last.line) == (reason, 0, len(whole) + 1)
    assert len(whole) >= least
    assert all(not capture.problem for capture in whole[:least])  # deflate may tell of damage some lines late
    assert last.offset == whole[-1].offset + whole[-1].length
    assert found_again(path, [last, *whole[-3:], whole[0]]) == [b"", *(one.payload for one in (*whole[-3:], whole[0]))]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PAR1....", "a Parquet file, which source=parquet reads"),
        (b"WARC/1.0\r\n", "which source=warc reads"),
        (b"BZh91AY", "bzip2"),
        (b"PK\x03\x04", "a zip archive"),
    ],
)
def test_another_kind_of_file_is_refused_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(RowsError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)
