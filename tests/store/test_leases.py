"""Leases: one maker of a recipe at a time, and nobody waits for the dead."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from llm_dag.store import leases
from llm_dag.store.errors import LeaseLost
from llm_dag.store.files import Files, LocalFiles
from llm_dag.store.leases import Holder, held, is_stale, process_start, read_holder, this_process

NAME = ".leases/one.json"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return LocalFiles(tmp_path / "store")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "POLL_SECONDS", 0.01)


def never(holder: Holder | None) -> bool:
    raise AssertionError(f"nobody to wait for, but waiting for {holder}")


def dead_process() -> tuple[int, str]:
    """The id and start of a process that has ended and was not waited for: ids of living ones may come again."""
    process = subprocess.Popen(["sleep", "60"])
    start = process_start(process.pid)
    process.kill()
    process.wait()
    return process.pid, start


def test_a_lease_names_its_holder_and_is_gone_after_its_release(files: Files, tmp_path: Path) -> None:
    with held(files, NAME, tmp_path / "guard", never) as lease:
        assert lease is not None
        lease.check()
        holder = read_holder(files, NAME)
        assert holder is not None
        assert (holder.host, holder.pid) == (socket.gethostname(), os.getpid())
        assert not is_stale(holder, time.time())
    assert read_holder(files, NAME) is None


def test_a_lease_is_released_when_the_step_fails(files: Files, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), held(files, NAME, tmp_path / "guard", never):
        raise RuntimeError
    assert read_holder(files, NAME) is None


def test_a_lease_of_a_dead_process_is_stale_at_once_also_when_its_id_is_used_again(files: Files) -> None:
    me = this_process()
    pid, start = dead_process()
    assert is_stale(dataclasses.replace(me, pid=pid, started=start), time.time())
    assert is_stale(dataclasses.replace(me, started="1"), time.time())
    zombie = subprocess.Popen(["true"])
    while process_start(zombie.pid):
        time.sleep(0.01)
    assert is_stale(dataclasses.replace(me, pid=zombie.pid, started="1"), time.time())
    zombie.wait()


def test_a_lease_of_elsewhere_is_stale_once_its_heartbeat_stood_still_for_a_minute() -> None:
    now = time.time()
    here = this_process()
    for there in (dataclasses.replace(here, host="another"), dataclasses.replace(here, boot="another boot")):
        assert not is_stale(there, now, unchanged=59)
        assert is_stale(there, now, unchanged=61)
        assert is_stale(dataclasses.replace(there, heartbeat=now - 3600), now)
        behind = dataclasses.replace(there, heartbeat=now - 120)  # its clock is two minutes behind ours, and it lives
        assert not is_stale(behind, now, unchanged=9)
        ahead = dataclasses.replace(there, heartbeat=now + 3600)
        assert is_stale(ahead, now, unchanged=61)


@pytest.mark.parametrize("how", ["dead pid", "other boot", "other host", "unreadable"])
def test_a_stale_lease_is_taken_over(files: Files, tmp_path: Path, how: str) -> None:
    pid, start = dead_process()
    here = this_process()
    stale = {
        "dead pid": dataclasses.replace(here, pid=pid, started=start),
        "other boot": dataclasses.replace(here, boot="another boot", heartbeat=time.time() - 3600),
        "other host": dataclasses.replace(here, host="another", heartbeat=time.time() - 3600),
    }
    files.write(NAME, stale[how].to_bytes() if how in stale else b'{"host": "an')
    with held(files, NAME, tmp_path / "guard", never) as lease:
        assert lease is not None
        lease.check()
        holder = read_holder(files, NAME)
        assert holder is not None
        assert holder.pid == os.getpid()


def test_a_lease_of_elsewhere_is_watched_and_taken_over_when_it_stands_still(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "STALE_SECONDS", 0.2)
    there = dataclasses.replace(this_process(), host="another")
    files.write(NAME, there.to_bytes())
    asked = []

    def waiting(holder: Holder | None) -> bool:
        asked.append(holder)
        if len(asked) < 5:  # it beats, so it lives
            files.write(NAME, dataclasses.replace(there, heartbeat=there.heartbeat + len(asked)).to_bytes())
        return False

    with held(files, NAME, tmp_path / "guard", waiting) as lease:
        assert lease is not None
    assert len(asked) > 5


@pytest.mark.parametrize("host", ["here", "another"])
def test_a_live_lease_is_waited_for(files: Files, tmp_path: Path, host: str) -> None:
    live = this_process() if host == "here" else dataclasses.replace(this_process(), host=host)
    files.write(NAME, live.to_bytes())
    asked = []

    def waiting(holder: Holder | None) -> bool:
        assert holder == live
        asked.append(holder)
        return len(asked) == 3

    with held(files, NAME, tmp_path / "guard", waiting) as lease:
        assert lease is None
    assert len(asked) == 3
    assert read_holder(files, NAME) == live


def test_of_two_hosts_that_take_over_at_once_the_last_to_write_holds(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(this_process(), host="another", token="of the other")
    files.write(NAME, dataclasses.replace(other, heartbeat=time.time() - 3600).to_bytes())
    write = files.write

    def beaten(name: str, content: bytes) -> None:
        write(name, content)
        write(name, other.to_bytes())

    monkeypatch.setattr(files, "write", beaten)
    waited: list[Holder | None] = []

    def waiting(holder: Holder | None) -> bool:
        waited.append(holder)
        return True

    with held(files, NAME, tmp_path / "guard", waiting) as lease:
        assert lease is None
    assert waited == [other]
    assert read_holder(files, NAME) == other


def test_who_lost_a_lease_is_told_and_does_not_release_the_other_ones(files: Files, tmp_path: Path) -> None:
    other = dataclasses.replace(this_process(), token="another")
    with held(files, NAME, tmp_path / "guard", never) as lease:
        assert lease is not None
        files.write(NAME, other.to_bytes())
        with pytest.raises(LeaseLost, match="another process has taken over"):
            lease.check()
    assert read_holder(files, NAME) == other


def test_a_heartbeat_is_renewed_and_survives_a_store_that_cannot_be_reached(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.01)
    write, failures = files.write, iter(range(3))

    def failing(name: str, content: bytes) -> None:
        if next(failures, None) is not None:
            raise RuntimeError("the network is down")
        write(name, content)

    with held(files, NAME, tmp_path / "guard", never) as lease:
        assert lease is not None
        first = read_holder(files, NAME)
        monkeypatch.setattr(files, "write", failing)
        while read_holder(files, NAME) == first:
            time.sleep(0.01)
        lease.check()


def test_of_two_at_once_one_holds_and_the_other_comes_after(files: Files, tmp_path: Path) -> None:
    holding, overlapped, done = [], [], []

    def work() -> None:
        with held(files, NAME, tmp_path / "guard", lambda holder: False) as lease:
            assert lease is not None
            holding.append(1)
            overlapped.append(len(holding) > 1)
            time.sleep(0.05)
            lease.check()
            holding.pop()
            done.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(done), any(overlapped)) == (4, False)
