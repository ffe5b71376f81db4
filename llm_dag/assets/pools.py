"""Slots of a pool that a killed run still holds.

Dagster gives them back by its daemon, if one runs; without one, the next run waits for the accelerator for ever. A run
has noted the id of its process. If no such process lives that began before the note, the run is over: it is reported as
failed and its slots are free. A home on a database may be shared by machines whose processes cannot be seen from here,
so there this is left to the daemon.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import dagster as dg
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._utils.concurrency import ConcurrencyKeyInfo

from llm_dag.store.leases import process_start

SLACK_SECONDS = 2.0  # between the kernel's clock and the one of the event log


def free(instance: dg.DagsterInstance, own: str) -> list[str]:
    """Free the slots of runs that are gone, but for the run `own`; the ids of these runs."""
    storage = instance.event_log_storage
    if not isinstance(instance.run_storage, SqliteRunStorage):
        return []
    holding = {run_id for info in _slots(instance) for run_id in (*info.active_run_ids, *info.pending_run_ids)}
    gone = sorted(run_id for run_id in holding - {own} if _is_gone(instance, run_id))
    for run_id in gone:
        storage.free_concurrency_slots_for_run(run_id)
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, "The process of this run is gone: it was killed, or the machine restarted.")
    return gone


def holders(instance: dg.DagsterInstance, own: str) -> list[str]:
    """The other runs that hold a slot now: a step that wants the accelerator waits until they have left it."""
    return sorted({run_id for info in _slots(instance) for run_id in info.active_run_ids} - {own})


def _slots(instance: dg.DagsterInstance) -> list[ConcurrencyKeyInfo]:
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return []
    return [storage.get_concurrency_info(key) for key in storage.get_concurrency_keys()]


def _is_gone(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return True
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        noted = entry.get_dagster_event().engine_event_data.metadata.get("pid")
        if noted is not None:
            return not _lives(int(str(noted.value)), entry.timestamp)
    return False


def _lives(pid: int, noted: float) -> bool:
    """Whether the process that had an id at the Unix time `noted` is still there, and not a later one with its id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, so it lives
    try:
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return True  # this system does not tell more
    ticks = process_start(pid)
    if not ticks:
        return False  # it has ended, and its parent has not asked how
    return time.time() - uptime + int(ticks) / os.sysconf("SC_CLK_TCK") <= noted + SLACK_SECONDS
