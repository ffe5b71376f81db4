"""Dagster's home: DAGSTER_HOME where it is set, else a folder of the project's state."""

from __future__ import annotations

import os
from pathlib import Path

from llm_dag.config.places import state
from llm_dag.store.errors import StoreError

SETTINGS = """\
# Written once by llm_dag; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 1
  pools:
    granularity: op
    default_limit: 1 # assets of the pool `accelerator` take turns, over all processes
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 10 # of a run whose process was killed
"""


def ensure() -> Path:
    """Make the home and its dagster.yaml if they are not there, and name it to this process and its children.

    Raises:
        StoreError: there can be no such folder.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or state() / "dagster").absolute()
    os.environ["DAGSTER_HOME"] = str(home)
    settings = home / "dagster.yaml"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not settings.exists():
            settings.write_text(SETTINGS)
    except OSError as error:
        raise StoreError(f"DAGSTER_HOME={home}: {error.strerror}; wanted a folder that can be written") from error
    return home
