"""What was asked to be taken out: rules by URL, domain or pattern, read from a file and versioned as an artifact.

The file is a YAML list of mappings, or JSON lines. A rule has one of `url`, `domain` and `pattern` (a URL with `*` for
any characters), and says why (`reason`), who asked (`who`) and on which day (`when`, YYYY-MM-DD).
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from llm_dag.config.places import resolve
from llm_dag.ledger import write_table
from llm_dag.store.errors import StoreError
from llm_dag.store.work import Work

KINDS = ("url", "domain", "pattern")
TOLD = ("reason", "who", "when")
SCHEMA = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("kind", "value", *TOLD)])


class RuleError(StoreError):
    """A rule that is not written as it should be: the message names file, line, what was found and what is wanted."""


@dataclass(frozen=True)
class Rule:
    """One rule: `kind` says how `value` is compared with a page's URL."""

    kind: str
    value: str
    reason: str
    who: str
    when: str

    def matches(self, url: str) -> bool:
        """Whether the rule takes out the page at `url` (either scheme; the fragment does not count)."""
        if self.kind == "domain":
            return f".{host(url)}".endswith(f".{self.value}")
        if self.kind == "url":
            return normal(url) == normal(self.value)
        parts = [re.escape(part) for part in normal(self.value).split("*")]
        return re.fullmatch(".*".join(parts), normal(url)) is not None


def build(work: Work) -> None:
    """Write `rules.parquet`: kind, value, reason, who, when, in the order of the file."""
    rules = list(read_rules(resolve(work.config.rules)))
    write_table(pa.Table.from_pylist([vars(rule) for rule in rules], schema=SCHEMA), work.data("rules.parquet"))
    work.metrics |= {"rules": len(rules)}


def committed(path: Path) -> list[Rule]:
    """The rules of a committed artifact's `rules.parquet`."""
    return [Rule(**row) for row in pq.read_table(path, partitioning=None).to_pylist()]


def normal(url: str) -> str:
    """A URL without scheme, default port and fragment, its host in lower case."""
    name, rest = _split(url)
    return f"//{name}{rest}"


def host(url: str) -> str:
    """The host of a URL in lower case, without a port; empty where there is none."""
    try:
        return (urlsplit(url if "//" in url else f"//{url}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _split(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
        return (parts.hostname or "") + port, urlunsplit(("", "", parts.path or "/", parts.query, ""))
    except ValueError:
        return "", url


def read_rules(path: Path) -> Iterator[Rule]:
    """The rules of a file. Raises RuleError for the first that is malformed."""
    if not path.is_file():
        raise RuleError(f"curation.takedowns.rules={path}: no such file")
    entries = _json_lines(path) if path.suffix == ".jsonl" else _yaml(path)
    for line, entry in entries:
        yield _rule(f"{path}, line {line}", entry)


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise RuleError(f"{path}, line {number}: not JSON ({error}); one rule a line is wanted") from None


def _yaml(path: Path) -> Iterator[tuple[int, Any]]:
    text = path.read_text("utf-8")
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RuleError(f"{path}, line {line}: not YAML ({error.problem}); a list of rules is wanted") from None
    if values is None:
        return
    if not isinstance(node, yaml.SequenceNode):
        raise RuleError(f"{path}, line 1: found a {type(values).__name__}; a list of rules is wanted")
    for item, value in zip(node.value, values, strict=True):
        yield item.start_mark.line + 1, value


def _rule(where: str, entry: Any) -> Rule:
    if not isinstance(entry, Mapping):
        raise RuleError(f"{where}: found {entry!r:.80}; a mapping with one of {', '.join(KINDS)} is wanted")
    kinds = [kind for kind in KINDS if kind in entry]
    if len(kinds) != 1 or set(entry) - {*KINDS, *TOLD}:
        raise RuleError(
            f"{where}: has the keys {', '.join(map(str, entry))}; exactly one of {', '.join(KINDS)} is wanted, "
            f"and {', '.join(TOLD)}"
        )
    value, reason, who, when = (_told(where, key, entry.get(key)) for key in (kinds[0], *TOLD))
    try:
        datetime.date.fromisoformat(when)
    except ValueError:
        raise RuleError(f"{where}: when is {when!r}; a day as YYYY-MM-DD is wanted") from None
    if kinds[0] == "domain":
        value = value.lower().strip(".")
        if set(value) & set("/:*"):
            raise RuleError(f"{where}: domain is {value!r}; a host is wanted (example.org, its subdomains included)")
    return Rule(kinds[0], value, reason, who, when)


def _told(where: str, key: str, value: Any) -> str:
    if isinstance(value, datetime.date):
        return value.isoformat()
    if not isinstance(value, str) or not value.strip():
        raise RuleError(f"{where}: {key} is {value!r}; some text is wanted")
    return value.strip()
