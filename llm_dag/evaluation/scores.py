"""The tables that the harness writes and the report card reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Score:
    """One measured number.

    `model` is `base`, `sft`, `gain` (how much better SFT made it, resampled in pairs), `xz` or `xz_primed`. `low` and
    `high` are its 95 % interval (None: it has none), `n` counts the clusters that it stands on (documents, subjects,
    problems), and `note` says what was seen and how it was asked.
    """

    metric: str
    model: str
    value: float
    low: float | None
    high: float | None
    n: int
    unit: str
    note: str


SCORES = pa.schema(
    [
        pa.field("metric", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),
        pa.field("note", pa.string(), nullable=False),
    ]
)

ANSWERS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),  # held out, taught, asked
        pa.field("note", pa.string(), nullable=False),  # of an asked question: whether it was taught
        pa.field("question", pa.string(), nullable=False),
        pa.field("reference", pa.string(), nullable=False),  # empty for a question that is only asked
        pa.field("base_answer", pa.string(), nullable=False),
        pa.field("sft_answer", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),  # of the reference
        pa.field("base_bits", pa.float64(), nullable=False),  # of the reference
        pa.field("sft_bits", pa.float64(), nullable=False),
        pa.field("base_overlap", pa.float64(), nullable=False),  # of the generated answer with the reference
        pa.field("sft_overlap", pa.float64(), nullable=False),
    ]
)

DREAMS = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),  # empty: from nothing
        pa.field("text", pa.string(), nullable=False),
    ]
)

LINES = pa.schema(
    [
        pa.field("dump", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),  # of the document
        pa.field("strict_bytes", pa.int64(), nullable=False),  # of its strict lines
        pa.field("base_bits", pa.float64(), nullable=False),  # on the whole document
        pa.field("base_strict_bits", pa.float64(), nullable=False),
    ]
)


def read_scores(path: Path) -> dict[tuple[str, str], Score]:
    """The rows of `scores.parquet` by metric and model."""
    rows: list[dict[str, Any]] = pq.read_table(path, partitioning=None).to_pylist()
    return {(row["metric"], row["model"]): Score(**row) for row in rows}
