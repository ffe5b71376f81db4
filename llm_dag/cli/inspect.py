"""`llm-dag status`, `show`, `verify`, `accept`, `adopt`: what there is, and whether it is what it says."""

from __future__ import annotations

import getpass
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from llm_dag.cli.run import ConfigDir, Overrides
from llm_dag.cli.session import open_session, plain_errors
from llm_dag.cli.tables import plan_table, size
from llm_dag.store.artifact import Artifact
from llm_dag.store.errors import StoreError
from llm_dag.store.gate import outdated

FAULTS = 1
SHOWN_FILES = 40

Asset = Annotated[str, typer.Argument(help="The asset.")]
Why = Annotated[str, typer.Option(help="The reason; it is recorded.")]
Who = Annotated[str, typer.Option(help="Your name (default: the user's).")]


def status(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Each asset: fresh, or which field, input or edit made it stale."""
    console = Console()
    with plain_errors(console):
        session = open_session(overrides or [], config_dir)
        console.print(plan_table(session, session.resolutions()))


def show(
    asset: Asset,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="The manifest itself.")] = False,
    config_dir: ConfigDir = None,
) -> None:
    """An artifact's manifest, readable: recipe, inputs, configuration, metrics, checks, files."""
    console = Console()
    with plain_errors(console):
        session = open_session(overrides or [], config_dir)
        artifact = session.artifact(asset)
        if as_json:
            print(json.dumps(json.loads(artifact.manifest.to_files()["manifest.json"]), indent=1))
            return
        _manifest(console, artifact)
        checks = session.store.checks(artifact)
        again = outdated(session.store, session.resolver.resolve(asset), session.resolver.code)
        for record in checks.values():
            word = "[green]passed[/]" if record.passed else "[red]failed[/]" if record.blocking else "[yellow]failed[/]"
            console.print(f"check {record.name}: {word} {escape(record.message)}", highlight=False, soft_wrap=True)
            if record.name in again:
                console.print("  by other code or another gate: the next run checks again", style="yellow")
        for name, row in session.store.acceptances(artifact).items():
            console.print(f"accepted {name}: {escape(row['why'])} ({escape(row['who'])}, {row['when']})")
        if different := session.store.differences(artifact):
            console.print(f"[yellow]{len(different)} other result(s) of this recipe were seen and not kept[/]")


def _manifest(console: Console, artifact: Artifact) -> None:
    manifest = artifact.manifest
    changed = " with local changes" if manifest.commit.get("dirty") else ""
    commit = manifest.commit.get("commit", "none")[:12] + changed
    rows = {
        "asset": f"{artifact.asset} {artifact.partition or ''}",
        "recipe": manifest.recipe,
        "content": manifest.digest,
        "where": artifact.location,
        "made": f"{manifest.finished} in {manifest.seconds:.1f} s, {len(manifest.files)} files, {size(manifest.bytes)}",
        "commit": commit,
        "witness": json.dumps(dict(manifest.witness)),
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/]", escape(value))
    for name, references in manifest.inputs.items():
        for reference in references:
            table.add_row("[bold]input[/]", f"{name} {reference.partition or ''} {reference.digest[:16]}")
    for name, value in sorted(manifest.metrics.items()):
        table.add_row("[bold]metric[/]", f"{escape(name)} {value:,.6g}")
    for entry in list(manifest.files.values())[:SHOWN_FILES]:
        shared = f" → {entry.url}" if entry.url else ""
        table.add_row("[bold]file[/]", escape(f"{entry.path} {size(entry.bytes)} {entry.digest[:16]}{shared}"))
    if (more := len(manifest.files) - SHOWN_FILES) > 0:
        table.add_row("[bold]files[/]", f"{more:,} more, in the manifest")
    console.print(table)
    console.print_json(json.dumps(dict(manifest.config)))


def verify(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Hash every file of the store again; name each that is not what its manifest says."""
    from llm_dag.progress import Silent
    from llm_dag.store.verify import verify as verify_store

    console = Console()
    with plain_errors(console):
        session = open_session(overrides or [], config_dir)
        with console.status("hashing every file …"):
            faults = verify_store(session.store, Silent())
        for fault in faults:
            console.print(f"[red]{fault.artifact}/{fault.file}[/] {escape(fault.found)}", soft_wrap=True)
        count = len(session.store.places())
        console.print(f"{count} artifacts, {len(faults)} faults")
        if faults:
            raise typer.Exit(FAULTS)


def accept(
    asset: Asset,
    check: Annotated[str, typer.Argument(help="Its check that failed.")],
    why: Why,
    overrides: Overrides = None,
    who: Who = "",
    config_dir: ConfigDir = None,
) -> None:
    """Open an artifact although one of its blocking checks failed; name and reason are kept beside it."""
    console = Console()
    with plain_errors(console):
        session = open_session(overrides or [], config_dir)
        session.store.accept(session.artifact(asset), check, why, who)
        console.print(f"accepted {asset} {check}")


def adopt(
    asset: Asset,
    recipe: Annotated[str, typer.Argument(help="The recipe, or its beginning, of the artifact to keep.")],
    why: Why,
    overrides: Overrides = None,
    who: Who = "",
    config_dir: ConfigDir = None,
) -> None:
    """Keep an artifact across a refactor: what this configuration and code ask for takes its bytes."""
    from llm_dag.store.commit import adopt as adopt_artifact

    console = Console()
    with plain_errors(console):
        session = open_session(overrides or [], config_dir)
        if asset not in session.graph:
            raise StoreError(f"there is no asset {asset}; there are {', '.join(session.graph)}")
        found = session.resolver.resolve(asset)
        if found.recipe is None:
            raise StoreError(f"the recipe of {asset} is not known before its inputs are made; materialize them first")
        made = [one for one in session.store.artifacts(asset, found.partition) if one.recipe.startswith(recipe)]
        if len(made) != 1:
            known = ", ".join(one.recipe[:12] for one in session.store.artifacts(asset, found.partition))
            raise StoreError(f"{recipe} names {len(made)} artifacts of {asset}; its recipes are {known or 'none'}")
        adopted = adopt_artifact(session.store, made[0], found.recipe, who or getpass.getuser(), why)
        console.print(f"adopted {made[0].recipe[:12]} as {adopted.recipe[:12]}", highlight=False)
