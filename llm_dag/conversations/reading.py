"""Conversations from JSONL files.

The hand-written ones (`{"subject", "kind", "messages"}` a line) are part of the project, so any fault is an error that
names file and line. Of a user's own files (`{"messages"}` a line; `subject` and `kind` may stand there too) a bad line
is reported and skipped; a file without one good line is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_dag.conversations.dialogue import Dialogue, fault, normal, parse_messages
from llm_dag.store.canonical import named_files
from llm_dag.tasks.jsonl import BadFile, bad_line, parse_object, read_lines, read_objects

OWN_KIND = "file"


@dataclass(frozen=True)
class BadRecord:
    """A line that was skipped: where it stands and why."""

    where: str
    fault: str


def load_handwritten(pattern: str) -> list[Dialogue]:
    """The conversations of a file or glob, in order of file names and lines.

    Raises:
        BadFile: a malformed line, a subject or kind that is missing, or a conversation that stood there before.
    """
    conversations: list[Dialogue] = []
    seen: dict[tuple[str, ...], str] = {}
    for name, path in named_files(pattern, "conversations.handwritten"):
        for line, record in read_objects(path):
            for key in ("subject", "kind"):
                if not isinstance(record.get(key), str) or not record[key].strip():
                    raise bad_line(path, line, f'"{key}": {record.get(key)!r}', f'a text under "{key}"')
            if found := fault(record.get("messages")):
                raise BadFile(f"{path}:{line}: {found}")
            made = _conversation(record, record["subject"], record["kind"], f"{name}:{line}")
            asked = tuple(normal(message.content) for message in made.messages if message.role != "assistant")
            if asked in seen:
                raise bad_line(path, line, f"the questions of {seen[asked]} again", "each question once")
            seen[asked] = made.where
            conversations.append(made)
    return conversations


def read_files(patterns: Iterable[str]) -> tuple[list[Dialogue], list[BadRecord]]:
    """The conversations of a user's files or globs, and the lines that hold none.

    A conversation without a subject has its first question, in normal form, as subject: so equal questions are split
    together. Raises BadFile for a file in which no line is good, naming the first fault.
    """
    conversations: list[Dialogue] = []
    skipped: list[BadRecord] = []
    for pattern in patterns:
        for name, path in named_files(pattern, "conversations.files"):
            good, bad = _read_file(path, name)
            if not good:
                first = f"{bad[0].where}: {bad[0].fault}" if bad else "it is empty"
                raise BadFile(f"{path}: found no conversation in it ({first}); wanted one object a line")
            conversations += good
            skipped += bad
    return conversations, skipped


def _read_file(path: Path, name: str) -> tuple[list[Dialogue], list[BadRecord]]:
    good: list[Dialogue] = []
    bad: list[BadRecord] = []
    for line, text in read_lines(path):
        where = f"{name}:{line}"
        try:
            record = parse_object(text, path, line)
        except BadFile:
            bad.append(BadRecord(where, "the line is not one JSON object"))
            continue
        subject, kind = record.get("subject", ""), record.get("kind", OWN_KIND)
        if found := fault(record.get("messages")):
            bad.append(BadRecord(where, found))
        elif not isinstance(subject, str) or not isinstance(kind, str) or not kind.strip():
            bad.append(BadRecord(where, '"subject" or "kind" is not a text'))
        else:
            made = _conversation(record, subject, kind, where)
            good.append(made if subject.strip() else _conversation(record, made.questions[0], kind, where))
    return good, bad


def _conversation(record: dict[str, Any], subject: str, kind: str, where: str) -> Dialogue:
    return Dialogue(subject.strip(), kind.strip(), parse_messages(record["messages"]), where)
