"""Where a step's progress goes: Dagster's log, observations that the UI plots, the file that `llm-dag run` reads."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path

import dagster as dg

from llm_dag.progress import Report, Reporter

FILE = "LLM_DAG_PROGRESS"  # the file that `llm-dag run` names to its steps, in whatever process they are


def reporter(context: dg.AssetExecutionContext, partition: str | None, every: float) -> Reporter:
    """The progress of one step."""
    asset = context.asset_key.path[-1]
    told = Path(os.environ[FILE]) if FILE in os.environ else None

    def sink(report: Report) -> None:
        if told:
            _append(told, asset, report)
        if report.text:
            context.log.info(report.text)
        elif report.done:
            context.log.info(line(report))
            numbers = {name: value for name, value in report.numbers.items() if math.isfinite(value)}
            if numbers:
                observed = {"done": report.done, **numbers}
                context.log_event(dg.AssetObservation(context.asset_key, partition=partition, metadata=observed))

    return Reporter(sink, every)


def say(text: str) -> None:
    """A word about the whole run: to Dagster's log, and to the terminal of `llm-dag run`."""
    dg.get_dagster_logger().info(text)
    if FILE in os.environ:
        _append(Path(os.environ[FILE]), "run", Report("run", text=text))


def line(report: Report) -> str:
    """A state of a task as a line: `base_model 120/400 steps, 2.1 steps/s, 2 min left, loss 3.21`."""
    return f"{report.task} {', '.join(state(report))}"


def state(report: Report) -> list[str]:
    """How far a task is, how fast, how much longer, and its numbers; what is not known is left out."""
    total = f"/{report.total:,}" if report.total is not None else ""
    parts = [f"{report.done:,}{total} {report.unit}"]
    if report.rate:
        parts.append(f"{report.rate:,.3g} {report.unit}/s")
        if report.total and report.done < report.total:
            parts.append(f"{duration((report.total - report.done) / report.rate)} left")
    return parts + [f"{name} {value:.4g}" for name, value in report.numbers.items()]


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 90:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _append(file: Path, asset: str, report: Report) -> None:
    """One JSON line; a single small write to a file in append mode is not torn by another process's."""
    content = (json.dumps({"asset": asset, **dataclasses.asdict(report)}) + "\n").encode()
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
