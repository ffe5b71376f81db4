"""Real data sets through the first steps: their text comes out as it went in, from JSON lines and from Parquet."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_dag.curation import checks, checks_crawl
from llm_dag.store.artifact import Artifact
from tests.curation.crawling import build, rows

DATA = Path(os.environ.get("LLM_DAG_REAL_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "text"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}")

NO_COLUMNS = ("source.id=", "source.url=", "source.date=")
SETS = {  # files, columns, documents as their makers count them, and how many of these have no text
    "c4_sample/*.jsonl.gz": (NO_COLUMNS, 300, 0),
    "ccnet_head_2020/*.jsonl.gz": (("source.url=id", "source.date=created"), 20, 0),
    "common_crawl_cc_licensed_2019/*.jsonl.zst": (
        ("source.url=metadata.url", "source.date=metadata.warc_date"), 358, 16,
    ),
}  # fmt: skip


def documents(files: str) -> Iterator[dict[str, Any]]:
    """The documents, read by other means than ours."""
    for path in sorted(DATA.glob(files)):
        if path.suffix == ".gz":
            content = gzip.decompress(path.read_bytes())
        else:
            with pa.input_stream(str(path), compression="zstd") as stream:
                content = stream.read()
        yield from map(json.loads, content.splitlines())


def assert_conserved(made: dict[str, Artifact], documents_in: int, without_text: int) -> None:
    assert made["raw_pages"].metrics["documents_in"] == documents_in
    assert made["raw_pages"].metrics["documents_dropped"] == without_text
    assert made["raw_pages"].metrics.get("dropped/no_text", 0) == without_text
    assert checks_crawl.pages_indexed(made["raw_pages"]).passed
    assert checks_crawl.records_found_again(made["raw_pages"]).passed
    assert checks.conservation(made["extracted_text"]).passed


@pytest.mark.parametrize("files", SETS)
def test_the_text_of_a_data_set_comes_out_as_it_went_in(tmp_path: Path, files: str) -> None:
    columns, count, empty = SETS[files]
    given = [one["text"] for one in documents(files) if one["text"].strip()]
    assert len(given) == count - empty
    shared = ["curation=fast", *columns]
    lines = build(
        tmp_path / "store", "source=jsonl", f"source.files=[{DATA / files}]", "source.shard_documents=150", *shared
    )
    assert_conserved(lines, count, empty)
    assert [row["text"] for row in rows(lines["extracted_text"], "text")] == given
    table = pa.Table.from_pylist(
        [{key: one[key] for key in ("text", "id", "created", "metadata") if key in one} for one in documents(files)]
    )
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=64)
    parquet = build(
        tmp_path / "store", "source=parquet", f"source.files=[{tmp_path / 'rows.parquet'}]", "source.dump=local-jsonl",
        "source.shard_documents=150", *shared,
    )  # fmt: skip
    assert_conserved(parquet, count, empty)
    names = [row["doc_id"] for row in rows(parquet["extracted_text"], "text")]
    assert names == [row["doc_id"] for row in rows(lines["extracted_text"], "text")]
    assert [row["text"] for row in rows(parquet["extracted_text"], "text")] == given
