"""The whole graph at scale=ci through the real commands, once for all tests of this folder."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
TIMEOUT = 400


@dataclass(frozen=True)
class House:
    """A store and a Dagster home of their own, and the commands on them."""

    store: Path
    home: Path

    def command(self, *words: str, timeout: float = TIMEOUT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / words[0]), *words[1:]], capture_output=True, text=True, timeout=timeout, env=self.environment
        )

    def llm_dag(self, command: str, *overrides: str) -> subprocess.CompletedProcess[str]:
        return self.command("llm-dag", command, "scale=ci", f"compute.store={self.store}", *COMPUTE, *overrides)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DAGSTER_HOME": str(self.home), "COLUMNS": "160"}

    @property
    def overrides(self) -> Sequence[str]:
        return (f"compute.store={self.store}", *COMPUTE)


COMPUTE = ("compute.compile=false", "compute.report_seconds=0.5")


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("house")
    return House(folder / "store", folder / "dagster")


@pytest.fixture(scope="session")
def first_run(house: House) -> subprocess.CompletedProcess[str]:
    """The graph, materialized once."""
    return house.llm_dag("run")
