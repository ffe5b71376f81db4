"""Canaries: hand-written pages whose fate is known, mixed into a crawl to show that the filters are awake.

`canaries.yaml` in their folder lists for each page its URL, its file, and its fate: the step and the reason that drop
it, or no step for a page that is kept, and what its final text must and must not hold. Fates live in that data only;
they are written to `canaries.parquet`, which no filter opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from llm_dag.curation.python_docs.site import Page
from llm_dag.ledger import document_id
from llm_dag.store.errors import StoreError

SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("step", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("must_contain", pa.list_(pa.string()), nullable=False),
        pa.field("must_not_contain", pa.list_(pa.string()), nullable=False),
    ]
)
NEEDED = {"url", "file", "step"}
ALLOWED = NEEDED | {"status", "content_type", "location", "reason", "must_contain", "must_not_contain", "why"}


class CanaryError(StoreError):
    """A canary that is not written as it should be: the message names its file, what was found, what is wanted."""


@dataclass(frozen=True)
class Canary:
    """A page and its fate: `step` is empty for a page that every step keeps."""

    page: Page
    step: str
    reason: str
    must_contain: tuple[str, ...]
    must_not_contain: tuple[str, ...]


def read(folder: Path) -> list[Canary]:
    """The canaries of a folder, in the order of their list.

    Raises:
        CanaryError: the list is missing or malformed, a page's file is missing, or a URL stands twice.
    """
    path = folder / "canaries.yaml"
    if not path.is_file():
        raise CanaryError(f"source.canaries={folder}: no canaries.yaml in it")
    entries = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(entries, list):
        raise CanaryError(f"{path}: holds a {type(entries).__name__}; a list of canaries is wanted")
    canaries = [_canary(path, number, entry) for number, entry in enumerate(entries, 1)]
    urls = [canary.page.url for canary in canaries]
    if twice := sorted({url for url in urls if urls.count(url) > 1}):
        raise CanaryError(f"{path}: {twice[0]} stands in it twice; each canary has a URL of its own")
    return canaries


def _canary(path: Path, number: int, entry: Any) -> Canary:
    where = f"{path}, canary {number}"
    if not isinstance(entry, dict) or not NEEDED <= entry.keys() <= ALLOWED:
        raise CanaryError(f"{where}: found {entry!r:.120}; a mapping with some keys of {sorted(ALLOWED)} is wanted")
    file = path.parent / entry["file"]
    if not file.is_file():
        raise CanaryError(f"{where}: its file {file} is missing")
    if bool(entry["step"]) != bool(entry.get("reason")):
        raise CanaryError(f"{where}: a canary that a step drops has a reason, one that is kept (step: '') has none")
    page = Page(
        url=entry["url"],
        content=file.read_bytes(),
        status=entry.get("status", 200),
        content_type=entry.get("content_type", "text/html; charset=utf-8"),
        location=entry.get("location", ""),
    )
    texts = {key: tuple(entry.get(key) or ()) for key in ("must_contain", "must_not_contain")}
    return Canary(page, entry["step"], entry.get("reason", ""), texts["must_contain"], texts["must_not_contain"])


def mixed(pages: Sequence[Page], canaries: Sequence[Canary]) -> list[Page]:
    """The pages with the canaries spread evenly among them."""
    placed = {(index + 1) * len(pages) // (len(canaries) + 1) + index: one.page for index, one in enumerate(canaries)}
    left = iter(pages)
    return [placed[index] if index in placed else next(left) for index in range(len(pages) + len(canaries))]


def fates(canaries: Sequence[Canary], dump: str) -> pa.Table:
    """What becomes of each canary, by doc_id, as `canaries.parquet` holds it."""
    rows = [
        {
            "doc_id": document_id(dump, canary.page.record_id),
            "url": canary.page.url,
            "step": canary.step,
            "reason": canary.reason,
            "must_contain": list(canary.must_contain),
            "must_not_contain": list(canary.must_not_contain),
        }
        for canary in canaries
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)
