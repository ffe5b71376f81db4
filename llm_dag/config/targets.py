"""The one place where configuration names code: the filters that a user chains behind ours.

A `_target_` is a class of datatrove, or a class of a Python file that the configuration lists (whose bytes then enter
the recipe). Everything else is refused: a configuration file must not be able to run any code that happens to be
installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from llm_dag.config.compose import ConfigError
from llm_dag.config.places import resolve

TRUSTED = "datatrove."


class UnknownTarget(ConfigError):
    """A `_target_` that the configuration may not name, or that cannot be made as asked."""


def instantiate(block: Mapping[str, Any], key: str, modules: Sequence[str]) -> Any:
    """Make the object that a block names: `_target_` is called with the block's other keys.

    `key` is the block's place in the configuration, for messages; `modules` are paths of Python files.
    Raises UnknownTarget, naming the key, what was found and what is allowed.
    """
    target = block.get("_target_")
    if not isinstance(target, str) or "." not in target:
        raise UnknownTarget(f"{key}._target_={target!r}: wanted a dotted name, datatrove.<module>.<class>")
    made = _class(target, key, modules)
    try:
        return made(**{name: value for name, value in block.items() if name != "_target_"})
    except Exception as error:  # whatever a class does that somebody else wrote
        raise UnknownTarget(
            f"{key}: {target} does not take these arguments: {type(error).__name__}: {error}"
        ) from error


def _class(target: str, key: str, modules: Sequence[str]) -> type:
    where, _, name = target.rpartition(".")
    files = {Path(path).stem: resolve(path) for path in modules}
    if where in files:
        module = _from_file(where, files[where], f"{key}._target_={target}")
    elif target.startswith(TRUSTED):
        try:
            module = importlib.import_module(where)
        except ImportError as error:
            raise UnknownTarget(f"{key}._target_={target}: {error}") from error
    else:
        allowed = ", ".join(["datatrove.*", *(f"{stem}.*" for stem in sorted(files))])
        raise UnknownTarget(f"{key}._target_={target}: not allowed; allowed are classes of {allowed}")
    found = getattr(module, name, None)
    defined = getattr(found, "__module__", "")
    if not isinstance(found, type) or not (defined == module.__name__ or defined.startswith(TRUSTED)):
        raise UnknownTarget(f"{key}._target_={target}: {where} defines no class {name}")
    return found


def _from_file(stem: str, path: Path, key: str) -> ModuleType:
    """The module of a Python file, read afresh; it is registered under a private name so that its classes pickle."""
    if not path.is_file():
        raise UnknownTarget(f"{key}: {path} does not exist")
    name = f"llm_dag_custom_{stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UnknownTarget(f"{key}: {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a file does that somebody else wrote
        raise UnknownTarget(f"{key}: {path} cannot be loaded: {type(error).__name__}: {error}") from error
    return module
