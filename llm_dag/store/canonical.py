"""Canonical forms and their digests: equal exactly when the values are equal.

A configuration node becomes plain JSON values: a gate is left out, a field that declares an `as before` value is left
out while it has that value, and a path becomes the names and digests of the files that it names (a URL, where a field
takes one, stays as it is written: nothing here asks the network). A node that reads something of the machine that no
file names says what it found in `measured()`; that enters the recipe under the key `measured`. Anything else is an
error: a value is never turned into text by `str`.
"""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from llm_dag.config.fields import AS_BEFORE, GATE, PATH, URLS
from llm_dag.config.places import is_url, resolve
from llm_dag.store.errors import StoreError, Unhashable

BLOCK = 1 << 20
MEASURED = "measured"  # the key of what a node has measured, beside its fields
UNSET = "???"  # how a configuration writes a value that nobody has given


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces. Raises Unhashable for a value that has no canonical form."""
    return json.dumps(plain(value, "value"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """64 hex digits of sha256 over the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def file_digest(path: Path) -> str:
    """64 hex digits of sha256 over a file's bytes."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


def content_digest(files: Iterable[tuple[str, str]]) -> str:
    """The digest of an artifact: its (name, digest of bytes) pairs, in the order of the names."""
    return digest([list(pair) for pair in sorted(files)])


def plain(value: Any, key: str) -> Any:
    """`value` as JSON values. Raises Unhashable, naming `key`, for anything that JSON has no one form for."""
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unhashable(f"{key}={value}: a number that is not finite has no canonical form")
        return value
    if isinstance(value, list | tuple):
        return [plain(item, f"{key}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str) or isinstance(name, Enum):
                raise Unhashable(f"{key}: the key {name!r} is a {type(name).__name__}; keys are strings")
        return {name: plain(item, f"{key}.{name}") for name, item in value.items()}
    raise Unhashable(
        f"{key}: a {type(value).__module__}.{type(value).__qualname__} has no canonical form; "
        "a recipe holds null, booleans, finite numbers, strings, lists and mappings"
    )


def config_values(node: Any) -> dict[str, Any]:
    """A schema node as plain values, as it was given and without its gates: what manifests and reports show."""
    given = {name: value for name, value in dataclasses.asdict(node).items() if name not in gates(node)}
    values: dict[str, Any] = plain(given, type(node).__name__)
    return values


def identity(node: Any, key: str, digest_of: Callable[[Path], str] = file_digest) -> dict[str, Any]:
    """A schema node as what a recipe holds of it (see the module's text)."""
    values = _node(node, key, lambda value, name: _files(value, name, digest_of))
    if hasattr(node, "measured"):
        values[MEASURED] = plain(node.measured(), f"{key}.{MEASURED}")
    return values


def requested(node: Any, key: str) -> dict[str, Any]:
    """A schema node as what was asked for: as `identity`, but a path is its text, and nothing is measured."""
    return _node(node, key, plain)


def gates(node: Any) -> dict[str, Any]:
    """The gates of a schema node: what its checks compare with, and no recipe holds."""
    found = {field.name: getattr(node, field.name) for field in dataclasses.fields(node) if GATE in field.metadata}
    return {name: plain(value, f"{type(node).__name__}.{name}") for name, value in found.items()}


def ungated(node: Any) -> Any:
    """The node without values for its gates: what a step gets, so that nothing that is made can depend on one."""
    return dataclasses.replace(node, **dict.fromkeys(gates(node), UNSET))


def _node(node: Any, key: str, named: Callable[[Any, str], Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(node):
        if GATE in field.metadata:
            continue
        value, name = getattr(node, field.name), f"{key}.{field.name}"
        if isinstance(value, str) and value == UNSET:
            raise Unhashable(f"{name} has no value; give it one in conf/ or on the command line")
        if AS_BEFORE in field.metadata and plain(value, name) == field.metadata[AS_BEFORE]:
            continue
        if field.metadata.get(URLS) and isinstance(value, list | tuple):
            values[field.name] = [
                item if isinstance(item, str) and is_url(item) else named(item, f"{name}[{index}]")
                for index, item in enumerate(value)
            ]
        else:
            values[field.name] = named(value, name) if field.metadata.get(PATH) else _nested(value, name, named)
    return values


def _nested(value: Any, key: str, named: Callable[[Any, str], Any]) -> Any:
    """A value that may hold further nodes, in lists and mappings too."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if gates(value):
            raise Unhashable(
                f"{key}: {', '.join(gates(value))}: a gate is a field of a step's own node, not inside one"
            )
        return _node(value, key, named)
    if isinstance(value, list | tuple):
        return [_nested(item, f"{key}[{index}]", named) for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        plain(dict.fromkeys(value), key)  # the keys are strings
        return {name: _nested(item, f"{key}.{name}", named) for name, item in value.items()}
    return plain(value, key)


def _files(value: Any, key: str, digest_of: Callable[[Path], str]) -> Any:
    """The names and digests of the files that a path, a folder, a glob, or a list of them names."""
    if value is None or value == "":
        return None
    if isinstance(value, list | tuple):
        return [_files(item, f"{key}[{index}]", digest_of) for index, item in enumerate(value)]
    if not isinstance(value, str):
        raise Unhashable(f"{key}: a path is a string, not a {type(value).__name__}")
    try:
        return [[name, digest_of(path)] for name, path in named_files(value, key)]
    except OSError as error:
        raise StoreError(f"{key}={value}: cannot be read ({error})") from error


def named_files(value: str, key: str) -> list[tuple[str, Path]]:
    """(name, path) of every file that a path, a folder or a glob names, sorted by name.

    The name is relative to the folder that was named (of a glob: to its part before the first wildcard), so moving a
    folder changes nothing.
    """
    path = resolve(value)
    if path.is_file():
        return [(path.name, path)]
    if path.is_dir():
        found = sorted(item for item in path.rglob("*") if item.is_file())
        return [(item.relative_to(path).as_posix(), item) for item in found]
    fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
    matched = sorted(Path(item) for item in glob.glob(str(path), recursive=True) if Path(item).is_file())
    if not matched:
        raise StoreError(f"{key}={value}: no such file or folder, and no file matches it (looked for {path})")
    return [(item.relative_to(Path(*fixed)).as_posix(), item) for item in matched]
