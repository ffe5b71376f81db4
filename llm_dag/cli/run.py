"""`llm-dag run`: materialize a job through Dagster, with bars while it works and a summary at the end."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from llm_dag.assets.jobs import JOBS, members
from llm_dag.assets.reporting import duration
from llm_dag.cli import bars, home
from llm_dag.cli.session import Session, open_session, plain_errors
from llm_dag.cli.tables import plan_table, size
from llm_dag.config.compose import sweep
from llm_dag.store.errors import StoreError
from llm_dag.store.launcher import Launch, launched
from llm_dag.store.resolve import State

FAILED = 1
CHECKED = "ASSET_CHECK_EVALUATION"

Overrides = Annotated[list[str] | None, typer.Argument(help="Hydra overrides: scale=ci curation.gopher.min_words=60")]
ConfigDir = Annotated[Path | None, typer.Option(help="A folder of further groups and experiments.")]


def run(
    overrides: Overrides = None,
    job: Annotated[str, typer.Option(help=f"What to materialize: {', '.join(JOBS)}.")] = "assistant",
    dry_run: Annotated[bool, typer.Option(help="Say what would be reused and built, and why; do nothing.")] = False,
    release: Annotated[list[str] | None, typer.Option(help="Let go of a held asset, so that it is rebuilt.")] = None,
    multirun: Annotated[bool, typer.Option(help="Run every combination of overrides like a=1,2.")] = False,
    cfg: Annotated[str, typer.Option(help="Print the resolved configuration (job) and do nothing.")] = "",
    config_dir: ConfigDir = None,
) -> None:
    """Materialize the assets of a job (assistant: all of them); what has not changed is reused."""
    console = _console()
    with plain_errors(console):
        runs = sweep(overrides or []) if multirun else [overrides or []]
        for each in runs:
            if multirun:
                console.rule(" ".join(each))
            session = open_session(each, config_dir)
            names = members(job, session.graph)
            released = _held(session, release or [])
            if cfg:
                if cfg != "job":
                    raise StoreError(f"--cfg {cfg}: allowed is job")
                sys.stdout.write(session.config.to_yaml())
            elif dry_run and released:
                raise StoreError("--release lets go of an asset when it runs; --dry-run does nothing: give one of them")
            elif dry_run:
                console.print(plan_table(session, [session.resolver.resolve(name) for name in names]))
            else:
                for name in released:
                    session.store.release(name, session.resolver.resolve(name).request)
                _run(console, session, job, names)


def _console() -> Console:
    """A console on the terminal itself: Dagster captures the descriptors 1 and 2 while a step runs."""
    return Console(file=os.fdopen(os.dup(sys.stdout.fileno()), "w"), force_terminal=sys.stdout.isatty() or None)


def _run(console: Console, session: Session, job: str, names: Sequence[str]) -> None:
    launch = launched(session.config.compute)
    if launch and not launch.leads:
        _follow(console, session, job, launch)
        return
    console.print("resolving …", style="dim")
    resolver = session.resolver
    building = [name for name in names if resolver.resolve(name).state not in (State.FRESH, State.HELD)]
    first = ", ".join(building[:6]) + (f" and {len(building) - 6} more" if len(building) > 6 else "")
    console.print(f"to build: {first}" if building else "everything is fresh", highlight=False)
    begun = time.monotonic()
    with bars.shown(console):
        result = _execute(job, session)
    states = _states(result)
    console.print(_summary(session, states))
    seconds = duration(time.monotonic() - begun)
    if not result.success:
        for line in _failures(result, session):
            console.print(f"[bold red]error[/] {escape(line)}", highlight=False, soft_wrap=True)
        console.print(f"failed after {seconds}; run the same command to go on from here", highlight=False)
        raise typer.Exit(FAILED)
    held = [name for name, state in states.items() if state == State.HELD.value]
    reused = [name for name, state in states.items() if state == State.FRESH.value]
    built = len(states) - len(held) - len(reused)
    words = f"{built} built, {len(reused)} reused" if built else f"nothing was recomputed, {len(reused)} assets reused"
    console.print(f"{words}{f', {len(held)} held' if held else ''}, {seconds}", highlight=False)
    if held:
        letting_go = escape(f"llm-dag run{''.join(f' --release {name}' for name in held)}{session.asked}")
        console.print(f"[yellow]made from older inputs and kept:[/] {', '.join(held)}", highlight=False, soft_wrap=True)
        console.print(f"make again:  {letting_go}", highlight=False, soft_wrap=True)
    if "report_card" in states:
        page = session.artifact("report_card").location
        console.print(f"report card: {page}/record/report_card.html", highlight=False, soft_wrap=True)
        talk = escape(f"llm-dag chat{session.asked}")
        console.print(f"talk to it:  {talk}      look inside: make ui", highlight=False, soft_wrap=True)


def _follow(console: Console, session: Session, job: str, launch: Launch) -> None:
    """Run the job beside the leader's, and say nothing but what went wrong.

    Dagster's home is one of this process's own: on the leader's, it would wait until the leader has left the
    accelerator, and the run would be shown once for each process.
    """
    with tempfile.TemporaryDirectory(prefix="llm_dag_") as folder:
        os.environ["DAGSTER_HOME"] = folder
        result = _execute(job, session)
        if not result.success:
            for line in _failures(result, session):
                console.print(
                    f"[bold red]error[/] of rank {launch.rank}: {escape(line)}", highlight=False, soft_wrap=True
                )
            raise typer.Exit(FAILED)


def _held(session: Session, names: list[str]) -> list[str]:
    """The names, if each is a held asset. Raises StoreError before anything is released."""
    held = [step.name for step in session.graph.values() if step.held]
    if wrong := [name for name in names if name not in held]:
        raise StoreError(f"--release {wrong[0]}: allowed is one of {', '.join(held)}")
    return names


def _execute(job: str, session: Session) -> Any:
    """Run the job in this process, as `dagster job execute` would, on the instance of DAGSTER_HOME."""
    home.ensure()
    import dagster as dg

    asked: dict[str, Any] = {"overrides": list(session.config.overrides)}
    if session.config_dir:
        asked["config_dir"] = str(session.config_dir)
    with dg.DagsterInstance.get() as instance:
        return dg.execute_job(
            dg.build_reconstructable_job("llm_dag.cli.reconstruct", "job", (job,)),
            instance=instance,
            run_config={
                "resources": {"conf": {"config": asked}},
                "execution": {"config": {"mode": session.config.compute.executor}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            tags={"dagster/partition": session.config.identity.source.dump},
            raise_on_error=False,
        )


def _states(result: Any) -> dict[str, str]:
    """What each asset's materialization was: fresh, held, built or resumed."""
    states = {}
    for event in result.all_events:
        if event.is_step_materialization:
            made = event.step_materialization_data.materialization
            states[made.asset_key.path[-1]] = str(made.metadata["state"].value)
    return states


def _failures(result: Any, session: Session) -> list[str]:
    """What went wrong, in the words of the step that failed; a fault of the program says where its trace is."""
    checks = [event.asset_check_evaluation_data for event in result.all_events if event.event_type_value == CHECKED]
    lines = []
    for check in checks:
        if not check.passed and check.severity.value == "ERROR":
            asset = check.asset_key.path[-1]
            accept = f'llm-dag accept {asset} {check.check_name}{session.asked} --why "…"'
            lines.append(
                f"{asset}: its check {check.check_name} failed: {check.description}; if that is right: {accept}"
            )
    if lines:
        return lines
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                lines.append(data.user_failure_data.description)
                continue
            error = data.error
            if error and "Interrupted" in (error.cls_name or ""):
                lines.append(f"{event.step_key}: interrupted; what it has done so far is kept")
                continue
            while error and error.cause:
                error = error.cause
            told = error.message.strip() if error else "no message"
            lines.append(f"{event.step_key}: {told} (the whole trace: `make ui`, run {result.run_id})")
    return lines or [f"the run {result.run_id} failed before its first step; see `make ui`"]


def _summary(session: Session, states: dict[str, str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, justify in (("asset", "left"), ("", "left"), ("took", "right"), ("size", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    resolver = session.resolver
    for name, state in states.items():
        artifact = resolver.resolve(name).artifact
        if artifact is not None:
            word = {"fresh": "reused", "resume": "resumed", "undecided": "built", "build": "built"}.get(state, state)
            table.add_row(name, word, duration(artifact.seconds), size(artifact.bytes), _facts(artifact.metrics))
    return table


def _facts(metrics: Any) -> str:
    """The one or two numbers of an asset that a person looks for first."""
    if "documents_in" in metrics:
        return f"{int(metrics['documents_kept']):,} of {int(metrics['documents_in']):,} documents kept"
    wanted = ("tokens", "vocab_size", "bits_per_byte", "loss", "conversations", "bytes_per_token")
    return ", ".join(f"{name} {metrics[name]:,.4g}" for name in wanted if name in metrics)
