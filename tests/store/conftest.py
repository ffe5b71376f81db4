"""A house of its own for each test: a store, the example's graph, and a log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .example import House, Log


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here pulls the plug, and waiting for a disk takes most of the time of these tests."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(str(tmp_path / "store"), Log(tmp_path / "log.txt"))
