"""What is documented: modules, classes and functions, with names, signatures and docstrings."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Function:
    """A function or method. `signature` is `(a, *p)`; both it and `arguments` are None where Python does not tell."""

    name: str
    kind: str  # function, method, class method, static method, property
    signature: str | None
    arguments: tuple[str, ...] | None
    doc: str
    also: str = ""  # the qualified name under which another public module has it


@dataclass(frozen=True)
class Class:
    """A class: how it is made, and its public members in the order of their definition."""

    name: str
    signature: str | None
    arguments: tuple[str, ...] | None
    doc: str
    bases: tuple[str, ...] = ()
    members: tuple[Function, ...] = ()
    also: str = ""


@dataclass(frozen=True)
class Import:
    """`from module import name as local`; `*` for all public names; `import name as name` says that it is handed on."""

    module: str
    name: str
    local: str
    handed_on: bool = False


@dataclass
class Module:
    """A module: its docstring, what it defines by name, what it takes from others, and its `__all__` if it has one."""

    name: str
    doc: str
    members: dict[str, Function | Class] = field(default_factory=dict)
    imports: tuple[Import, ...] = ()
    exported: tuple[str, ...] | None = None

    def is_public(self, name: str) -> bool:
        """Whether a name belongs to the module's interface."""
        return name in self.exported if self.exported is not None else not name.startswith("_")
