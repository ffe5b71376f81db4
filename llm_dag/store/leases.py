"""Leases: who is making a recipe right now.

A lease is a small file that one process creates and renews. Its holder is known by host, boot (with the space of
process ids), process id and the process's start, so in the same place a dead holder is seen at once. Elsewhere a lease
is stale when its heartbeat has been watched for a minute and stood still; its date alone proves little, because clocks
differ and hosts share names. On one host the recipe is also locked (`flock`), which the kernel releases however a
process ends.
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
from llm_dag.store.launcher import launch_key

STALE_SECONDS = 60.0
OLD_SECONDS = 600.0  # no two clocks of one store are ten minutes apart: such a lease need not be watched
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
    launch: str = ""  # in which it was started (store.launcher), so that its followers know it

    def to_bytes(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode()


def this_process() -> Holder:
    """This process, with a new token."""
    pid = os.getpid()
    host, token = socket.gethostname(), uuid.uuid4().hex
    return Holder(host, _boot(), pid, process_start(pid), token, time.time(), launch_key())


def process_start(pid: int) -> str:
    """When a process started, in the kernel's ticks: tells a process from a later one with the same id. "" if gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rsplit(")", 1)[1].split()
    return "" if state in "ZX" else fields[18]


def is_stale(holder: Holder, now: float, unchanged: float = 0.0, patience: float | None = None) -> bool:
    """Whether a lease's holder is gone; `unchanged` is for how many seconds the lease was watched and stood still.

    It may stand still for `patience` seconds, or `STALE_SECONDS` where none is given.
    """
    if (holder.host, holder.boot) == (socket.gethostname(), _boot()) and holder.started:
        return process_start(holder.pid) != holder.started
    patience = STALE_SECONDS if patience is None else patience
    return unchanged > patience or now - holder.heartbeat > OLD_SECONDS


class Watch:
    """For how long a lease has stood still, by this process's own clock."""

    def __init__(self) -> None:
        self._seen: tuple[str, float] | None = None
        self._since = 0.0

    def unchanged(self, holder: Holder) -> float:
        now = time.monotonic()
        if (holder.token, holder.heartbeat) != self._seen:
            self._seen, self._since = (holder.token, holder.heartbeat), now
        return now - self._since


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
            except Exception:  # full disk, lost network, whatever the remote client raises: `check` guards the commit
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
        me, watch = this_process(), Watch()
        while not _taken(files, name, me, watch):
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


def _taken(files: Files, name: str, me: Holder, watch: Watch) -> bool:
    """Create the lease, or take over a stale one. Processes of one host do this under the guard's lock."""
    if files.create(name, me.to_bytes()):
        return True
    current = read_holder(files, name)
    if current is None or not is_stale(current, time.time(), watch.unchanged(current)):
        return False
    files.write(name, me.to_bytes())
    after = read_holder(files, name)  # two hosts may take over at once: the last to write is the holder
    return after is not None and after.token == me.token


def _boot() -> str:
    """Names the running system and, since containers number their processes apart, the space of process ids."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
