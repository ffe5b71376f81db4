"""Composes conf/ and overrides into typed nodes, and refuses what makes no sense before any work starts.

Hydra composes; this module checks that every override names a key that there is, that every value has its type, that
nothing is missing, and that each node's own `problems` are none. Identity and compute are resolved apart, so a value of
one cannot reach the other: an interpolation from identity into compute is an error.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import re
import threading
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from llm_dag.config.compute import Compute
from llm_dag.config.fields import Problem
from llm_dag.config.places import shipped
from llm_dag.config.root import Identity, Root
from llm_dag.config.source import SOURCES, Source, located

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_COMPOSING = threading.Lock()  # Hydra keeps one global state a process, and Dagster's code server has many threads


class ConfigError(ValueError):
    """The configuration makes no sense; the message names the key, what was given and what is allowed."""


@dataclass(frozen=True)
class Config:
    """A composed configuration; `overrides` are what composed it."""

    identity: Identity
    compute: Compute
    overrides: tuple[str, ...]

    def to_yaml(self) -> str:
        """The whole resolved tree, as Hydra's `--cfg job --resolve` prints it."""
        tree = {**dataclasses.asdict(self.identity), "compute": dataclasses.asdict(self.compute)}
        return str(OmegaConf.to_yaml(OmegaConf.create(tree)))


def compose(overrides: Sequence[str] = (), config_dir: Path | None = None) -> Config:
    """Compose conf/config.yaml with Hydra overrides. `config_dir` is a folder of further groups, searched first.

    Raises:
        ConfigError: an override or a value makes no sense.
    """
    if config_dir and not config_dir.is_dir():
        raise ConfigError(f"--config-dir {config_dir}: no such folder; a folder of groups like conf/ is wanted")
    folders = [shipped("conf"), *([config_dir] if config_dir else [])]
    for override in overrides:
        _check_override(override, folders)
        if _parsed(override).is_sweep_override():
            raise ConfigError(
                f"{override}: several values; a list is written key=[a,b], and --multirun makes a run of each"
            )
    tree = _composed(overrides, config_dir)
    identity, compute = _split(tree)
    found = [*_problems(identity, ""), *_problems(compute, "compute.")]
    if found:
        raise ConfigError("\n".join(f"{one.key}={one.given}: allowed is {one.allowed}" for one in found))
    identity.source = located(identity.source)
    return Config(identity, compute, tuple(overrides))


def sweep(overrides: Sequence[str]) -> list[list[str]]:
    """The runs of a `--multirun`: the product of every override that lists several values (`a=1,2`, `b=range(3)`).

    Raises:
        ConfigError: an override that cannot be read.
    """
    choices = []
    for override in map(_parsed, overrides):
        key = override.get_key_element()
        if override.is_sweep_override():
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            choices.append([override.input_line or ""])
    return [list(run) for run in itertools.product(*choices)]


def _parsed(override: str) -> Override:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as error:
        said = [line for line in str(error).splitlines() if line and not line.startswith(("Error ", "See "))]
        raise ConfigError(f"{override or 'an empty word'}: cannot be read ({' '.join(said) or error})") from error


def scales() -> list[str]:
    """The presets of conf/scale."""
    return sorted(path.stem for path in (shipped("conf") / "scale").glob("*.yaml"))


def _composed(overrides: Sequence[str], config_dir: Path | None) -> DictConfig:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    search = [f"hydra.searchpath=[file://{config_dir.resolve()}]"] if config_dir else []
    with _COMPOSING:
        store = ConfigStore.instance()
        store.store(name="schema", node=Root, replace=True)
        for name, node in SOURCES.items():
            store.store(group="source", name=f"schema_{name}", node=node, replace=True)
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(shipped("conf"))):
                return hydra_compose("config", overrides=[*overrides, *search])
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(_told(error, overrides)) from error
        except YAMLError as error:  # its words name the file and the line, but not first
            raise ConfigError(" ".join(str(error).split())) from error
        finally:
            GlobalHydra.instance().clear()


def _split(tree: DictConfig) -> tuple[Identity, Compute]:
    """The two halves as dataclasses, the identity resolved where compute is not."""
    names = {field.name for field in dataclasses.fields(Identity)}
    asked = OmegaConf.masked_copy(tree, sorted(names))
    try:
        missing = sorted(OmegaConf.missing_keys(tree))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {_words(error)}") from error
    if missing:
        raise ConfigError(f"{', '.join(missing)}: no value is given; set it in conf/ or on the command line")
    try:
        values = OmegaConf.to_container(asked, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {_words(error)} (what is asked for may not depend on compute)") from error
    try:
        schema = OmegaConf.structured(Identity)
        schema.source = OmegaConf.structured(OmegaConf.get_type(tree.source))
        identity = OmegaConf.to_object(OmegaConf.merge(schema, values))
        compute = OmegaConf.to_object(tree.compute)
    except OmegaConfBaseException as error:
        raise ConfigError(_words(error)) from error
    return typing.cast(Identity, identity), typing.cast(Compute, compute)


def _problems(node: Any, prefix: str) -> Iterator[Problem]:
    if hasattr(node, "problems"):
        for problem in node.problems():
            yield dataclasses.replace(problem, key=prefix + problem.key)
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if dataclasses.is_dataclass(value):
            yield from _problems(value, f"{prefix}{field.name}.")


def _check_override(override: str, folders: list[Path]) -> None:
    """Raises ConfigError for an override that adds or deletes a key, or names a key or option that there is not."""
    key, equals, value = override.partition("=")
    if key.startswith(("+", "~")):
        raise ConfigError(f"{override}: keys are fixed, so nothing reads one that is added; write {key.lstrip('+~')}=…")
    if not equals:
        raise ConfigError(f"{override or 'an empty word'}: an override is written key=value, or group=option")
    if key.startswith("hydra.") or "@" in key:
        return
    options = sorted({path.stem for folder in folders for path in (folder / key).glob("*.yaml")})
    if options:
        wanted = [item.strip() for item in value.split(",")]
        if wrong := [item for item in wanted if item not in options and item != "null"]:
            allowed = ", ".join(options)
            raise ConfigError(f"{key}={wrong[0]}: conf/{key} has no such option; allowed is one of {allowed}")
        return
    node: Any = Root
    parts = key.split(".")
    for depth, part in enumerate(parts):
        names = _keys(node)
        if names is None:
            break  # an item of a list or of a mapping: OmegaConf judges it
        if part not in names:
            where = ".".join(parts[:depth])
            close = difflib.get_close_matches(part, names, 1)
            hint = f"; did you mean {'.'.join([*parts[:depth], close[0]])}?" if close else ""
            raise ConfigError(f"{override}: there is no key {key}; {where or 'the tree'} has {', '.join(names)}{hint}")
        node = next(hints[part] for kind in _kinds(node) if part in (hints := _hints(kind)))


def _kinds(node: Any) -> list[Any]:
    """A schema class, or for `source` the classes of its options."""
    return list(SOURCES.values()) if node is Source else [node]


def _keys(node: Any) -> list[str] | None:
    """The keys of a schema class; None for a leaf."""
    if not dataclasses.is_dataclass(node):
        return None
    return list(dict.fromkeys(name for kind in _kinds(node) for name in _hints(kind)))


def _told(error: Exception, overrides: Sequence[str]) -> str:
    """What is wrong with an override: what was given, and the type that is allowed."""
    for override in overrides:
        key, _, given = override.partition("=")
        if re.search(rf"override '?{re.escape(override)}(\s|'|$)", str(error)) or f"'{key}'" in str(error):
            kind = _leaf(key)
            allowed = f"; allowed is {_TYPES.get(kind, getattr(kind, '__name__', str(kind)))}" if kind else ""
            return f"{key}={given}: {_words(error)}{allowed}"
    return _words(error)


_TYPES = {int: "an integer", float: "a number", bool: "true or false", str: "text", list[str]: "a list of texts: [a,b]"}


def _leaf(key: str) -> Any:
    """The type of the value at a key; None if it is not a leaf of the schema."""
    node: Any = Root
    for part in key.split("."):
        found = [hints[part] for kind in _kinds(node) if part in (hints := _hints(kind))]
        if not found:
            return None
        node = found[0]
    return None if dataclasses.is_dataclass(node) else node


def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}


def _words(error: Exception) -> str:
    """The first line of what lies at the bottom of an error of Hydra or OmegaConf."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(
        "raised while composing config:"
    ):  # which file, and then what is wrong in it
        return f"{lines[0].rpartition(':')[0].partition(': ')[0]}: {lines[1]}"
    return lines[0] if lines else type(cause).__name__
