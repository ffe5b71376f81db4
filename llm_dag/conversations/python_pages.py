"""What a page of Python documentation says about functions and classes, read from its plain text.

Two places of a page are understood; any other text simply gives nothing.

- An object's page opens with `os.path.join is a function of the module os.path. It takes the arguments a and *p.` (or
  `no arguments`), perhaps with `It is also known as posixpath.join.`; then the description begins.
- The page of a module (`os.path is a module.`) or of a class lists members: `os.path.join(a, *p)`, a dash, and what the
  member does, on one line, or with a line break before or instead of the dash, as extractors differ.

Built-in functions stand without their module: `len is a function of the module builtins.` Cost: one pass over the lines
of a page, no backtracking across lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BUILTINS = "builtins"
NAME = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
LEAD = re.compile(
    rf"(?P<name>{NAME}) is an? (?P<what>[a-z][a-z ]{{0,30}}?) of the (?P<owner_kind>module|class) (?P<owner>{NAME})\."
    r"(?=\s|$)"
)
MODULE_LEAD = re.compile(rf"(?P<name>{NAME}) is a module\.(?=\s|$)")
TAKES = re.compile(r"It takes (?P<arguments>no arguments|the arguments? [^.]{1,300})\.(?=\s|$)")
ALIAS = re.compile(rf"It is also known as {NAME}\.(?=\s|$)")
CALL = re.compile(rf"(?P<name>{NAME})(?:\((?P<inside>.{{0,400}}?)\)(?: -> [^—]{{1,100}})?)?")
ENTRY = re.compile(rf"(?P<call>{CALL.pattern})\s?—\s?(?P<text>\S.*)")
SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|resp|approx)|\.\.)\Z", re.IGNORECASE)
LONGEST_SUMMARY = 4  # lines that a first sentence may span


@dataclass(frozen=True)
class Description:
    """What a page says about one object. `arguments` is `no arguments`, `the arguments a and b`, or empty: not said."""

    name: str  # qualified: os.path.join
    owner: str  # os.path
    owner_kind: str  # module or class
    arguments: str
    summary: str  # its first sentence; empty where there is none
    sort: str  # class, function, method, property, ...; of a listed member: what its name and owner suggest
    own_page: bool  # read from the object's own page, not from a list


@dataclass(frozen=True)
class Owner:
    """The module or class that a page is about."""

    name: str
    kind: str

    def has(self, name: str) -> bool:
        """Whether a qualified name is that of a direct member."""
        if self.name == BUILTINS:
            return "." not in name
        return name.rpartition(".")[0] == self.name


def descriptions(text: str) -> Iterator[Description]:
    """What a page describes: the object that it is about, then the members that it lists."""
    lines = [line.strip() for line in text.splitlines()]
    for index, line in enumerate(lines):
        if found := MODULE_LEAD.match(line):
            yield from listed_members(lines[index + 1 :], Owner(found["name"], "module"))
            return
        found = LEAD.match(line)
        if found and Owner(found["owner"], found["owner_kind"]).has(found["name"]):
            yield _opening(found, lines[index + 1 :])
            if found["what"] == "class":
                yield from listed_members(lines[index + 1 :], Owner(found["name"], "class"))
            return


def listed_members(lines: Sequence[str], owner: Owner) -> Iterator[Description]:
    """The direct members of `owner` that the lines list, each with its summary."""
    for index, line in enumerate(lines):
        if entry := ENTRY.fullmatch(line):
            call, below = CALL.fullmatch(entry["call"]), [entry["text"]]
        else:
            call = CALL.fullmatch(line)
            below = [other for other in lines[index + 1 : index + 3] if other][:1]
            if call and call["inside"] is None and not "".join(below).startswith("—"):
                continue  # a name alone, and no dash below it, is a heading
        if not call or not owner.has(call["name"]) or not below or CALL.fullmatch(below[0]):
            continue
        arguments = "" if call["inside"] is None else argument_sentence(call["inside"])
        summary = first_sentence([below[0].removeprefix("—").strip()])
        yield Description(
            call["name"], owner.name, owner.kind, arguments, summary, _likely_sort(call["name"], owner), False
        )


def first_sentence(lines: Sequence[str]) -> str:
    """The first sentence of a paragraph, in one line and with a full stop; empty if the lines hold no paragraph.

    A paragraph goes on in the next line only where that begins in lower case.
    """
    paragraph: list[str] = []
    for line in lines:
        if paragraph and not line[:1].islower():
            break  # a blank line, or the next paragraph where an extractor leaves no blank line between them
        if line:
            paragraph.append(line)
        text = " ".join(" ".join(paragraph).split())
        for end in SENTENCE_END.finditer(text):
            if not ABBREVIATION.search(text[: end.start()]):
                return text[: end.end()]
        if len(paragraph) == LONGEST_SUMMARY:
            return ""  # no sentence: a table, a list, or code
    text = " ".join(" ".join(paragraph).split())
    return f"{text}." if text and text[-1].isalnum() else ""


def argument_sentence(inside: str) -> str:
    """`the arguments a and *p` for the inside of a signature, `no arguments`, or empty where it cannot be read."""
    names = argument_names(inside)
    if names is None:
        return ""
    if not names:
        return "no arguments"
    if len(names) == 1:
        return f"the argument {names[0]}"
    return f"the arguments {', '.join(names[:-1])} and {names[-1]}"


def argument_names(inside: str) -> list[str] | None:
    """The names of a signature's parameters, stars included; None if brackets or quotes do not match."""
    parts = _top_level(inside)
    if parts is None:
        return None
    names = [part.partition("=")[0].partition(":")[0].strip() for part in parts]
    names = [name for name in names if name not in ("/", "*", "")]
    return names if all(re.fullmatch(r"\*{0,2}[A-Za-z_]\w*", name) for name in names) else None


def _top_level(inside: str) -> list[str] | None:
    """The parts between the commas that stand outside brackets and quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for index, char in enumerate(inside):
        if quote:
            quote = "" if char == quote and inside[index - 1] != "\\" else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:
                return None
        elif char == "," and not depth:
            parts.append(inside[start:index])
            start = index + 1
    return None if quote or depth else [*parts, inside[start:]]


def _opening(lead: re.Match[str], below: Sequence[str]) -> Description:
    """The object whose page opens with `lead`; `below` are the lines after it."""
    rest = lead.string[lead.end() :].strip()
    lines = [rest, *below] if rest else list(below)
    arguments = ""
    while lines:
        line = lines[0]
        if found := TAKES.match(line):
            arguments = found["arguments"]
        else:
            found = ALIAS.match(line)
        if line and not found:
            break
        rest = line[found.end() :].strip() if found else ""
        lines = [rest, *lines[1:]] if rest else lines[1:]
    summary = first_sentence(lines)
    return Description(lead["name"], lead["owner"], lead["owner_kind"], arguments, summary, lead["what"], True)


def _likely_sort(name: str, owner: Owner) -> str:
    if owner.kind == "class":
        return "method"
    return "class" if name.rpartition(".")[2][:1].isupper() else "function"
