"""What a page of Python documentation says about functions and classes, read from its plain text.

Two places of a page are understood; any other text simply gives nothing.

- An object's page says `os.path.join is a function of the module os.path.`, then `It takes the arguments a and *p.`
  (or `no arguments`), then the description begins.
- A page that lists members has the signature `os.path.join(a, *p)` on a line of its own, and below it one line that
  says what the member does.

Cost: one pass over the lines of a page, no backtracking across lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NAME = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
LEAD = re.compile(
    rf"(?P<name>{NAME}) is an? (?P<what>[a-z][a-z ]{{0,30}}?) of the (?P<owner_kind>module|class) (?P<owner>{NAME})\."
    r"(?=\s|$)"
)
TAKES = re.compile(r"It takes (?P<arguments>no arguments|the arguments? [^.]{1,300})\.(?=\s|$)")
SIGNATURE = re.compile(rf"(?P<name>{NAME}\.[A-Za-z_]\w*)\((?P<inside>.{{0,400}})\)(?: -> .{{1,100}})?")
CLASS_PAGE = re.compile(rf"(?P<name>{NAME}) is an? [a-z ]{{0,20}}class of the module {NAME}\.(?=\s|$)")
SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|resp|no|fig|approx)|\.\.|\b[A-Z])\Z", re.IGNORECASE)
LONGEST_SUMMARY = 4  # lines that a first sentence may span


@dataclass(frozen=True)
class Description:
    """What a page says about one object. `arguments` is `no arguments`, `the arguments a and b`, or empty: not said."""

    name: str  # qualified: os.path.join
    owner: str  # os.path
    owner_kind: str  # module or class
    arguments: str
    summary: str  # its first sentence; empty where there is none


def descriptions(text: str) -> Iterator[Description]:
    """What a page describes: the object that it is about, then the members that it lists."""
    lines = [line.strip() for line in text.splitlines()]
    lead = page_object(lines)
    if lead:
        yield lead
    yield from listed_members(lines, None if lead is None else lead.name)


def page_object(lines: Sequence[str]) -> Description | None:
    """The object that a page is about, if its text says so in a sentence."""
    for index, line in enumerate(lines):
        found = LEAD.match(line)
        if not found or not found["name"].startswith(found["owner"] + "."):
            continue
        rest = [line[found.end() :].strip(), *lines[index + 1 :]]
        arguments, below = _arguments(rest)
        return Description(found["name"], found["owner"], found["owner_kind"], arguments, first_sentence(below))
    return None


def listed_members(lines: Sequence[str], page_name: str | None) -> Iterator[Description]:
    """The members of a page's lists: a signature on a line, the summary on the next line that is not empty."""
    classes = {found["name"] for line in lines if (found := CLASS_PAGE.match(line))}
    for index, line in enumerate(lines):
        found = SIGNATURE.fullmatch(line)
        if not found or found["name"] == page_name:
            continue
        below = [other for other in lines[index + 1 : index + 3] if other][:1]
        if not below or SIGNATURE.fullmatch(below[0]) or LEAD.match(below[0]):
            continue
        owner = found["name"].rpartition(".")[0]
        kind = "class" if owner in classes or owner.rpartition(".")[2][:1].isupper() else "module"
        arguments = argument_sentence(found["inside"], method=kind == "class")
        yield Description(found["name"], owner, kind, arguments, first_sentence(below))


def first_sentence(lines: Sequence[str]) -> str:
    """The first sentence of a paragraph, in one line and with a full stop; empty if the lines hold no paragraph."""
    paragraph: list[str] = []
    for line in lines:
        if not line and paragraph:
            break
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


def argument_sentence(inside: str, method: bool) -> str:
    """`the arguments a and *p` for the inside of a signature, `no arguments`, or empty where it cannot be read."""
    names = argument_names(inside)
    if names is None:
        return ""
    if method and names[:1] in (["self"], ["cls"]):
        names = names[1:]
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


def _arguments(lines: Sequence[str]) -> tuple[str, list[str]]:
    """(what the next sentence says about arguments, the lines after it); empty where it says nothing."""
    for index, line in enumerate(lines):
        if not line:
            continue
        found = TAKES.match(line)
        if not found:
            return "", list(lines[index:])
        return found["arguments"], [line[found.end() :].strip(), *lines[index + 1 :]]
    return "", []
