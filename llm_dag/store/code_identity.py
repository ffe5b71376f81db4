"""The identity of a step's code: what its behaviour can depend on, and nothing else.

It is the normalised syntax (no comments, docstrings, formatting or positions) of the step's function and of every
`llm_dag` module that import statements reach from it, those inside functions too, except `config`, `store` and
`progress` (schemas hold no behaviour, and the store's own format has a version of its own); the versions of the
distributions that these modules import; and Python's minor version. Reading is by source file: nothing is imported.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_dag.store.canonical import digest
from llm_dag.store.errors import StoreError

PACKAGE = "llm_dag"
EXCLUDED = ("llm_dag.config", "llm_dag.store", "llm_dag.progress")
BANNED = {"importlib", "runpy", "imp", "pkgutil"}
ALLOWED = {"importlib.metadata", "importlib.resources"}


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
    """The code identity of a step's function. `source` is the folder of the package (default: where it is installed)."""
    root = source or Path(__file__).resolve().parent.parent
    tree = _function(step)
    modules = {f"{step.__module__}:{step.__qualname__}": _syntax(tree)}
    outside: set[str] = set()
    waiting = [_ours(tree, step.__module__, root, outside)]
    seen: set[str] = set()
    while waiting:
        for name in waiting.pop():
            if name in seen:
                continue
            seen.add(name)
            parsed = _parsed(_source(name, root), _source(name, root).stat().st_mtime_ns)
            modules[name] = parsed.syntax
            waiting.append(_ours(parsed.tree, name, root, outside))
    return CodeIdentity(
        dict(sorted(modules.items())), _versions(outside), f"{sys.version_info.major}.{sys.version_info.minor}"
    )


def edited_since(identity: CodeIdentity, started: float, source: Path | None = None) -> list[str]:
    """Modules of an identity that this process has loaded and whose files are newer than `started` (Unix time)."""
    root = source or Path(__file__).resolve().parent.parent
    loaded = [name for name in identity.modules if name in sys.modules]
    return [name for name in loaded if _source(name, root).stat().st_mtime > started]


def _function(step: Callable[..., Any]) -> ast.AST:
    """The syntax of a function, found by name in its file as it is now (line numbers may have moved)."""
    file = inspect.getsourcefile(step)
    if file is None:
        raise StoreError(f"{step.__qualname__}: a step is a function in a file; this one has none")
    node: ast.AST = _parsed(Path(file), Path(file).stat().st_mtime_ns).tree
    for part in step.__qualname__.replace("<locals>.", "").split("."):
        inner = [item for item in ast.walk(node) if isinstance(item, _NAMED) and item.name == part and item is not node]
        if not inner:
            raise StoreError(f"{file}: {step.__qualname__} is no longer there")
        node = inner[-1]
    return node


_NAMED = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class _Parsed:
    tree: ast.Module
    syntax: str


@functools.lru_cache(maxsize=1024)
def _parsed(path: Path, modified: int) -> _Parsed:
    tree = ast.parse(path.read_text("utf-8"), filename=str(path))
    return _Parsed(tree, _syntax(tree))


def _syntax(tree: ast.AST) -> str:
    """The digest of a tree without docstrings and positions."""
    return hashlib.sha256(ast.dump(_WithoutDocstrings().visit(_copied(tree))).encode()).hexdigest()


def _copied(tree: ast.AST) -> ast.AST:
    return ast.parse(ast.unparse(tree))


class _WithoutDocstrings(ast.NodeTransformer):
    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node.decorator_list = [item for item in node.decorator_list if not _declares_step(item)]
        return node


def _declares_step(decorator: ast.expr) -> bool:
    """`@step(...)` says where a step stands in the graph; its group, owners and checks are not its behaviour."""
    return isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "step"


def _ours(tree: ast.AST, module: str, root: Path, outside: set[str]) -> list[str]:
    """The modules of the package that a tree's import statements reach; others' top-level names go to `outside`."""
    found: list[str] = []
    for name, line in _imports(tree, module):
        top = name.split(".")[0]
        if top in BANNED and not any(name == allowed or name.startswith(f"{allowed}.") for allowed in ALLOWED):
            raise StoreError(
                f"{module}, line {line}: imports {name}; a module that is imported by name at run time would be "
                "outside the step's code identity, so write an import statement instead"
            )
        if top != PACKAGE:
            outside.add(top)
        elif not _excluded(name) and (resolved := _module(name, root)) and not _excluded(resolved):
            found.append(resolved)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "__import__":
            raise StoreError(f"{module}, line {node.lineno}: __import__ hides code from the step's identity")
    return found


def _excluded(name: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in EXCLUDED)


def _imports(tree: ast.AST, module: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise StoreError(f"{module}, line {node.lineno}: a relative import; name the module in full")
            for alias in node.names:  # `from package import module` and `from module import name` look alike
                yield f"{node.module}.{alias.name}", node.lineno


def _module(name: str, root: Path) -> str | None:
    """The longest prefix of a dotted name that is a module or package of ours (empty packages are left out)."""
    parts = name.split(".")
    for length in range(len(parts), 1, -1):
        candidate = ".".join(parts[:length])
        path = _source(candidate, root)
        if path.exists():
            return candidate if path.stat().st_size else None
    return None


def _source(name: str, root: Path) -> Path:
    path = root.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _versions(outside: set[str]) -> dict[str, str]:
    """The distributions that hold the imported top-level packages, and their versions."""
    packages = _packages()
    names = {name for top in outside - sys.stdlib_module_names for name in packages.get(top, ())}
    return {name: importlib.metadata.version(name) for name in sorted(names)}


@functools.cache
def _packages() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()
