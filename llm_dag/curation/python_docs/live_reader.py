"""Modules written in C, read by inspecting them: they have no source to parse.

Only modules of the standard library are imported here, and none that acts when it is imported (see `stdlib.py`).
What differs from run to run (memory addresses in default values) is left out of signatures.
"""

from __future__ import annotations

import inspect
import pydoc
import re
from types import ModuleType
from typing import Any

from llm_dag.curation.python_docs.model import Class, Function, Module

_CALL = re.compile(r"^[\w.]+(\([^\n]*\))(?: *(?:->|--?>?) *[^\n]*)?$")
_WORD = re.compile(r"^\*{0,2}[A-Za-z_]\w*$")


def read_live(module: str, name: str) -> Module | None:
    """The C module `module` as documented under `name`; None where this Python is built without it."""
    try:
        found = pydoc.locate(module)
    except pydoc.ErrorDuringImport:
        return None
    if not isinstance(found, ModuleType):
        return None
    documented = Module(name, inspect.getdoc(found) or "")
    for key, value in sorted(vars(found).items()):
        if isinstance(value, type):
            documented.members[key] = _class(key, value)
        elif inspect.isbuiltin(value):
            documented.members[key] = _function(key, value, "function")
    return documented


def _class(name: str, found: type) -> Class:
    doc = found.__dict__.get("__doc__")
    shown, doc = _call(found, doc if isinstance(doc, str) else "", name)
    members = []
    for key, value in sorted(vars(found).items()):
        if key.startswith("_"):
            continue
        if inspect.ismethoddescriptor(value) or isinstance(value, classmethod | staticmethod):
            kind = {classmethod: "class method", staticmethod: "static method"}.get(type(value), "method")
            if type(value).__name__ == "classmethod_descriptor":
                kind = "class method"
            members.append(_function(key, getattr(found, key), kind))
        elif inspect.isdatadescriptor(value):
            members.append(Function(key, "property", None, None, inspect.getdoc(value) or ""))
    bases = tuple(base.__name__ for base in found.__bases__ if base is not object)
    return Class(name, shown, _arguments(shown), doc, bases, tuple(members))


def _function(name: str, found: Any, kind: str) -> Function:
    shown, doc = _call(found, inspect.getdoc(found) or "", name)
    if shown and kind == "method":
        shown = re.sub(r"^\((?:self|\$self)(?:, /)?(?:, )?", "(", shown)
    return Function(name, kind, shown, _arguments(shown), doc)


def _call(found: Any, doc: str, name: str) -> tuple[str | None, str]:
    """The signature as Python tells it, or as the docstring's first lines write it, and the docstring without those."""
    doc = inspect.cleandoc(doc)
    lines = doc.splitlines()
    written: str | None = None
    while lines and (match := _CALL.match(lines[0])) and lines[0].split("(")[0].split(".")[-1] == name:
        written = written or match[1]
        lines.pop(0)
    doc = "\n".join(lines).strip()
    try:
        shown = ", ".join(_parameters(inspect.signature(found)))
        return f"({shown})", doc
    except (ValueError, TypeError, AttributeError, NameError):  # no signature, or one that Python cannot evaluate
        return written, doc


def _parameters(signature: inspect.Signature) -> list[str]:
    shown: list[str] = []
    parameters = list(signature.parameters.values())
    for index, parameter in enumerate(parameters):
        stars = "*" * ((parameter.kind is parameter.VAR_POSITIONAL) + 2 * (parameter.kind is parameter.VAR_KEYWORD))
        starred = any(item.lstrip("*") != item or item == "*" for item in shown)
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            shown.append("*")
        text = stars + parameter.name
        if parameter.default is not parameter.empty:
            default = repr(parameter.default)
            text += "=" + ("..." if default.startswith("<") or " at 0x" in default else default)
        shown.append(text)
        last = index + 1 == len(parameters) or parameters[index + 1].kind is not parameter.POSITIONAL_ONLY
        if parameter.kind is parameter.POSITIONAL_ONLY and last:
            shown.append("/")
    return shown


def _arguments(shown: str | None) -> tuple[str, ...] | None:
    """The names in a signature; None if it is not a plain list of arguments."""
    if shown is None:
        return None
    depth, parts = 0, [""]
    for character in shown[1:-1]:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    names = [part.split("=")[0].strip() for part in parts if part.strip() and part.strip() not in ("*", "/")]
    return tuple(names) if all(_WORD.match(name) for name in names) else None
