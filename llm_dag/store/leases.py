"""Leases: who is making a recipe right now.

A lease is a small file that one process creates and renews. Its holder is known by host, boot, process id and the
process's start, so on the same host a dead holder is seen at once; elsewhere a lease is stale a minute after its last
heartbeat. On one host the scratch folder is also locked (`flock`), which the kernel releases however a process ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from llm_dag.store.errors import LeaseLost
from llm_dag.store.files import Files

STALE_SECONDS = 60.0
HEARTBEAT_SECONDS = 10.0
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Holder:
    """The process that holds a lease."""

    host: str
    boot: str
    pid: int
    started: str
    token: str
    heartbeat: float

    def to_bytes(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode()


def this_process() -> Holder:
    """This process, with a new token."""
    pid = os.getpid()
    return Holder(socket.gethostname(), _boot(), pid, process_start(pid), uuid.uuid4().hex, time.time())


def process_start(pid: int) -> str:
    """When a process started, in the kernel's ticks: tells a process from a later one with the same id. "" if gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rsplit(")", 1)[1].split()
    return "" if state in "ZX" else fields[18]


def is_stale(holder: Holder, now: float) -> bool:
    """Whether a lease's holder is gone."""
    if holder.host == socket.gethostname():
        if holder.boot != _boot():
            return True
        if Path("/proc/self/stat").exists():
            return process_start(holder.pid) != holder.started
    return now - holder.heartbeat > STALE_SECONDS


class Lease:
    """A held lease; `check` before anything that only its holder may do."""

    def __init__(self, files: Files, name: str, holder: Holder) -> None:
        self._files, self._name, self._holder = files, name, holder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease {name}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises LeaseLost if another process has taken over."""
        current = read_holder(self._files, self._name)
        if current is None or current.token != self._holder.token:
            raise LeaseLost(f"{self._name}: another process has taken over this recipe; this one stops")

    def release(self) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(LeaseLost, OSError):
            self.check()
            self._files.delete(self._name)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            try:
                self.check()
                self._files.write(self._name, dataclasses.replace(self._holder, heartbeat=time.time()).to_bytes())
            except LeaseLost:
                return
            except OSError:  # a full disk or a lost network: the next beat tries again, and `check` guards the commit
                continue


def read_holder(files: Files, name: str) -> Holder | None:
    """Who holds a lease, or None. A lease that cannot be read counts as very old."""
    try:
        return Holder(**json.loads(files.read(name)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Holder("", "", 0, "", "", 0.0)


@contextlib.contextmanager
def held(files: Files, name: str, guard: Path, waiting: Callable[[Holder | None], bool]) -> Iterator[Lease | None]:
    """Hold the lease `name` and the lock of the file `guard`.

    While another process holds either, `waiting(holder)` is called again and again; when it returns True (the artifact
    is there) the result is None and nothing is held.
    """
    guard.parent.mkdir(parents=True, exist_ok=True)
    with guard.open("a") as lock:
        while not _locked(lock.fileno()):
            if waiting(read_holder(files, name)):
                yield None
                return
            time.sleep(POLL_SECONDS)
        me = this_process()
        while not _taken(files, name, me):
            if waiting(read_holder(files, name)):
                yield None
                return
            time.sleep(POLL_SECONDS)
        lease = Lease(files, name, me)
        try:
            yield lease
        finally:
            lease.release()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken(files: Files, name: str, me: Holder) -> bool:
    """Create the lease, or take over a stale one. Processes of one host do this under the guard's lock."""
    if files.create(name, me.to_bytes()):
        return True
    current = read_holder(files, name)
    if current is None or not is_stale(current, time.time()):
        return False
    files.write(name, me.to_bytes())
    after = read_holder(files, name)  # two hosts may take over at once: the last to write is the holder
    return after is not None and after.token == me.token


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
