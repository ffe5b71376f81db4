"""A house of its own for each test: a store, the example's graph, and a log."""

from __future__ import annotations

from pathlib import Path

import pytest

from .example import House, Log


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(str(tmp_path / "store"), Log(tmp_path / "log.txt"))
