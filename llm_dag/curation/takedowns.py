"""What was asked to be taken out: rules by URL, domain or pattern, read from a file and versioned as an artifact.

The file is a YAML list of mappings, or JSON lines. A rule has one of `url`, `domain` and `pattern` (a URL with `*` for
any characters), and says why (`reason`), who asked (`who`) and on which day (`when`, YYYY-MM-DD). Rules and pages are
compared as addresses (`addresses.py`): the scheme, the fragment and the spelling do not count. A domain stands for its
subdomains too.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from llm_dag.config.places import resolve
from llm_dag.curation.addresses import Address, address, host_name
from llm_dag.curation.text_files import read_utf8
from llm_dag.ledger import write_table
from llm_dag.store.errors import StoreError
from llm_dag.store.work import Work

KINDS = ("url", "domain", "pattern")
TOLD = ("reason", "who", "when")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")  # what YAML does not allow
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


class Rules:
    """Rules made ready to be asked: one look-up for all domains, one for all URLs, and a match for each pattern."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._domains: dict[str, int] = {}
        self._urls: dict[str, int] = {}
        self._patterns: list[tuple[int, re.Pattern[str]]] = []
        for number, rule in enumerate(rules):
            if rule.kind == "domain":
                self._domains.setdefault(host_name(rule.value), number)
            elif rule.kind == "url":
                self._urls.setdefault(str(address(rule.value)), number)
            else:
                parts = map(re.escape, pattern_address(rule.value).split("*"))
                self._patterns.append((number, re.compile(".*".join(parts))))

    def naming(self, page: Address) -> Rule | None:
        """The first rule, in the order of the file, that names a page."""
        labels, url = page.host.split("."), str(page)
        above = (".".join(labels[start:]) for start in range(len(labels)))
        numbers = [self._domains[name] for name in above if name in self._domains]
        numbers += [self._urls[url]] if url in self._urls else []
        numbers += [number for number, pattern in self._patterns if pattern.fullmatch(url)][:1]
        return self._rules[min(numbers)] if numbers else None


def pattern_address(pattern: str) -> str:
    """A pattern in the form of the addresses that it is matched with; empty where its host cannot be read.

    `*` may stand for the scheme too; a pattern that ends in `*` before its path begins says nothing about the path.
    """
    text = re.sub(r"^(?:[a-z*][a-z0-9+.*-]*:)?//", "", pattern, flags=re.IGNORECASE)
    authority = re.split(r"[/\\?#]", text, maxsplit=1)[0]
    found = address(f"//{text}")
    if found is None or any("*" in label and not label.isascii() for label in authority.split(".")):
        return ""  # of a part like `bü*` nobody knows the xn-- form
    return f"//{found.host}{found.port}" if text == authority and text.endswith("*") else str(found)


def build(work: Work) -> None:
    """Write `rules.parquet`: kind, value, reason, who, when, in the order of the file."""
    rules = list(read_rules(resolve(work.config.rules)))
    write_table(pa.Table.from_pylist([vars(rule) for rule in rules], schema=SCHEMA), work.data("rules.parquet"))
    work.metrics |= {"rules": len(rules)}


def committed(path: Path) -> list[Rule]:
    """The rules of a committed artifact's `rules.parquet`."""
    return [Rule(**row) for row in pq.read_table(path, partitioning=None).to_pylist()]


def read_rules(path: Path) -> Iterator[Rule]:
    """The rules of a file. Raises RuleError for the first that is malformed."""
    if not path.is_file():
        raise RuleError(f"curation.takedowns.rules={path}: no such file")
    entries = _json_lines(path) if path.suffix == ".jsonl" else _yaml(path)
    for line, entry in entries:
        yield _rule(f"{path}, line {line}", entry)


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise RuleError(f"{path}, line {number}: not JSON ({error}); one rule a line is wanted") from None


def _yaml(path: Path) -> Iterator[tuple[int, Any]]:
    text = _text(path)
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


def _text(path: Path) -> str:
    text = read_utf8(path, "rules are", RuleError)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if found := _CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise RuleError(f"{path}, line {line}: found the control character {found[0]!r}; rules are text without any")
    return text


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
        if set(value) & set("/:*") or not host_name(value):
            raise RuleError(f"{where}: domain is {value!r}; a host is wanted (example.org, its subdomains included)")
    elif not (address(value) if kinds[0] == "url" else pattern_address(value)):
        raise RuleError(
            f"{where}: {kinds[0]} is {value!r}; a URL with a host is wanted (https://example.org/page; in a pattern, a "
            "part of the host that has a * is written in ASCII)"
        )
    return Rule(kinds[0], value, reason, who, when)


def _told(where: str, key: str, value: Any) -> str:
    if isinstance(value, datetime.date):
        return value.isoformat()
    if not isinstance(value, str) or not value.strip():
        raise RuleError(f"{where}: {key} is {value!r}; some text is wanted")
    return value.strip()
