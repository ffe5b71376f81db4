"""What the terminal says: sizes, durations, lines of progress."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.assets.reporting import FILE, duration, line, reporter
from llm_dag.cli.tables import size
from llm_dag.progress import Report, Reporter


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (89.4, "89 s"),
        (89.7, "90 s"),
        (90, "1 min 30 s"),
        (125.6, "2 min 6 s"),
        (5399, "89 min 59 s"),
        (5400, "1 h 30 min"),
        (86400, "24 h 0 min"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1536, "1.5 kB"),
        (2_500_000, "2.5 MB"),
        (3e9, "3.0 GB"),
        (4.2e12, "4.2 TB"),
        (5e15, "5000.0 TB"),
    ],
)
def test_sizes(count: float, said: str) -> None:
    assert size(count) == said


@given(st.floats(0, 1e9))
def test_no_duration_has_sixty_seconds_or_minutes(seconds: float) -> None:
    words = duration(seconds).split()
    named = dict(zip(words[1::2], map(int, words[::2]), strict=True))
    assert named.get("s", 0) <= (59 if "min" in named else 90)
    assert named.get("min", 0) <= (59 if "h" in named else 90)


def test_a_line_says_how_far_how_fast_and_how_long() -> None:
    report = Report("training", 1200, 4000, "steps", 2.0, {"loss": 3.21456, "bits_per_byte": 1.5})
    assert line(report) == "training 1,200/4,000 steps, 2 steps/s, 23 min 20 s left, loss 3.215, bits_per_byte 1.5"


def test_a_line_says_nothing_of_what_is_not_known() -> None:
    assert line(Report("pages", 10, None, "pages")) == "pages 10 pages"
    assert line(Report("pages", 10, 10, "pages", 4.0)) == "pages 10/10 pages, 4 pages/s"


class Context:
    """What a step's progress uses of Dagster's context."""

    def __init__(self) -> None:
        self.asset_key = SimpleNamespace(path=["base_model"])
        self.lines: list[str] = []
        self.observations: list[Any] = []
        self.log = SimpleNamespace(info=self.lines.append)
        self.log_event = self.observations.append


def test_progress_goes_to_the_log_to_observations_and_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FILE, str(tmp_path / "progress.jsonl"))
    context = Context()
    monkeypatch.setattr("llm_dag.assets.reporting.dg.AssetObservation", lambda key, partition, metadata: metadata)
    told = reporter(context, "a-dump", 0.0)  # type: ignore[arg-type]
    told.start("training", 2, "steps")
    told.update(1, loss=3.0, broken=float("nan"))
    told.say("half way")
    told.update(2)
    assert context.lines[1:2] == ["half way"]
    assert context.lines[0].startswith("training 1/2 steps")
    assert context.observations == [{"done": 1, "loss": 3.0}]  # no number, no observation; a NaN is none
    written = [json.loads(text) for text in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert {one["asset"] for one in written} == {"base_model"}
    assert [one["done"] for one in written] == [0, 1, 0, 2]
    assert [one["text"] for one in written] == ["", "", "half way", ""]


def test_a_reporter_says_the_first_and_the_last_and_little_between() -> None:
    now = [0.0]
    found: list[Report] = []
    told = Reporter(found.append, every=10.0, clock=lambda: now[0])
    told.start("training", 100, "steps")
    for done in range(40, 101):  # as a resumed task does
        now[0] += 1.0
        told.update(done)
    assert [one.done for one in found] == [0, 40, 50, 60, 70, 80, 90, 100]
    assert found[2].rate == pytest.approx(10 / 11)
