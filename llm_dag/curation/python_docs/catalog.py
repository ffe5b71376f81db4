"""The modules of a subject (the standard library, or one distribution) and what each publishes under its own name.

A public module publishes what it defines, what it takes by a star import, and what it hands on from a private or a C
module (listed in its `__all__`, or `from ._linalg import norm as norm`): the public name is the one people use. What it
takes from another public module is documented there.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, distribution
from pathlib import Path

from llm_dag.curation.python_docs import stdlib
from llm_dag.curation.python_docs.live_reader import read_live
from llm_dag.curation.python_docs.model import Class, Function, Import, Module
from llm_dag.curation.python_docs.source_reader import read_source

TEST_PARTS = {"test", "tests", "testing", "_testing", "conftest", "benchmarks", "examples", "_vendor", "vendor"}
LARGEST_SOURCE = 1 << 20  # bytes; larger files hold tables, not docstrings
UNNAMED = frozenset({"posix", "nt", "genericpath", "pyexpat"})  # people say os, os.path and xml.parsers.expat
DEEPEST = 4  # private modules that hand a name on


@dataclass(frozen=True)
class Catalog:
    """Where the modules of a subject are: sources by dotted name, C modules, other names (os.path), and the modules
    whose names are not for use (posix)."""

    subject: str
    sources: Mapping[str, Path]
    compiled: frozenset[str]
    aliases: Mapping[str, str]
    unnamed: frozenset[str]
    read: Callable[[str], Module | None]

    def public(self) -> list[str]:
        """The names of the public modules, in an order that is fixed and mixes them well."""
        names = [*self.sources, *self.compiled, *self.aliases]
        return sorted((name for name in names if not _private(name) and name not in self.unnamed), key=_mixed)

    def module(self, name: str, depth: int = 0) -> Module | None:
        """A module with everything that it publishes, or None if it cannot be read."""
        found = self.read(self.aliases.get(name, name))
        if found is None:
            return None
        members: dict[str, Function | Class] = dict(found.members)
        for item in found.imports if depth < DEEPEST else ():
            if not self._known(item.module) or not (item.name == "*" or self._republishes(found, item)):
                continue
            source = self.module(item.module, depth + 1)
            if source is None:
                continue
            if item.name == "*":
                taken = {key: value for key, value in source.members.items() if source.is_public(key)}
            else:
                taken = {item.local: source.members[item.name]} if item.name in source.members else {}
            public = not _private(item.module) and item.module not in self.unnamed
            for key, value in taken.items():
                also = f"{item.module}.{value.name}" if public else value.also
                members.setdefault(key, replace(value, name=key, also=also))
        return replace(found, name=name, members=members)

    def _known(self, module: str) -> bool:
        return module in self.sources or module in self.compiled

    def _republishes(self, module: Module, item: Import) -> bool:
        """Whether a module hands on what it takes from a private or a C module."""
        listed = item.handed_on or (module.exported is not None and item.local in module.exported)
        return listed and (_private(item.module) or item.module in self.compiled)


def standard_library() -> Catalog:
    """The catalog of the running Python's standard library."""
    sources, compiled = stdlib.modules(), stdlib.compiled()
    native = "ntpath" if "nt" in compiled else "posixpath"
    return Catalog(
        "stdlib", sources, compiled - sources.keys(), {"os.path": native}, UNNAMED, _reader(sources, compiled)
    )


def installed(name: str) -> Catalog:
    """The catalog of an installed distribution. Raises PackageNotFoundError."""
    sources = _python_sources(distribution(name))
    return Catalog(name, sources, frozenset(), {}, frozenset(), _reader(sources, frozenset()))


def _python_sources(found: Distribution) -> dict[str, Path]:
    sources = {}
    for file in sorted(found.files or (), key=str):
        parts = file.parts
        if (
            file.suffix != ".py"
            or parts[0] == ".."
            or TEST_PARTS & {*parts, file.stem}
            or (file.size or 0) > LARGEST_SOURCE
        ):
            continue
        dotted = ".".join([*parts[:-1], *([] if file.stem == "__init__" else [file.stem])])
        if all(part.isidentifier() for part in dotted.split(".")):
            sources[dotted] = Path(str(file.locate()))
    return sources


def _reader(sources: Mapping[str, Path], compiled: frozenset[str]) -> Callable[[str], Module | None]:
    @functools.lru_cache(maxsize=2048)
    def read(name: str) -> Module | None:
        if name in sources:
            path = sources[name]
            try:
                return read_source(name, path.read_bytes(), path.name == "__init__.py")
            except (SyntaxError, ValueError, OSError):
                return None
        return read_live(name, name) if name in compiled else None

    return read


def _private(module: str) -> bool:
    return any(part.startswith("_") and part != "__future__" for part in module.split("."))


def _mixed(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=8).digest()
