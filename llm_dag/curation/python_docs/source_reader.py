"""Modules read from source by their syntax: nothing is imported and nothing acts.

Definitions inside `if` and `try` at the top level count (a module often defines a name per platform); of several
definitions of one name the first is taken. A signature is what is written, without annotations.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace

from llm_dag.curation.python_docs.model import Class, Function, Import, Module

_FIELD_BASES = ("NamedTuple", "TypedDict")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_PROPERTIES = {"property", "cached_property", "abstractproperty"}


def read_source(name: str, source: bytes, is_package: bool) -> Module:
    """The module in `source`. Raises SyntaxError or ValueError if it is not Python."""
    tree = ast.parse(source)
    module = Module(name, ast.get_docstring(tree) or "", exported=_exported(tree))
    imports: list[Import] = []
    package = name if is_package else name.rpartition(".")[0]
    for node in _statements(tree.body):
        if isinstance(node, _FUNCTIONS) and not _is(node, {"overload"}):
            module.members.setdefault(node.name, _function(node, "function"))
        elif isinstance(node, ast.ClassDef):
            module.members.setdefault(node.name, _class(node))
        elif isinstance(node, ast.ImportFrom):
            imports.extend(_imports(node, package))
    module.imports = tuple(imports)
    for name, member in _assigned(tree, module):
        module.members.setdefault(name, member)
    return module


def _assigned(tree: ast.Module, module: Module) -> Iterator[tuple[str, Function | Class]]:
    """Other names (`insort = insort_right`), and methods of one object (`_inst = Random()`, `seed = _inst.seed`)."""
    made: dict[str, Class] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
            continue
        name, value = node.targets[0].id, node.value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            if isinstance(found := module.members.get(value.func.id), Class):
                made[name] = found
        elif isinstance(value, ast.Name) and value.id in module.members:
            yield name, replace(module.members[value.id], name=name)
        elif isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id in made:
            methods = {member.name: member for member in made[value.value.id].members}
            if value.attr in methods:
                yield name, replace(methods[value.attr], name=name, kind="function")


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from _statements(node.body)
            yield from _statements(node.orelse)
        elif isinstance(node, ast.Try):
            yield from _statements(node.body)
            for handler in node.handlers:
                yield from _statements(handler.body)
            yield from _statements(node.orelse)


def _imports(node: ast.ImportFrom, package: str) -> Iterator[Import]:
    if node.level:
        parts = package.split(".")
        parts = parts[: len(parts) - node.level + 1]
        module = ".".join([*parts, node.module] if node.module else parts)
    else:
        module = node.module or ""
    for alias in node.names:
        yield Import(module, alias.name, alias.asname or alias.name, handed_on=alias.asname == alias.name)


def _exported(tree: ast.Module) -> tuple[str, ...] | None:
    """The names in `__all__` as far as they are written out; None if there is no such list."""
    names: list[str] | None = None
    for node in _statements(tree.body):
        if isinstance(node, ast.Expr) and ast.unparse(node).startswith("__all__.extend"):
            return None  # computed from another module's names
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign):
            targets = [node.target]
        if not any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            continue
        value = node.value  # type: ignore[attr-defined]
        for item in ast.walk(value):
            if isinstance(item, ast.Constant) and isinstance(item.value, str):
                names = [*(names or ()), item.value]
        if any(isinstance(item, ast.Call | ast.ListComp) for item in ast.walk(value)):
            return None  # computed: the names written out are not all of them
    return tuple(names) if names is not None else None


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, kind: str) -> Function:
    doc = ast.get_docstring(node) or ""
    if kind == "property":
        return Function(node.name, kind, None, None, doc)
    bound = kind in ("method", "class method")
    return Function(node.name, kind, _signature(node.args, bound), _names(node.args, bound), doc)


def _class(node: ast.ClassDef) -> Class:
    members: dict[str, Function] = {}
    maker: ast.FunctionDef | ast.AsyncFunctionDef | None = None
    for item in _statements(node.body):
        if not isinstance(item, _FUNCTIONS) or _is(item, {"overload", "setter", "deleter", "getter"}):
            continue
        if item.name == "__init__" or (item.name == "__new__" and maker is None):
            maker = item
        elif not item.name.startswith("_"):
            members.setdefault(item.name, _function(item, _kind(item)))
    bases = tuple(ast.unparse(base) for base in node.bases)
    signature, arguments = None, None
    if maker is not None:
        signature, arguments = _signature(maker.args, True), _names(maker.args, True)
    elif _is(node, {"dataclass"}) or any(base.split(".")[-1] in _FIELD_BASES for base in bases):
        signature, arguments = _fields(node)
    elif not bases or bases == ("object",):
        signature, arguments = "()", ()
    return Class(node.name, signature, arguments, ast.get_docstring(node) or "", bases, tuple(members.values()))


def _kind(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    if _is(node, _PROPERTIES):
        return "property"
    if _is(node, {"classmethod"}):
        return "class method"
    return "static method" if _is(node, {"staticmethod"}) else "method"


def _is(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, names: set[str]) -> bool:
    """Whether a decorator has one of these names, called or not, dotted or not."""
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        found = target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""
        if found in names:
            return True
    return False


def _fields(node: ast.ClassDef) -> tuple[str, tuple[str, ...]]:
    """Signature and arguments of a class whose annotated fields are its arguments."""
    shown, names = [], []
    for item in node.body:
        if (
            isinstance(item, ast.AnnAssign)
            and isinstance(item.target, ast.Name)
            and "ClassVar" not in ast.unparse(item.annotation)
        ):
            names.append(item.target.id)
            shown.append(item.target.id + (f"={ast.unparse(item.value)}" if item.value else ""))
    return f"({', '.join(shown)})", tuple(names)


def _positional(arguments: ast.arguments, bound: bool) -> list[tuple[str, str]]:
    """(name, default as written) of the positional arguments, without self."""
    every = [*arguments.posonlyargs, *arguments.args]
    defaults = [""] * (len(every) - len(arguments.defaults)) + [ast.unparse(value) for value in arguments.defaults]
    pairs = [(item.arg, default) for item, default in zip(every, defaults, strict=True)]
    return pairs[1:] if bound else pairs


def _signature(arguments: ast.arguments, bound: bool) -> str:
    shown = [name + (f"={default}" if default else "") for name, default in _positional(arguments, bound)]
    if arguments.posonlyargs and (place := len(arguments.posonlyargs) - bound) > 0:
        shown.insert(place, "/")
    if arguments.vararg:
        shown.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        shown.append("*")
    for item, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        shown.append(item.arg + (f"={ast.unparse(value)}" if value else ""))
    if arguments.kwarg:
        shown.append(f"**{arguments.kwarg.arg}")
    return f"({', '.join(shown)})"


def _names(arguments: ast.arguments, bound: bool) -> tuple[str, ...]:
    names = [name for name, _ in _positional(arguments, bound)]
    if arguments.vararg:
        names.append(f"*{arguments.vararg.arg}")
    names += [item.arg for item in arguments.kwonlyargs]
    if arguments.kwarg:
        names.append(f"**{arguments.kwarg.arg}")
    return tuple(names)
