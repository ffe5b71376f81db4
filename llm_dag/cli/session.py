"""What every command needs: the composed configuration, the graph and the resolver, and errors without tracebacks."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from llm_dag.config.compose import Config, ConfigError, compose
from llm_dag.config.places import store_url
from llm_dag.store.artifact import Artifact
from llm_dag.store.errors import StoreError
from llm_dag.store.files import explain
from llm_dag.store.resolve import Resolution, Resolver
from llm_dag.store.step import Graph
from llm_dag.store.store import Store

BAD_INPUT = 2


@dataclass(frozen=True)
class Session:
    """One command's view of one configuration."""

    config: Config
    graph: Graph
    store: Store
    config_dir: Path | None = None

    @property
    def asked(self) -> str:
        """The overrides and options of this command, as further commands about the same configuration need them."""
        words = [*self.config.overrides, *(["--config-dir", str(self.config_dir)] if self.config_dir else [])]
        return "".join(f" {shlex.quote(word)}" for word in words)

    @property
    def resolver(self) -> Resolver:
        """A new resolver: what it finds is what is there now."""
        return Resolver(self.store, self.graph, self.config.identity)

    def resolutions(self) -> list[Resolution]:
        """Every asset of the configured dump, in the order of the graph."""
        resolver = self.resolver
        return [resolver.resolve(name) for name in self.graph]

    def artifact(self, asset: str) -> Artifact:
        """The artifact of an asset under this configuration. Raises StoreError if there is none or no such asset."""
        if asset not in self.graph:
            raise StoreError(f"there is no asset {asset}; there are {', '.join(self.graph)}")
        found = self.resolver.resolve(asset)
        if found.artifact is None:
            raise StoreError(
                f"{asset} is not made with this configuration ({found.state.value}: {', '.join(found.reasons)}); "
                "run `llm-dag run` first, with the same overrides"
            )
        return found.artifact


def open_session(overrides: Sequence[str], config_dir: Path | None = None) -> Session:
    """Compose the configuration and open its store. Raises StoreError for a kind of store that there is not."""
    from llm_dag.assets.graph import graph

    config = compose(overrides, config_dir)
    try:
        store = Store(store_url(config.compute.store))
    except (ValueError, ImportError) as error:  # of fsspec: an unknown protocol, or one whose package is not installed
        raise StoreError(f"compute.store={config.compute.store}: {error}") from error
    return Session(config, graph(), store, config_dir)


@contextlib.contextmanager
def plain_errors(console: Console) -> Iterator[None]:
    """Print what a person can act on and exit with 2; let faults of the program through."""
    try:
        yield
    except (ConfigError, StoreError) as error:
        console.print(f"[bold red]error[/] {_escaped(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from error
    except Exception as error:
        explained = explain(error, "the store")
        if explained is None:
            raise
        console.print(f"[bold red]error[/] {_escaped(str(explained))}", highlight=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from error


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
