"""The curation steps over worker processes make the bytes that they make in one."""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_dag.store import workers
from llm_dag.store.canonical import file_digest
from tests.curation.chain import Made, chain, extracted
from tests.curation.crawling import build, from_files, numbered, write_warc
from tests.curation.test_chain import page

PAGES = [(f"{number:02}", page(number) if number % 4 else "too short") for number in range(16)]


def digests(made: Mapping[str, Made]) -> dict[str, dict[str, str]]:
    return {asset: {name: file_digest(one.path(name)) for name in one.names()} for asset, one in made.items()}


def sent(job: Any, sizes: Mapping[str, int], begin: Callable[[str], Any], *more: Any) -> Iterator[tuple[Any, Any]]:
    """What workers do, in the opposite order and without the processes."""
    judging = arrived(job)
    for name in reversed(list(sizes)):
        task = begin(name)
        yield task, arrived(judging(arrived(task)))


def arrived(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - written above


def test_what_each_judge_needs_can_be_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(name: str) -> dict[str, Made]:
        return chain(tmp_path / name, extracted(tmp_path / name, [PAGES[0::2], PAGES[1::2]]))

    here = made("here")
    monkeypatch.setattr(workers, "results", sent)
    assert digests(made("there")) == digests(here)
    assert len(here["pii_redacted"].kept()) > 8


def test_url_filter_and_extraction_make_the_same_artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crawl = write_warc(tmp_path / "crawl.warc.gz", [numbered(number) for number in range(6)])
    asked = from_files(crawl, documents=2)
    here = build(tmp_path / "here", *asked, "compute.workers=1")
    started = []
    start = subprocess.Popen.__init__

    def counted(self: Any, arguments: Any, **more: Any) -> None:
        started.append(arguments)
        start(self, arguments, **more)

    monkeypatch.setattr(subprocess.Popen, "__init__", counted)
    monkeypatch.setattr(workers, "START_SECONDS", 0.0)
    there = build(tmp_path / "there", *asked, "compute.workers=2")
    assert sum("workers import serve" in " ".join(map(os.fspath, arguments)) for arguments in started) == 4
    assert {name: made.digest for name, made in there.items()} == {name: made.digest for name, made in here.items()}
    assert len(here["extracted_text"].shards) == 3
