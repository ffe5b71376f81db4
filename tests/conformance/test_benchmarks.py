"""The benchmarks run: each on a little of what it measures, so that a change of what they call is noticed here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import curation, extraction, inputs, minhash_join, scaling

pytestmark = pytest.mark.skipif(inputs.real_data() is None, reason="no real data")


def test_scaling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "LARGEST", 40)
    monkeypatch.setattr(scaling, "PARTS", (2, 1))
    found = scaling.main()
    assert set(found["seconds"]) == set(found["peak_mb"]) == {20, 40}
    assert all(peak > 100 for peak in found["peak_mb"].values())
    assert found["exponent_by_step"].keys() >= {"raw_pages", "pii_redacted"}


def test_curation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All three sides over the same pages; every difference between the decisions has a cause."""
    monkeypatch.setattr(curation, "ROUNDS", 1)
    crawl = inputs.crawls(tmp_path, 60)["documentation"]
    found = curation.measure("documentation", crawl, tmp_path / "run")
    assert found["pages"] == sum(found["decisions"].values()) == 60
    assert "unexplained" not in found["decisions"]
    assert all(found[side]["processor"][0] > 1 for side in ("datatrove", "fineweb", "fast"))


def test_extraction_scores_are_the_extractors_own(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = inputs.articles

    def some(real: Path) -> Iterator[tuple[str, bytes, str]]:
        return itertools.islice(everything(real), 12)

    def few(real: Path) -> list[tuple[bytes, list[str], list[str]]]:
        return every_string(real)[:12]

    every_string = extraction.strings
    monkeypatch.setattr(inputs, "articles", some)
    monkeypatch.setattr(extraction, "strings", few)
    found: dict[str, Any] = extraction.main()
    for benchmark, name in itertools.product(extraction.PUBLISHED, extraction.EXTRACTORS):
        own, step = (found[f"{benchmark}/{name}/{kind}"]["f1"] for kind in ("own", "ours"))
        assert abs(own - step) < 0.01
        assert step > 0.5


def test_minhash_join(tmp_path: Path) -> None:
    minhash_join.make(tmp_path, 500)
    assert len(list(tmp_path.rglob("*.parquet"))) > 1
