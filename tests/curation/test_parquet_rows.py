"""Parquet files of ready text: types, missing columns, damage, and a row found again by its number."""

from __future__ import annotations

import datetime
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_dag.config.source import Parquet
from llm_dag.curation.parquet_rows import ParquetRows
from llm_dag.curation.row_values import RowsError
from llm_dag.curation.warc import Capture


def columns(**names: str) -> Parquet:
    return Parquet("parquet", "rows", 10, ["a"], **{"text": "text", "id": "", "url": "", "date": "", **names})


def written(path: Path, values: dict[str, Any], rows: int = 1000, **more: Any) -> Path:
    pq.write_table(pa.table(values), path, row_group_size=rows, **more)
    return path


def read(path: Path, **names: str) -> list[Capture]:
    return list(ParquetRows(path).captures(columns(**names)))


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_text_of_any_kind_is_taken_as_it_is(tmp_path: Path, kind: pa.DataType) -> None:
    texts = ["Say “hé”.\n\n \x00\x07 Tabs\tstay. ", "", None, " \n", "b" * 9000]
    path = written(tmp_path / "a.parquet", {"text": pa.array(texts, pa.string()).cast(kind)})
    found = read(path)
    assert [one.payload.decode() for one in found] == [texts[0], "", "", "", texts[4]]
    assert [one.problem for one in found] == ["", "no_text", "no_text", "no_text", ""]
    assert [(one.offset, one.length, one.kind, one.field) for one in found] == [(n, 1, "row", "text") for n in range(5)]


def test_ids_urls_and_dates_of_their_kinds(tmp_path: Path) -> None:
    when = datetime.datetime(2024, 5, 1, 12, 30, 15, 123456)
    path = written(
        tmp_path / "a.parquet",
        {
            "text": ["a"],
            "number": [7],
            "urn": ["<urn:uuid:1>"],
            "time": pa.array([when], pa.timestamp("us")),
            "zoned": pa.array([when], pa.timestamp("ns", "Europe/Berlin")),
            "day": pa.array([when.date()]),
            "far": pa.array([2**60], pa.timestamp("us")),
            "nothing": pa.nulls(1),
            "meta": [{"url": "https://a.example/", "inner": {"day": "2024-05-01"}}],
        },
    )
    ids = [read(path, id=name)[0].record_id for name in ("number", "urn", "nothing")]
    assert ids == ["7", "urn:uuid:1", ""]
    dates = [read(path, date=name)[0].date for name in ("time", "zoned", "day", "far", "nothing", "meta.inner.day")]
    assert dates == ["2024-05-01T12:30:15Z", "2024-05-01T12:30:15Z", "2024-05-01", "", "", "2024-05-01"]
    assert read(path, url="meta.url")[0].url == "https://a.example/"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"text": "body"}, r"no column body \(source.text\); it has text, n, meta, both, both; name one of them$"),
        ({"url": "address"}, r"no column address \(source.url\); .*, or set source.url= where there is none"),
        ({"url": "meta.uri"}, r"no column meta.uri \(source.url\)"),
        ({"url": "n.url"}, r"no column n.url \(source.url\)"),
        ({"url": "both"}, r"no column both \(source.url\)"),
        ({"text": "n"}, r"the column n \(source.text\) holds int64; text is wanted"),
        ({"url": "n"}, r"the column n \(source.url\) holds int64; text is wanted"),
        ({"id": "meta"}, r"the column meta \(source.id\) holds struct<url: int64>; text or whole numbers is wanted"),
        ({"text": "meta.url"}, r"the column meta.url \(source.text\) holds int64; text is wanted"),
    ],
)
def test_a_column_that_is_not_there_or_of_another_type_is_named(
    tmp_path: Path, names: dict[str, str], words: str
) -> None:
    table = pa.table({"text": ["a"], "n": [1], "meta": [{"url": 1}]})
    pq.write_table(table.append_column("both", [["x"]]).append_column("both", [["y"]]), tmp_path / "a.parquet")
    with pytest.raises(RowsError, match=words) as caught:
        read(tmp_path / "a.parquet", **names)
    assert str(tmp_path / "a.parquet") in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"text\nab\n", b"PAR1" + bytes(40) + b"PAR1", b'{"text": "a"}\n' * 40])
def test_another_kind_of_file_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(RowsError, match=r"a\.parquet: no Parquet file \(.+\); a Parquet file is wanted"):
        read(path)


def test_bytes_that_are_no_text_cost_their_row(tmp_path: Path) -> None:
    broken = pa.array([b"good", b"caf\xe9", b"good too"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, broken.buffers())
    path = written(tmp_path / "a.parquet", {"text": text, "id": text})
    assert [one.problem for one in read(path, id="id")] == ["", "not_utf8", ""]
    assert [one.record_id for one in read(path, id="id")] == ["good", "caf�", "good too"]
    assert ParquetRows(path).text_at(1, "text") == (b"", 0)


def test_rows_are_found_again_in_any_order(tmp_path: Path) -> None:
    texts = [f"text {number} " * (number % 7 + 1) for number in range(1500)]
    path = written(tmp_path / "a.parquet", {"text": texts, "more": list(range(1500))}, rows=400)
    found = read(path)
    assert [one.payload.decode() for one in found] == texts
    rows = ParquetRows(path)
    order = [*range(390, 410), 1499, 0, 1200, 399, 400, *random.Random(1).sample(range(1500), 100)]
    assert [rows.text_at(row, "text")[0].decode() for row in order] == [texts[row] for row in order]
    assert [rows.text_at(row, "text") for row in (-1, 1500)] == [(b"", 0), (b"", 0)]


def test_a_damaged_row_group_is_a_row_with_a_place(tmp_path: Path) -> None:
    texts = [f"text {number} {random.Random(number).random()}" for number in range(900)]
    path = written(tmp_path / "a.parquet", {"text": texts}, rows=300, compression="zstd", use_dictionary=False)
    start = pq.read_metadata(path).row_group(1).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[start + 200 : start + 240] = bytes(40)
    path.write_bytes(content)
    found = read(path)
    assert [one.offset for one in found] == [*range(301), *range(600, 900)]
    assert (found[300].problem, found[300].length, found[300].payload) == ("corrupt_rows", 300, b"")
    rows = ParquetRows(path)
    assert rows.text_at(400, "text") == (b"", 0)
    assert rows.text_at(700, "text")[0].decode() == texts[700]


def test_a_row_group_is_not_read_whole(tmp_path: Path) -> None:
    """What Arrow holds while a row group of 94 MB is read: 38 MB, and the same of one three times as large."""
    text = random.Random(2).randbytes(16 << 10).hex()
    texts = [f"{number} {text[number:]}" for number in range(3000)]
    path = written(tmp_path / "a.parquet", {"text": texts}, rows=3000, compression="none", use_dictionary=False)
    del texts
    before, most = pa.total_allocated_bytes(), 0
    for one in ParquetRows(path).captures(columns()):
        if one.offset % 100 == 0:
            most = max(most, pa.total_allocated_bytes() - before)
    assert path.stat().st_size > 90_000_000
    assert most < 50_000_000
