"""Canaries: hand-written pages whose fate is known, mixed into a crawl to show that the filters are awake.

`canaries.yaml` in their folder lists for each page its URL, its file, and its fate: the step and the reason that drop
it, or no step for a page that is kept, and what its final text must and must not hold. Fates live in that data only;
they are written to `canaries.parquet`, which no filter opens. An entry may also say how the page was crawled:

- `status`, `content_type`, `location`, `headers` (a mapping): of the HTTP message;
- `encoding`: `gzip`, `chunked`, or `chunked, gzip`: the body is coded so, and the message says so;
- `body: broken`: the last half of the coded body is not what was sent;
- `record`: `revisit` or `resource`; `damage`: what is wrong with the record (`warc_writer.DAMAGES`);
- `repeat`: how often the file's lines between REPEATED and AGAIN stand in the page, `{n}` being the number of each.

`instead` names another fate for an extractor whose text cannot show the reason: `{trafilatura: {step, reason}}`. An
entry with the keys `step`, `reason` and `without` plants nothing: it says why no page can show that reason.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from llm_dag.curation.python_docs.site import Page
from llm_dag.curation.warc_writer import DAMAGES, NAMELESS, RECORDS, STATUS, Planted
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
        pa.field("instead", pa.list_(pa.struct([(name, pa.string()) for name in ("extractor", "step", "reason")]))),
    ]
)
NEEDED = {"url", "file", "step"}
CRAWLED = {"status", "content_type", "location", "headers", "encoding", "body", "record", "damage", "repeat"}
ALLOWED = NEEDED | CRAWLED | {"reason", "instead", "must_contain", "must_not_contain", "why"}
WITHOUT = {"step", "reason", "without"}
CODINGS = {"gzip": "Content-Encoding", "chunked": "Transfer-Encoding"}
CHOICES = {
    "status": tuple(STATUS),
    "encoding": ("gzip", "chunked", "chunked, gzip"),
    "body": ("broken",),
    "record": RECORDS,
    "damage": tuple(DAMAGES),
}
REPEATED, AGAIN = b"<!-- repeated -->", b"<!-- again -->"
CHUNK = 1_000  # bytes of a chunk


class CanaryError(StoreError):
    """A canary that is not written as it should be: the message names its file, what was found, what is wanted."""


@dataclass(frozen=True)
class Canary:
    """A page and its fate: `step` is empty for a page that every step keeps."""

    page: Planted
    step: str
    reason: str
    must_contain: tuple[str, ...]
    must_not_contain: tuple[str, ...]
    instead: tuple[dict[str, str], ...]


def read(folder: Path) -> list[Canary]:
    """The canaries of a folder, in the order of their list.

    Raises:
        CanaryError: the list is missing or malformed, a page's file is missing, or a URL stands twice.
    """
    path = folder / "canaries.yaml"
    planted = [(number, entry) for number, entry in _entries(folder) if "without" not in entry]
    canaries = [_canary(path, number, entry) for number, entry in planted]
    urls = [canary.page.url for canary in canaries]
    if twice := sorted({url for url in urls if urls.count(url) > 1}):
        raise CanaryError(f"{path}: {twice[0]} stands in it twice; each canary has a URL of its own")
    return canaries


def without(folder: Path) -> dict[tuple[str, str], str]:
    """(step, reason) → why no page can show it, as the list says. Raises CanaryError as `read` does."""
    said = [entry for _, entry in _entries(folder) if "without" in entry]
    return {(entry["step"], entry["reason"]): entry["without"] for entry in said}


def _entries(folder: Path) -> list[tuple[int, dict[str, Any]]]:
    path = folder / "canaries.yaml"
    if not path.is_file():
        raise CanaryError(f"source.canaries={folder}: no canaries.yaml in it")
    try:
        entries = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CanaryError(f"{path}: no YAML ({' '.join(str(error).split())}); a list of canaries is wanted") from None
    if not isinstance(entries, list):
        raise CanaryError(f"{path}: holds a {type(entries).__name__}; a list of canaries is wanted")
    for number, entry in enumerate(entries, 1):
        where = f"{path}, canary {number}: found {entry!r:.120}"
        if not isinstance(entry, dict):
            raise CanaryError(f"{where}; a mapping with some keys of {sorted(ALLOWED)} is wanted")
        if "without" in entry and (entry.keys() != WITHOUT or not all(map(str, entry.values()))):
            raise CanaryError(f"{where}; exactly the keys {sorted(WITHOUT)} are wanted, each with some text")
        if "without" not in entry and not NEEDED <= entry.keys() <= ALLOWED:
            raise CanaryError(f"{where}; a mapping with some keys of {sorted(ALLOWED)} is wanted")
    return list(enumerate(entries, 1))


def _canary(path: Path, number: int, entry: dict[str, Any]) -> Canary:
    where = f"{path}, canary {number}"
    file = path.parent / entry["file"]
    if not file.is_file():
        raise CanaryError(f"{where}: its file {file} is missing")
    if bool(entry["step"]) != bool(entry.get("reason")):
        raise CanaryError(f"{where}: a canary that a step drops has a reason, one that is kept (step: '') has none")
    for key, choices in CHOICES.items():
        if key in entry and entry[key] not in choices:
            raise CanaryError(f"{where}: {key}: {entry[key]!r} is not one of {list(choices)}")
    encoding = entry.get("encoding", "")
    if entry.get("body") and not encoding:
        raise CanaryError(f"{where}: body: broken breaks a coded body; an encoding is wanted beside it")
    content = file.read_bytes()
    if "repeat" in entry:
        content = _repeated(content, entry["repeat"], where)
    headers = {str(name): str(value) for name, value in (entry.get("headers") or {}).items()}
    for coding in filter(None, reversed(encoding.split(", "))):
        content = _coded(content, coding)
        headers[CODINGS[coding]] = coding
    if entry.get("body"):
        content = content[: len(content) // 2] + bytes(255 - byte for byte in content[len(content) // 2 :])
    page = Planted(
        url=entry["url"],
        content=content,
        status=entry.get("status", 200),
        content_type=entry.get("content_type", "text/html; charset=utf-8"),
        location=entry.get("location", ""),
        record=entry.get("record", "response"),
        headers=tuple(headers.items()),
        damage=entry.get("damage", ""),
    )
    texts = {key: tuple(entry.get(key) or ()) for key in ("must_contain", "must_not_contain")}
    instead = tuple({"extractor": name, **fate} for name, fate in (entry.get("instead") or {}).items())
    return Canary(page, entry["step"], entry.get("reason", ""), **texts, instead=instead)


def _repeated(content: bytes, times: Any, where: str) -> bytes:
    before, first, rest = content.partition(REPEATED)
    part, last, after = rest.partition(AGAIN)
    if not isinstance(times, int) or times < 1 or not first or not last:
        raise CanaryError(f"{where}: repeat: {times!r}; a whole number, and {REPEATED!r} and {AGAIN!r} in its file")
    return b"".join([before, *(part.replace(b"{n}", b"%d" % number) for number in range(1, times + 1)), after])


def _coded(content: bytes, coding: str) -> bytes:
    if coding == "gzip":
        packer = zlib.compressobj(wbits=31)
        return packer.compress(content) + packer.flush()
    chunks = [content[start : start + CHUNK] for start in range(0, len(content), CHUNK)]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])


def mixed(pages: Sequence[Page], canaries: Sequence[Canary]) -> list[Page]:
    """The pages with the canaries spread evenly among them."""
    placed = {(index + 1) * len(pages) // (len(canaries) + 1) + index: one.page for index, one in enumerate(canaries)}
    left = iter(pages)
    return [placed[index] if index in placed else next(left) for index in range(len(pages) + len(canaries))]


def fates(canaries: Sequence[Canary], dump: str, places: Mapping[str, tuple[str, int]]) -> pa.Table:
    """What becomes of each canary, by doc_id, as `canaries.parquet` holds it.

    `places` gives of each URL the digest of the WARC file and the offset of the record: a record whose damage hides its
    id is known by its place.
    """
    rows = [
        {
            "doc_id": document_id(dump, *_name(canary.page, places)),
            "url": canary.page.url,
            "step": canary.step,
            "reason": canary.reason,
            "must_contain": list(canary.must_contain),
            "must_not_contain": list(canary.must_not_contain),
            "instead": list(canary.instead),
        }
        for canary in canaries
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _name(page: Planted, places: Mapping[str, tuple[str, int]]) -> tuple[str | int, ...]:
    return places[page.url] if page.damage in NAMELESS else (page.record_id,)
