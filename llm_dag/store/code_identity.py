"""The identity of a step's code: what its behaviour can depend on, and nothing else.

It is the normalised syntax (no comments, docstrings, formatting or positions) of the step's function, of the names of
its file that it uses, and of every `llm_dag` module that import statements reach from there, those inside functions
too, except `config`, `store` and `progress` (schemas hold no behaviour, and the store's own format has a version of its
own); the versions of the distributions that these modules import; and Python's minor version. Reading is by source
file: nothing is imported.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_dag.store.canonical import digest
from llm_dag.store.errors import StoreError
from llm_dag.store.syntax import Parsed, names_used, parsed, syntax_digest

PACKAGE = "llm_dag"
EXCLUDED = ("llm_dag.config", "llm_dag.store", "llm_dag.progress")
BANNED = {"importlib", "runpy", "imp", "pkgutil"}
ALLOWED = {"importlib.metadata", "importlib.resources"}
LOADING_SECONDS = 0.05
HIDING = {"__import__", "import_module"}


@dataclass(frozen=True)
class CodeIdentity:
    """Digests of the syntax of each module, versions of each distribution, and Python's minor version."""

    modules: Mapping[str, str]
    distributions: Mapping[str, str]
    python: str

    @property
    def digest(self) -> str:
        return digest({"modules": self.modules, "distributions": self.distributions, "python": self.python})


def identify(step: Callable[..., Any], source: Path | None = None) -> CodeIdentity:
    """The code identity of a step's function. `source` is the package's folder (default: where it is installed)."""
    root = source or Path(__file__).resolve().parent.parent
    modules: dict[str, str] = {}
    imported: set[str] = set()
    waiting: list[str] = []

    def follow(tree: ast.AST, module: str) -> None:
        further = _imports(tree, module) - imported
        imported.update(further)
        waiting.extend(one for name in further for one in _modules(name, root))

    for name, tree in _used_of_file(step):
        modules[name] = syntax_digest(tree)
        follow(tree, step.__module__)
    while waiting:
        name = waiting.pop()
        if name not in modules:
            found = _read(_source(name, root))
            modules[name] = found.syntax
            follow(found.tree, name)
    outside = {name.split(".")[0] for name in imported} - {PACKAGE}
    return CodeIdentity(
        dict(sorted(modules.items())), _versions(outside), f"{sys.version_info.major}.{sys.version_info.minor}"
    )


def edited_since(step: Callable[..., Any], identity: CodeIdentity, started: float) -> list[str]:
    """Modules of an identity that this process has loaded and whose files are newer than `started` (Unix time).

    Processes start by a clock of ten milliseconds; no process has loaded a module of ours before `LOADING_SECONDS`.
    """
    loaded = {name: getattr(sys.modules.get(name), "__file__", None) for name in identity.modules}
    files = {**loaded, step.__module__: inspect.getsourcefile(step)}
    return sorted(name for name, file in files.items() if file and _changed(Path(file)) > started + LOADING_SECONDS)


def edited_modules(started: float) -> list[str]:
    """Modules of the package that this process has loaded and whose files are newer than `started` (Unix time)."""
    loaded = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    files = {name: file for name, file in loaded.items() if file and name.split(".")[0] == PACKAGE}
    return sorted(name for name, file in files.items() if _changed(Path(file)) > started + LOADING_SECONDS)


def _changed(path: Path) -> float:
    """When a file got its bytes: a file that was moved here with an old date counts as new."""
    status = path.stat()
    return max(status.st_mtime, status.st_ctime)


def _read(path: Path) -> Parsed:
    try:
        return parsed(path.read_bytes(), str(path))
    except SyntaxError as error:
        raise StoreError(f"{path}, line {error.lineno}: not Python ({error.msg})") from error


def _used_of_file(step: Callable[..., Any]) -> Iterator[tuple[str, ast.AST]]:
    """The syntax of a function and of what it uses of its own file, each named `module:name`.

    A module-level function, class or value that the function names enters too, and what that one names, and so on;
    an import of it only, if what it imports has a part in the identity.
    """
    file = inspect.getsourcefile(step) if hasattr(step, "__code__") else None
    if file is None:
        raise StoreError(f"{step!r}: a step or check is a function in a file; this one has none")
    if step.__closure__:
        raise StoreError(
            f"{file}: {step.__qualname__} uses {', '.join(step.__code__.co_freevars)} of the function around it, "
            "which no code identity can see; make it a function of a module, and put values into the configuration"
        )
    module = _read(Path(file)).tree
    function = _named(module, step.__qualname__, file)
    yield f"{step.__module__}:{step.__qualname__}", function
    defined = _definitions(module)
    waiting, seen = sorted(names_used(function)), {step.__qualname__}
    while waiting:
        name = waiting.pop()
        if name in defined and name not in seen:
            seen.add(name)
            for part, tree in enumerate(one for one in defined[name] if not _imports_excluded(one)):
                yield f"{step.__module__}:{name}" + (f"#{part}" if part else ""), tree
                waiting += sorted(names_used(tree))


def _named(module: ast.Module, qualname: str, file: str) -> ast.AST:
    """A function, found by name in its file as it is now (line numbers may have moved)."""
    node: ast.AST = module
    for part in qualname.replace("<locals>.", "").split("."):
        inner = [item for item in ast.walk(node) if isinstance(item, _NAMED) and item.name == part and item is not node]
        if not inner:
            raise StoreError(f"{file}: there is no function {qualname}; a step or check is a function with a name")
        node = inner[-1]
    return node


_NAMED = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)


def _definitions(module: ast.Module) -> dict[str, list[ast.AST]]:
    """The statements of a module's top level (of its `if` and `try` too) by the names that they bind."""
    bound: dict[str, list[ast.AST]] = {}
    waiting: list[ast.AST] = list(module.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                one = ast.copy_location(_only(node, alias), node)
                bound.setdefault((alias.asname or alias.name).split(".")[0], []).append(one)
        elif isinstance(node, _NAMED):
            bound.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While | ast.ExceptHandler):
            waiting += [item for item in ast.iter_child_nodes(node) if isinstance(item, ast.stmt | ast.ExceptHandler)]
        elif isinstance(node, ast.stmt):
            for item in ast.walk(node):
                if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store):
                    bound.setdefault(item.id, []).append(node)
    return bound


def _only(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.Import | ast.ImportFrom:
    """An import statement with one of its names, so that importing another name changes nothing."""
    if isinstance(node, ast.Import):
        return ast.Import([alias])
    return ast.ImportFrom(node.module, [alias], node.level)


@functools.lru_cache(maxsize=4096)
def _imports(tree: ast.AST, module: str) -> frozenset[str]:
    """The dotted names that a tree's import statements name. Raises StoreError for what an identity cannot follow."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise StoreError(f"{module}, line {node.lineno}: a relative import; name the module in full")
            # `from package import module` and `from module import name` look alike
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        else:
            hiding = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
            if hiding in HIDING:
                raise StoreError(f"{module}, line {node.lineno}: {hiding} hides code from the step's identity")  # type: ignore[attr-defined]
            continue
        if banned := sorted(name for name in found if _is_banned(name)):
            raise StoreError(
                f"{module}, line {node.lineno}: imports {banned[0]}; a module that is imported by name at run time "
                "would be outside the step's code identity, so write an import statement instead"
            )
    return frozenset(found)


def _is_banned(name: str) -> bool:
    allowed = any(name == one or name.startswith(f"{one}.") for one in ALLOWED)
    return name.split(".")[0] in BANNED and not allowed


def _excluded(name: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in EXCLUDED)


def _imports_excluded(node: ast.AST) -> bool:
    """Whether a statement only imports what no identity holds (`Work` in an annotation)."""
    return isinstance(node, ast.ImportFrom) and _excluded(node.module or "")


def _modules(name: str, root: Path) -> list[str]:
    """The modules that importing a dotted name runs and an identity holds: each prefix that is a file and not empty."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return []
    candidates = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    files = [(candidate, _source(candidate, root)) for candidate in candidates if not _excluded(candidate)]
    return [candidate for candidate, path in files if path.is_file() and path.stat().st_size]


def _source(name: str, root: Path) -> Path:
    """The file of a module. As for Python, a package goes before a module, a folder without `__init__.py` does not."""
    path = root.joinpath(*name.split(".")[1:])
    package = path / "__init__.py"
    return package if package.is_file() or path == root else path.with_suffix(".py")


def _versions(outside: set[str]) -> dict[str, str]:
    """The distributions that hold the imported top-level packages, and their versions; absent ones count as absent."""
    packages = _packages()
    versions: dict[str, str] = {}
    for top in sorted(outside - sys.stdlib_module_names):
        versions |= {name: importlib.metadata.version(name) for name in packages.get(top, ())} or {top: "not installed"}
    return dict(sorted(versions.items()))


@functools.cache
def _packages() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()
