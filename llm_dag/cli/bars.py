"""Progress in a terminal: bars with rate and time left; without a terminal, a line now and then."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from llm_dag.assets.reporting import FILE, line, state
from llm_dag.progress import Report

POLL_SECONDS = 0.2
LINE_SECONDS = 15.0  # between the lines of one task, where there is no terminal


@contextmanager
def shown(console: Console) -> Iterator[None]:
    """Show what the steps of this process and its children report, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="llm_dag_") as folder:
        told = Path(folder) / "progress.jsonl"
        told.touch()
        os.environ[FILE] = str(told)
        stop = threading.Event()
        follow = _bars if console.is_terminal else _lines
        thread = threading.Thread(target=follow, args=(console, told, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            del os.environ[FILE]


def _reports(told: Path, stop: threading.Event) -> Iterator[tuple[str, Report] | None]:
    """The reports of the file as they are appended; None where there is nothing new."""
    with told.open(encoding="utf-8") as stream:
        rest = ""
        while True:
            last = stop.is_set()
            rest += stream.read()
            *whole, rest = rest.split("\n")
            for text in whole:
                values: dict[str, Any] = json.loads(text)
                yield values.pop("asset"), Report(**values)
            if last:
                return
            yield None
            time.sleep(POLL_SECONDS)


def _bars(console: Console, told: Path, stop: threading.Event) -> None:
    columns = (
        TextColumn("[bold]{task.fields[asset]:<19}[/]"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=console, refresh_per_second=8) as progress:
        tasks: dict[tuple[str, str], TaskID] = {}
        for item in _reports(told, stop):
            if item is None:
                continue
            asset, report = item
            if report.text:
                console.print(f"  [dim]{asset}: {report.text}[/]", highlight=False)
                continue
            key = (asset, report.task)
            if key not in tasks:
                for other in tasks.values():
                    progress.update(other, visible=False)
                tasks[key] = progress.add_task(report.task, total=report.total, asset=asset, state="")
            words = "  ".join(state(report))
            progress.update(tasks[key], completed=report.done, total=report.total, state=words, visible=True)
        for other in tasks.values():
            progress.update(other, visible=False)


def _lines(console: Console, told: Path, stop: threading.Event) -> None:
    printed: dict[tuple[str, str], float] = {}
    for item in _reports(told, stop):
        if item is None:
            continue
        asset, report = item
        if report.text:
            console.print(f"{asset}: {report.text}", highlight=False, soft_wrap=True)
            continue
        key, now = (asset, report.task), time.monotonic()
        finished = report.total is not None and report.done >= report.total
        if report.done and (finished or now - printed.get(key, 0.0) >= LINE_SECONDS):
            printed[key] = now
            prefix = "" if report.task == asset else f"{asset}: "
            console.print(prefix + line(report), highlight=False, soft_wrap=True)
