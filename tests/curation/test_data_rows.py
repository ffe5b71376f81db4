"""Data sets whose text is ready go through the first steps: identities, takedowns, shards, and exactly their text."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_dag.curation import checks, checks_crawl
from llm_dag.curation.data_rows import Naming, Texts
from llm_dag.curation.warc import Capture
from llm_dag.store.artifact import Artifact
from llm_dag.store.errors import StoreError

from .crawling import PROSE, build, from_files, numbered, rows, write_warc

NO_COLUMNS = ("source.id=", "source.url=", "source.date=")


def row(number: int, **more: Any) -> dict[str, Any]:
    text = f" {PROSE}\r\n\n\n\tNumber {number}.  \n"  # blanks and line ends that an extractor would tidy
    url, date = f"https://site.example/{number}", "2024-05-01T00:00:00Z"
    return {"text": text, "id": f"<urn:uuid:{number}>", "url": url, "date": date, "dump": "CC-MAIN-2024-18", **more}


def write(path: Path, values: Sequence[dict[str, Any] | bytes]) -> Path:
    """A data set in the form that its name says; bytes are a line as it is."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(values)), path, row_group_size=3)
        return path
    lines = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    content = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def source(*paths: Path, documents: int = 4) -> list[str]:
    kind = "parquet" if paths[0].suffix == ".parquet" else "jsonl"
    listed = ",".join(map(str, paths))
    return [f"source={kind}", f"source.files=[{listed}]", f"source.shard_documents={documents}"]


def index(store: Path, *overrides: str) -> Artifact:
    return build(store, *overrides, until="raw_pages")["raw_pages"]


def ids(artifact: Artifact) -> list[str]:
    return [page["doc_id"] for page in rows(artifact, "pages")]


def test_rows_pass_the_url_filter_and_their_text_is_copied(tmp_path: Path) -> None:
    values = [row(number) for number in range(10)]
    values[3]["url"], values[4]["text"], values[5]["url"] = "https://www.taken.example/page", " \n", None
    values[8]["text"] = "long " * 50
    path = write(tmp_path / "a.parquet", values)
    rules = tmp_path / "rules.yaml"
    rules.write_text("- {domain: taken.example, reason: asked, who: owner, when: 2024-06-01}\n")
    wanted = [*source(path), f"curation.takedowns.rules={rules}", "curation.extraction.max_html_bytes=200"]
    made = build(tmp_path / "store", *wanted)
    reasons = {
        step: [one["reason"] for one in rows(made[step], "verdicts")] for step in list(made)[1:] if step[0] != "t"
    }
    assert reasons["raw_pages"] == ["", "", "", "", "no_text", "", "", "", "", ""]
    assert reasons["url_filtered"] == ["", "", "", "takedown", "unreadable_url", "", "", "", ""]
    assert reasons["extracted_text"] == ["", "", "", "", "", "text_too_large", ""]
    kept = [value for number, value in enumerate(values) if number not in (3, 4, 5, 8)]
    assert [(one["url"], one["date"], one["text"]) for one in rows(made["extracted_text"], "text")] == [
        (value["url"], value["date"], value["text"]) for value in kept
    ]
    assert [one["text_chars"] for one in rows(made["extracted_text"], "verdicts") if one["kept"]] == [
        len(value["text"]) for value in kept
    ]
    assert made["raw_pages"].path("rows/a.parquet") == path  # where it lies, not copied
    assert checks_crawl.pages_indexed(made["raw_pages"]).passed
    assert checks_crawl.records_found_again(made["raw_pages"]).passed
    assert checks_crawl.takedowns_honoured(made["url_filtered"]).passed
    assert checks.conservation(made["extracted_text"]).passed


def test_a_bad_line_is_a_row_with_a_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [row(0), b"{", b"", row(1), b'"\xff"', {"text": 5}, {"id": "x"}])
    pages = index(tmp_path / "store", *source(path))
    found = zip(rows(pages, "verdicts"), rows(pages, "pages"), strict=True)
    assert [(verdict["reason"], page["warc"], page["line"]) for verdict, page in found] == [
        (reason, "rows/a.jsonl", line)
        for reason, line in [("", 1), ("bad_json", 2), ("", 4), ("not_utf8", 5), ("wrong_type", 6), ("no_text", 7)]
    ]
    content = path.read_bytes()
    places = [content[page["offset"] : page["offset"] + page["length"]] for page in rows(pages, "pages")]
    assert places == [line + b"\n" for line in content.split(b"\n") if line]
    assert pages.metrics["records/blank"] == 1
    assert checks_crawl.records_found_again(pages).passed


def test_a_row_of_fineweb_has_the_id_of_the_page_that_it_is(tmp_path: Path) -> None:
    page = index(tmp_path / "store", *from_files(write_warc(tmp_path / "a.warc", [numbered(1)])), "source.dump=one")
    of_page = rows(page, "pages")[0]["record_id"]
    data = write(tmp_path / "a.parquet", [row(1, id=f"<{of_page}>")])
    assert ids(index(tmp_path / "store", *source(data), "source.dump=one")) == ids(page)


def test_ids_without_ids_are_of_url_and_text(tmp_path: Path) -> None:
    """Whatever the order of files and the size of shards: and equal rows are told apart by their number."""
    first = write(tmp_path / "a.jsonl", [row(1), row(2), row(1), row(1)])
    second = write(tmp_path / "b.jsonl", [row(3), row(1)])
    found = [
        ids(index(tmp_path / "store", *source(*paths, documents=size), "source.id="))
        for paths, size in (((first, second), 4), ((second, first), 2))
    ]
    assert len(set(found[0])) == 6
    assert sorted(found[0]) == sorted(found[1])


def test_ids_that_repeat_are_not_relied_on(tmp_path: Path) -> None:
    pages = index(tmp_path / "store", *source(write(tmp_path / "a.jsonl", [row(1), row(2, id="<urn:uuid:1>"), row(1)])))
    assert len(set(ids(pages))) == 3
    assert pages.metrics["repeated_record_ids"] == 2


def test_many_equal_rows_are_named_in_one_pass() -> None:
    naming, taken, count = Naming("dump"), set[bytes](), 0
    row = Capture(0, 1, "row", payload=b"Yes.")

    class Counted(set[bytes]):
        def __contains__(self, key: object) -> bool:
            nonlocal count
            count += 1
            return key in taken

    for _ in range(3000):
        taken.add(bytes.fromhex(naming.doc_id(row, Counted())))
    assert (len(taken), count) == (3000, 3000)


def test_rows_without_urls_can_be_taken_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": f"{PROSE} {number}"} for number in range(3)])
    wanted = [*source(path), *NO_COLUMNS]
    urls = [page["url"] for page in rows(index(tmp_path / "store", *wanted), "pages")]
    rules = tmp_path / "rules.yaml"
    rules.write_text(f"- {{url: '{urls[1]}', reason: asked, who: owner, when: 2024-06-01}}\n")
    made = build(tmp_path / "store", *wanted, f"curation.takedowns.rules={rules}", until="url_filtered")
    assert [one["reason"] for one in rows(made["url_filtered"], "verdicts")] == ["", "takedown", ""]


def test_an_appended_file_changes_the_last_shard_only(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl.gz", [row(number) for number in range(10)])
    second = write(tmp_path / "b.jsonl.gz", [row(number) for number in range(10, 14)])
    build(tmp_path / "store", *source(first))
    after = build(tmp_path / "store", *source(first, second))["extracted_text"]
    assert (after.metrics["shards"], after.metrics["shards_reused"]) == (4, 2)
    assert [one["text"] for one in rows(after, "text")] == [row(number)["text"] for number in range(14)]


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.jsonl.gz"])
def test_texts_are_found_in_any_order_and_a_changed_file_is_noticed(tmp_path: Path, name: str) -> None:
    pages = index(tmp_path / "store", *source(write(tmp_path / name, [row(number) for number in range(8)])))
    texts = Texts(pages)
    places = rows(pages, "pages")
    for page in (*places[5:], *places[:5]):
        assert texts.fetch(page) == (row(int(page["url"][-1]))["text"].encode(), 0)
    assert texts.__getstate__()["_reader"] is None  # another process opens the file itself
    write(tmp_path / name, [row(number + 1) for number in range(8)])
    assert not checks_crawl.records_found_again(pages).passed


@pytest.mark.parametrize(
    ("name", "values", "overrides", "words"),
    [
        (
            "a.jsonl",
            [{"text": "a"}],
            [],
            r"source.id=id: no line has this key; the first has text; .* or set source.id= ",
        ),
        (
            "a.jsonl",
            [{"body": "a"}],
            NO_COLUMNS,
            r"source.text=text: no line has this key; the first has body; name one",
        ),
        (
            "a.jsonl",
            [{"text": ""}, b"{"],
            NO_COLUMNS,
            r"a.jsonl: no text in source.text=text; found 2 line \(1 bad_json, ",
        ),
        ("a.jsonl", [], NO_COLUMNS, r"a.jsonl: no text in source.text=text; found no record at all"),
        ("a.parquet", [{"text": "a"}], [], r"a.parquet: no column id \(source.id\); it has text"),
        (
            "a.parquet",
            [{"text": 1}],
            NO_COLUMNS,
            r"a.parquet: the column text \(source.text\) holds int64; text is wanted",
        ),
    ],
)
def test_a_data_set_that_is_described_wrongly_is_told_in_words(
    tmp_path: Path, name: str, values: list[Any], overrides: Sequence[str], words: str
) -> None:
    path = write(tmp_path / name, values)
    with pytest.raises(StoreError, match=words):
        index(tmp_path / "store", *source(path), *overrides)


def test_no_file_or_no_column_of_text_is_told_before_any_work(tmp_path: Path) -> None:
    from llm_dag.config.compose import ConfigError, compose

    for kind, wrong in itertools.product(("parquet", "jsonl"), ("source.files=[]", "source.text=")):
        with pytest.raises(ConfigError, match=r"source\.(files=\[\]: allowed is at least|text=: allowed is the name)"):
            compose([f"source={kind}", "source.files=[a]", wrong])
