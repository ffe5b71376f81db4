"""Plots: round ticks, stretching curves, whiskers where there is an interval, and no markup from outside."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.evaluation.plots import POINTS, Bar, Curve, arcs, bars, curves, thin, ticks


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 8))
def test_ticks_enclose_the_range_and_are_few(low: float, span: float, count: int) -> None:
    found = ticks(low, low + span, count)
    assert found == sorted(set(found))
    assert found[0] <= low + span * 1e-6
    assert found[-1] >= low + span * (1 - 1e-6)
    assert 2 <= len(found) <= count + 2


def test_ticks_are_round() -> None:
    assert ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert ticks(1.32, 1.9, 4) == [1.2, 1.4, 1.6, 1.8, 2.0]
    assert ticks(3, 3, 4)[0] <= 3 <= ticks(3, 3, 4)[-1]


def test_thin_keeps_the_ends() -> None:
    points = [(float(x), float(x)) for x in range(5000)]
    few = thin(points, POINTS)
    assert len(few) == POINTS
    assert (few[0], few[-1]) == (points[0], points[-1])


def test_a_bar_is_as_long_as_its_value() -> None:
    drawn = ET.fromstring(bars([Bar("a", "1", 1.0, 0.5, 1.5), Bar("b", "2", 2.0)], "t", "d"))
    lengths = [rect.get("width") for rect in drawn.iter("rect") if "fill" in (rect.get("class") or "")]
    assert lengths == ["50.00%", "100.00%"]
    assert len(list(drawn.iter("g"))) == 1
    halves = ET.fromstring(bars([Bar("a", "1", 0.5)], "t", "d", full=1.0))
    assert [rect.get("width") for rect in halves.iter("rect")][1] == "50.00%"


def test_bars_of_nothing_and_of_what_is_not_finite_can_be_drawn() -> None:
    drawn = ET.fromstring(bars([Bar("a", "0", 0.0), Bar("b", "nan", float("nan"))], "t", "d"))
    filled = [rect.get("width") for rect in drawn.iter("rect") if rect.get("class") != "rail"]
    assert [float(str(width).rstrip("%")) for width in filled] == [0.0, 0.0]


def test_a_curve_runs_from_corner_to_corner() -> None:
    drawn = ET.fromstring(curves([Curve("c", [0, 5, 10], [2.0, 1.0, 0.0])], "t", "d", "steps", str))
    line = next(drawn.iter("polyline")).get("points")
    assert line == "0.0,0.0 500.0,500.0 1000.0,1000.0"


def test_a_curve_without_points_is_refused() -> None:
    with pytest.raises(ValueError, match="no points"):
        curves([Curve("c", [1.0], [float("nan")])], "t", "d", "steps", str)


def test_names_are_escaped() -> None:
    evil = '<b onload="x">&'
    for drawn in (
        bars([Bar(evil, evil, 1.0)], evil, evil),
        curves([Curve(evil, [0, 1], [0, 1])], evil, evil, evil, lambda _: evil),
        arcs([(0, 1)], ["crawl", "curation"], evil, evil),
    ):
        root = ET.fromstring(drawn)
        assert not list(root.iter("b"))
        assert next(root.iter("title")).text == evil


def test_neighbours_are_joined_by_a_straight_line_and_others_by_an_arc() -> None:
    drawn = ET.fromstring(arcs([(0, 1), (0, 2)], ["a", "b", "c"], "t", "d"))
    paths = {path.get("d") or "": path.get("class") for path in drawn.iter("path")}
    assert len(paths) == 2
    across = sorted(len({float(x) for x in re.findall(r"[\d.]+", path)[::2]}) for path in paths)
    assert across == [1, 2]
    assert len(list(drawn.iter("circle"))) == 3
