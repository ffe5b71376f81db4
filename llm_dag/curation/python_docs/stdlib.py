"""What of the standard library is documented, and where its sources lie.

Left out: modules that act when imported, tests, games, the IDE, installers, and what differs by platform build.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = {
    "__hello__", "__phello__", "antigravity", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "readline", "test",
    "this", "turtle", "turtledemo", "xxlimited", "xxlimited_35", "xxsubtype",
}  # fmt: skip
TEST_FOLDERS = {"test", "tests", "idle_test"}


def source_files() -> list[tuple[str, Path]]:
    """(file name relative to the library, path) of every Python source that may be documented, sorted."""
    root = Path(sysconfig.get_path("stdlib"))
    found = []
    for top in sorted(sys.stdlib_module_names - LEFT_OUT):
        if top.startswith("_sysconfigdata"):
            continue
        if (root / f"{top}.py").is_file():
            found.append((f"{top}.py", root / f"{top}.py"))
        elif (root / top / "__init__.py").is_file():
            found += [(path.relative_to(root).as_posix(), path) for path in _package(root / top)]
    return found


def _package(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in TEST_FOLDERS | {"__pycache__"})
        yield from (Path(where) / name for name in sorted(names) if name.endswith(".py"))


def modules() -> dict[str, Path]:
    """The source of each module with one, by dotted name; private ones too, since public ones take from them."""
    found = {}
    for name, path in source_files():
        dotted = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        found[dotted] = path
    return found


def compiled() -> frozenset[str]:
    """The names of the modules written in C: built in, or beside the library as shared objects."""
    names = set(sys.builtin_module_names)
    for folder in (Path(sysconfig.get_config_var("DESTSHARED") or ""), Path(sys.base_exec_prefix) / "DLLs"):
        if folder.is_absolute() and folder.is_dir():
            names |= {path.name.split(".")[0] for path in folder.iterdir() if path.suffix in (".so", ".pyd")}
    known = {name for name in names if name in sys.stdlib_module_names}
    return frozenset(name for name in known - LEFT_OUT if not name.startswith(("_test", "_xx")))
