"""The manifest of an artifact: what was asked for, what was made, from what, by whom.

It is written last, so its presence means that the artifact is complete. Beyond `INLINE` files the entries lie in a
Parquet file beside it, whose digest the manifest holds.
"""

from __future__ import annotations

import builtins
import dataclasses
import functools
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_dag.store.canonical import content_digest
from llm_dag.store.errors import Corrupt

SCHEMA = 1
INLINE = 10_000


@dataclass(frozen=True)
class Entry:
    """One file: its path in the artifact, sha256, size, and where it lies if not there (a URL, or a store path)."""

    path: str
    digest: str
    bytes: int
    url: str = ""


@dataclass(frozen=True)
class InputRef:
    """An artifact that a step opened."""

    asset: str
    partition: str | None
    recipe: str
    digest: str


@dataclass(frozen=True)
class ShardRecord:
    """One shard of a shard-wise artifact: the key under which it is reused, its files, and its counts."""

    key: str
    files: tuple[str, ...]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Manifest:
    """See the module's text. `recipe_parts` holds code, config and inputs as the recipe hashed them."""

    asset: str
    partition: str | None
    recipe: str
    recipe_parts: Mapping[str, Any]
    config: Mapping[str, Any]
    inputs: Mapping[str, tuple[InputRef, ...]]
    files: Mapping[str, Entry]
    shards: Mapping[str, ShardRecord]
    metrics: Mapping[str, float]
    witness: Mapping[str, Any]
    commit: Mapping[str, Any]
    versions: Mapping[str, str]
    seconds: float
    finished: str
    adopted: Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def digest(self) -> str:
        """The content digest: names and bytes under `data/`."""
        return content_digest((path, entry.digest) for path, entry in self.files.items() if path.startswith("data/"))

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.files.values())

    def to_files(self) -> dict[str, builtins.bytes]:
        """The files that hold this manifest, `manifest.json` among them."""
        values = dataclasses.asdict(self)
        entries = [dataclasses.asdict(entry) for entry in self.files.values()]
        extra = {}
        if len(entries) > INLINE:
            content = _entries_to_parquet(entries)
            name = entries_name(content)
            extra[name] = content
            values["files"] = {"in": name, "count": len(entries)}
        else:
            values["files"] = entries
        values = {"schema": SCHEMA, "content_digest": self.digest, **values}
        return {**extra, "manifest.json": (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()}

    @staticmethod
    def from_bytes(content: builtins.bytes, where: str, entries: builtins.bytes = b"") -> Manifest:
        """Read a manifest. Raises Corrupt, naming `where`, if it is not one or contradicts itself."""
        try:
            values = json.loads(content)
            schema, stated = values.pop("schema"), values.pop("content_digest")
            if schema != SCHEMA:
                raise Corrupt(f"{where}: manifest schema {schema}; this version reads {SCHEMA}")
            rows = values["files"]
            if isinstance(rows, dict):
                if entries_name(entries) != rows["in"]:
                    raise Corrupt(f"{where}: {rows['in']} holds other bytes than its name says")
                rows = _entries_from_parquet(entries)
            values["files"] = {row["path"]: Entry(**row) for row in rows}
            values["inputs"] = {
                name: tuple(InputRef(**reference) for reference in references)
                for name, references in values["inputs"].items()
            }
            values["shards"] = {
                name: ShardRecord(shard["key"], tuple(shard["files"]), shard["metrics"])
                for name, shard in values["shards"].items()
            }
            manifest = Manifest(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Corrupt(f"{where}: not a manifest ({type(error).__name__}: {error})") from error
        if manifest.digest != stated:
            raise Corrupt(f"{where}: its entries have the content digest {manifest.digest}, it states {stated}")
        return manifest


def entries_in(content: bytes) -> str:
    """The name of the file beside a manifest that holds its entries; "" if they are inline, or it is no manifest."""
    try:
        return str(json.loads(content)["files"]["in"])
    except (ValueError, KeyError, TypeError):
        return ""


def entries_name(content: bytes) -> str:
    """The name says what the file holds, so that a manifest cannot be read with the entries of another one."""
    return f"entries-{hashlib.sha256(content).hexdigest()[:16]}.parquet"


def _entries_to_parquet(entries: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(entries), buffer, compression="zstd")
    return buffer.getvalue()


def _entries_from_parquet(content: bytes) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(content)).to_pylist()
    return rows
