"""Crawls made to break a pipeline, through all steps in a process of its own: every fate, conservation, memory.

Among them an HTML bomb of a gigabyte behind a small header, a line of 100 MB, gzip in gzip, 50,000 pages of one line,
and the broken WARC files that other readers keep for their tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import hostile, inputs

pytestmark = pytest.mark.skipif(inputs.real_data() is None, reason="no real data")
MOST_MEGABYTES = 1_000  # a worker of 400, and a page of ten megabytes with the tree that a parser builds of it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def crawls(folder: Path) -> dict[str, Any]:
    return hostile.crawls(folder)


@pytest.mark.parametrize("name", ["bombs", "rows", "one-line pages", "edge cases"])
@pytest.mark.parametrize("profile", ["fast", "fineweb"])
def test_every_page_meets_its_fate_in_bounded_memory(
    crawls: dict[str, Any], folder: Path, name: str, profile: str
) -> None:
    if (name, profile) == ("one-line pages", "fineweb"):
        pytest.skip("a minute and a half of trafilatura: python -m benchmarks hostile runs it")
    source, files, wanted = crawls[name]
    report = hostile.run(folder, profile, source, files, f"{name}-{profile}")
    assert hostile.wrong(report, wanted) == []
    assert report["peak_mb"] < MOST_MEGABYTES
    if name == "edge cases":
        assert report["pages"] == 41
        assert report["counts"]["raw_pages: clipped"] == 3


def test_a_wrong_fate_and_a_lost_page_are_told() -> None:
    burnt = (f"{hostile.SITE}e", "extracted_text: extraction_timeout")
    fates = [(f"{hostile.SITE}a", "kept"), ("", "raw_pages: not_utf8"), burnt]
    report = {"unkept": ["c4_filtered: 1 lost"], "fates": fates}
    wanted = {"a": hostile.DROPPED, "b": "raw_pages: clipped", **dict.fromkeys("cd", "raw_pages: not_utf8")}
    assert hostile.wrong(report, wanted) == [
        "c4_filtered: 1 lost",
        "https://hostile.example/e: extracted_text: extraction_timeout",
        "a: kept; wanted: dropped",
        "b: not there; wanted: raw_pages: clipped",
        "d: not there; wanted: raw_pages: not_utf8",
    ]
