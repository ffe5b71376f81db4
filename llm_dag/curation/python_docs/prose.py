"""Docstrings and reference texts as blocks: paragraphs, code, lists, definitions, headings.

Python's texts are wrapped by hand and marked up in three styles (plain, reStructuredText, numpy's or Google's
sections). Paragraphs are unwrapped into single lines; doctests and indented examples stay code. One pass.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

SECTIONS = {
    "args", "arguments", "attributes", "example", "examples", "keyword args", "keyword arguments", "methods", "note",
    "notes", "other parameters", "parameters", "params", "raises", "receives", "references", "return", "returns",
    "see also", "shape", "todo", "warning", "warnings", "warns", "yield", "yields",
}  # fmt: skip
ARGUMENT_SECTIONS = {
    "args", "arguments", "keyword args", "keyword arguments", "other parameters", "parameters", "params",
}  # fmt: skip
_BULLET = re.compile(r"^(?:[-*•+]|\(?\d{1,2}[.)]|\(?[a-z][)])\s+(?=\S)")
_UNDERLINE = re.compile(r"^([=\-~^\"'*#+])\1{2,}$")
_RULE = re.compile(r"^ *(?:=+ +[= ]+|\+[-=+]+\+|-+ +[- ]+)$")  # of a table
_FIELD = re.compile(r"^:(?P<role>[a-z]+)(?:\s+[\w.\[\], |]+?)??(?:\s+(?P<name>\*{0,2}\w[\w.]*))?:(?:\s+|$)")
_FIELD_ROLES = {
    **dict.fromkeys(("param", "parameter", "arg", "argument", "key", "keyword"), "argument"),
    **dict.fromkeys(("raise", "raises", "except", "exception"), "raises"),
    **dict.fromkeys(("return", "returns"), "returns"),
    **dict.fromkeys(("var", "ivar", "cvar"), "attribute"),
    **dict.fromkeys(("type", "rtype", "meta", "vartype"), ""),  # said again by the text, or markup
}
_DIRECTIVE = re.compile(r"^\.\. +([\w-]+):: *(.*)$")
_ROLE = re.compile(r":[\w:+-]+:`~?!?\.?([^`<]*?)(?:\s*<[^`>]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`>]*>`_{1,2}")
_LITERAL = re.compile(r"``?([^`]+)``?_?")
_QUOTED = re.compile(r"(?<!\w)(['\"])(\w[\w.*-]*(?:\(\))?)\1(?!\w)")
_EMPTY_CALL = re.compile(r"(?<=\w)\(\)(?!\.\w)")
_DASHED = re.compile(r"^\*{0,2}[A-Za-z_][\w.]*(?:\([^)]*\))?(?:, \w+){0,3} +--?-? +(?=\S)")
_PARAMETER = re.compile(r"^(\*{0,2}\w[\w, *.]*?)\s+:\s+(\S.*)$")
_ARGUMENT = re.compile(r"^(\*{0,2}\w[\w.]*)\s*(\([^()]*(?:\([^()]*\)[^()]*)*\))?\s*:\s+(?=\S)")
_VERSIONS = {
    "versionadded": "New in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
}
_CODE_MARK = re.compile(r"^(?:>>>|\$ |\.\.\. |import |from \w+ import|def |class |@\w|#|[\w.]+\(.*\)$|[\w., ]+ = )")


@dataclass(frozen=True)
class Block:
    """`kind` is paragraph, code, item, definition or heading; `term` is what a definition defines."""

    kind: str
    text: str
    term: str = ""


def blocks(text: str, examples_are_indented: bool = False) -> list[Block]:
    """The blocks of a docstring, in order; in reference texts examples are known by their indent of three."""
    return list(_blocks(inspect.cleandoc(text.expandtabs()).splitlines(), examples_are_indented))


def first_sentence(text: str) -> str:
    """The first sentence of the first paragraph; empty if the text does not start with one."""
    for block in blocks(text)[:1]:
        if block.kind == "paragraph":
            found = re.match(r"(.+?[.!?])(?:\s|$)(?!\w\.)", block.text)
            return found[1] if found else block.text
    return ""


def plain(text: str) -> str:
    """A line of prose without inline marks: names stand bare, neither quoted nor with an empty pair of parentheses."""
    text = _ROLE.sub(r"\1", text)
    text = _LINK.sub(r"\1", text)
    text = _LITERAL.sub(r"\1", text)
    text = _QUOTED.sub(r"\2", text)
    text = _EMPTY_CALL.sub("", text)
    text = re.sub(r"(?<![\w*])\*\*(?=\S)([^*]+?)(?<=\S)\*\*(?!\w)", r"\1", text)
    return re.sub(r"(?<![\w*])\*(?=\w)([^*\s][^*]*?)(?<=\w)\*(?![\w*])", r"\1", text)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _chunks(lines: list[str]) -> Iterator[list[str]]:
    """Runs of lines between blank ones."""
    chunk: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            chunk.append(line.rstrip())
        elif chunk:
            yield chunk
            chunk = []


def _blocks(lines: list[str], examples_are_indented: bool) -> Iterator[Block]:
    section, literal = "", -1  # the indent that an example after `::` must exceed; -1 outside of one
    code: list[str] = []
    for chunk in _chunks(lines):
        level = _indent(chunk[0])
        if (literal >= 0 and level > literal) or (examples_are_indented and level in (3, 5, 7)):
            code += ([""] if code else []) + chunk
            continue
        if code:
            yield Block("code", _dedented(code))
            code = []
        literal = -1
        for block in _chunk(chunk, section):
            if block.kind == "heading":
                section = block.text.lower()
            yield block
        if chunk[-1].endswith("::"):
            literal = _indent(chunk[-1])
    if code:
        yield Block("code", _dedented(code))


def _chunk(chunk: list[str], section: str) -> Iterator[Block]:
    level = min(_indent(line) for line in chunk)
    lines = [line[level:] for line in chunk]
    if len(lines) > 1 and _UNDERLINE.match(lines[1].strip()) and len(lines[0]) < 80:
        yield Block("heading", plain(lines[0].strip()))
        section, lines = lines[0].strip().lower(), lines[2:]
    elif (name := lines[0].rstrip(":").strip().lower()) in SECTIONS and (
        len(lines) == 1 or lines[0].rstrip().endswith(":")
    ):
        yield Block("heading", lines[0].strip().rstrip(":"))
        section, lines = name, _dedented_lines(lines[1:])
    if not lines:
        return
    directive = _DIRECTIVE.match(lines[0])
    if directive:
        yield from _directive(directive[1], directive[2], _dedented_lines(lines[1:]))
    elif lines[0].startswith(">>>") or any(map(_RULE.match, lines)) or _is_code(lines, level, section):
        yield Block("code", "\n".join(lines))
    else:
        yield from _prose(lines, section)


def _directive(name: str, argument: str, body: list[str]) -> Iterator[Block]:
    body = [line for line in body if not re.match(r"^:[\w-]+:(?:\s|$)", line)]
    if name in _VERSIONS:
        yield Block("paragraph", plain(_joined([f"{_VERSIONS[name]} {argument}{':' if body else '.'}", *body])))
    elif name in ("code-block", "code", "math", "testcode", "doctest", "sourcecode", "prompt", "parsed-literal"):
        if body or argument:
            yield Block("code", "\n".join(body) if body else argument)
    elif name in ("note", "warning", "tip", "important", "caution", "attention", "hint", "seealso", "admonition"):
        label = "See also" if name == "seealso" else name.capitalize()
        text = _joined([argument, *body] if argument else body)
        if text:
            yield Block("paragraph", f"{label}: {plain(text)}")


def _is_code(lines: list[str], level: int, section: str) -> bool:
    """An indented run that reads like code, a table or a diagram rather than a wrapped sentence."""
    if level == 0 or section in ("parameters", "args", "arguments", "returns", "raises", "yields"):
        return False
    if _BULLET.match(lines[0]):
        return False
    marked = sum(bool(_CODE_MARK.match(line)) for line in lines)
    wide = sum("  " in line.strip() for line in lines)
    return marked * 2 >= len(lines) or wide * 2 > len(lines) or any(">>>" in line for line in lines)


def _prose(lines: list[str], section: str) -> Iterator[Block]:
    """Paragraphs, list items and definitions of a run of lines; a doctest inside it stays code."""
    for index, line in enumerate(lines):
        if index and line.lstrip().startswith(">>>"):
            yield from _prose(lines[:index], section)
            yield Block("code", _dedented(lines[index:]))
            return
    for part in _parts(lines, section):
        text = _joined(part)
        if bullet := _BULLET.match(text):
            yield Block("item", plain(text[bullet.end() :]))
        elif (found := _FIELD.match(text)) and found["role"] in _FIELD_ROLES:
            if role := _FIELD_ROLES[found["role"]]:
                yield Block("definition", plain(text[found.end() :]), f"{role} {found['name'] or ''}".strip())
        elif dashed := _DASHED.match(text):
            yield Block("definition", plain(text[dashed.end() :]), plain(dashed[0].rstrip(" -")))
        elif section and (parameter := _PARAMETER.match(part[0])):
            yield Block("definition", plain(_joined(part[1:])) or plain(parameter[2]), _term(section, parameter[1]))
        elif section and (argument := _ARGUMENT.match(text)) and argument[1].lower() not in SECTIONS:
            yield Block("definition", plain(text[argument.end() :]), _term(section, argument[1]))
        else:
            yield Block("paragraph", plain(re.sub(r"\s*::$", ":", text)))


def _term(section: str, name: str) -> str:
    """What a definition defines, in words: `argument a` where arguments are described."""
    if section in ARGUMENT_SECTIONS:
        return f"arguments {name}" if "," in name else f"argument {name}"
    return f"raises {name}" if section == "raises" else name


def _parts(lines: list[str], section: str) -> list[list[str]]:
    """Lines grouped into what was written as one paragraph, item or definition."""
    parts: list[list[str]] = []
    for line in lines:
        marks: list[object] = [_BULLET.match(line.strip()), _FIELD.match(line), _DASHED.match(line)]
        if section and parts and not line.startswith(" "):
            marks += [_PARAMETER.match(line), _ARGUMENT.match(line), parts[-1][-1].startswith(" ")]
        if not parts or any(marks):
            parts.append([])
        parts[-1].append(line)
    return parts


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _dedented_lines(lines: list[str]) -> list[str]:
    level = min((_indent(line) for line in lines if line.strip()), default=0)
    return [line[level:] for line in lines]


def _dedented(lines: list[str]) -> str:
    return "\n".join(_dedented_lines(lines))
