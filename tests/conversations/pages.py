"""Documentation pages as extracted text, made from a few facts."""

from __future__ import annotations

from collections.abc import Sequence


def object_page(
    name: str, arguments: Sequence[str], doc: str, kind: str = "function", owner_kind: str = "module"
) -> str:
    """The text of an object's own page."""
    owner = name.rpartition(".")[0]
    if not arguments:
        takes = "It takes no arguments."
    elif len(arguments) == 1:
        takes = f"It takes the argument {arguments[0]}."
    else:
        takes = f"It takes the arguments {', '.join(arguments[:-1])} and {arguments[-1]}."
    signature = f"{name}({', '.join(arguments)})"
    return f"{name}\n\n{signature}\n\n{name} is a {kind} of the {owner_kind} {owner or 'builtins'}. {takes}\n\n{doc}\n"


def member_list(module: str, members: Sequence[tuple[str, str]], between: str = " — ") -> str:
    """The text of a module's page: `(call, summary)` for each member; `between` differs between extractors."""
    listed = "\n\n".join(f"{module}.{call}{between}{summary}" for call, summary in members)
    return f"{module}\n\n{module} is a module. It defines {len(members)} functions.\n\n{listed}\n"
