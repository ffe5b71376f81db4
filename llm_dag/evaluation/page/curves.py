"""Learning curves from the histories that the trainings wrote."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from markupsafe import Markup

from llm_dag.evaluation.page.wording import phrase, short
from llm_dag.evaluation.plots import Curve, curves

X = ("tokens", "step")  # the first column that a history has is its x axis
PLOTS = {"loss": "Loss", "bits_per_byte": "Bits per byte"}  # columns that hold the word, in one plot
KINDS = ("a", "b", "c")


@dataclass(frozen=True)
class Plot:
    """One plot, and its curves by name and colour for the legend."""

    title: str
    svg: Markup
    legend: tuple[tuple[str, str], ...]


def learning(path: Path, whose: str) -> list[Plot]:
    """The plots of one `history.parquet`; none for a history without numbers."""
    columns = pq.read_table(path, partitioning=None).to_pydict()
    x_name = next((name for name in X if name in columns), None)
    if x_name is None:
        return []
    plots = []
    for word, title in PLOTS.items():
        rows: list[Curve] = []
        for name in (name for name in columns if word in name):
            points = [
                (float(x), float(y))
                for x, y in zip(columns[x_name], columns[name], strict=True)
                if x is not None and y is not None and math.isfinite(y)
            ]
            if points:
                x, y = zip(*points, strict=True)
                rows.append(Curve(phrase(name), x, y, KINDS[len(rows) % len(KINDS)]))
        if rows:
            ends = "; ".join(f"{row.name} from {row.y[0]:.3f} to {row.y[-1]:.3f}" for row in rows)
            svg = curves(rows, f"{title} of the {whose}", ends, phrase(x_name), short)
            plots.append(Plot(f"{title}, {whose}", svg, tuple((row.name, row.kind) for row in rows)))
    return plots
