"""Python source as normalised syntax: what is left when comments, docstrings, formatting and positions are gone."""

from __future__ import annotations

import ast
import functools
import hashlib
from dataclasses import dataclass

DECLARES = {"step", "blocking", "warning"}  # decorators that say where a function stands in the graph


@dataclass(frozen=True)
class Parsed:
    """A module's tree, and the digest of its normalised syntax."""

    tree: ast.Module
    syntax: str


@functools.lru_cache(maxsize=1024)
def parsed(content: bytes, file: str) -> Parsed:
    """The syntax of a source file. Raises SyntaxError. Remembered by content: dates of files prove nothing."""
    tree = ast.parse(content, filename=file)
    return Parsed(tree, syntax_digest(tree))


@functools.lru_cache(maxsize=4096)
def syntax_digest(tree: ast.AST) -> str:
    """64 hex digits of sha256 over a tree without docstrings, positions and declaring decorators."""
    copied = ast.parse(ast.unparse(tree))
    return hashlib.sha256(ast.dump(_Normalised().visit(copied)).encode("utf-8", "surrogatepass")).hexdigest()


@functools.lru_cache(maxsize=4096)
def names_used(tree: ast.AST) -> frozenset[str]:
    """Every name that occurs in a tree, but for those in declaring decorators."""
    copied = _Normalised().visit(ast.parse(ast.unparse(tree)))
    return frozenset(node.id for node in ast.walk(copied) if isinstance(node, ast.Name))


class _Normalised(ast.NodeTransformer):
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
                node.decorator_list = [item for item in node.decorator_list if not _declares(item)]
        if isinstance(node, ast.Constant):
            node.kind = None  # u"text" is "text"
        return node


def _declares(decorator: ast.expr) -> bool:
    """`@step(...)` names a group, owners and checks; they are not the function's behaviour."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Name) and called.id in DECLARES
