"""The memory of digests: large files are hashed once, and never remembered wrongly."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from llm_dag.store import digests
from llm_dag.store.canonical import file_digest
from llm_dag.store.digests import FileDigests


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really hashed; every file counts as large and as settled."""
    found: list[Path] = []

    def counting(path: Path) -> str:
        found.append(path)
        return file_digest(path)

    monkeypatch.setattr(digests, "file_digest", counting)
    monkeypatch.setattr(digests, "SMALL", 0)
    monkeypatch.setattr(digests, "SETTLED_SECONDS", -1.0)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pages.warc"
    path.write_text("first")
    return path


def test_an_unchanged_file_is_hashed_once_also_by_the_next_process(
    tmp_path: Path, file: Path, hashed: list[Path]
) -> None:
    memory = FileDigests(tmp_path / "digests.jsonl")
    assert memory(file) == memory(file) == FileDigests(tmp_path / "digests.jsonl")(file)
    assert hashed == [file]


def test_a_changed_file_is_hashed_again_also_when_its_size_and_date_are_kept(
    tmp_path: Path, file: Path, hashed: list[Path]
) -> None:
    memory = FileDigests(tmp_path / "digests.jsonl")
    before, status = memory(file), file.stat()
    time.sleep(0.02)  # the file system's clock ticks
    file.write_text("other")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert memory(file) != before


def test_a_file_that_changed_just_now_is_not_remembered(
    tmp_path: Path, file: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SETTLED_SECONDS", 3600.0)
    memory = FileDigests(tmp_path / "digests.jsonl")
    memory(file)
    memory(file)
    assert hashed == [file, file]


def test_a_torn_line_and_a_memory_that_cannot_be_written_cost_only_time(
    tmp_path: Path, file: Path, hashed: list[Path]
) -> None:
    (tmp_path / "digests.jsonl").write_text('["/x", 1, 2\n17\n')
    assert FileDigests(tmp_path / "digests.jsonl")(file) == file_digest(file)
    (tmp_path / "occupied").write_text("a file where the folder should be")
    assert FileDigests(tmp_path / "occupied" / "digests.jsonl")(file) == file_digest(file)
