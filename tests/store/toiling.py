"""A shard-wise step that does to its process what a file says, for worker processes to run."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from llm_dag.store import workers
from llm_dag.store.step import Graph, Input, Step
from llm_dag.store.work import Shard, Work
from tests.store.example import House, Log, Source, pages

NAMES = [f"{number:05}" for number in range(6)]


@dataclass
class Toil:
    folder: str = ""  # of the log, and of the faults: a file for each shard that has one


@dataclass
class ToilRoot:
    source: Source = field(default_factory=Source)
    toil: Toil = field(default_factory=Toil)


def toiled(work: Work) -> None:
    """Pages in capitals."""
    folder = Path(work.config.folder)
    work.map_shards(partial(judge, folder=folder), {"pages": "pages"}, tools={"tool": partial(make_tool, folder)})


def make_tool(folder: Path) -> list[bytearray]:
    """Something of which each process has one."""
    Log(folder / "log.txt").say(f"{os.getpid()} tool")
    return []


def judge(shard: Shard, tool: list[bytearray], folder: Path) -> dict[str, float]:
    """Write a text, or what the file of the fault says."""
    Log(folder / "log.txt").say(f"{os.getpid()} {shard.name}")
    shard.write("text").write_text("half")
    fault = folder / shard.name
    if fault.exists():
        kind = fault.read_text()
        if kind.endswith(" once"):
            fault.unlink()
        FAULTS[kind.removesuffix(" once")](tool)
    shard.write("text").write_text(shard.read("pages").read_text().upper())
    return {"documents": 1, "tenths": 0.1 * int(shard.name)}


class Clumsy(Exception):
    """Cannot be made again from its words."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


def raised(error: Exception) -> None:
    raise error


def one_thread() -> None:
    import pyarrow as pa

    assert threading.current_thread() is threading.main_thread()  # where an extractor's timer rings
    assert (pa.cpu_count(), os.environ["OMP_NUM_THREADS"]) == (1, "1")


def closure(work: Work) -> None:
    """A step whose judge no other process can find."""
    work.map_shards(lambda shard: None, reads={"pages": "pages"})


FAULTS: dict[str, Callable[[Any], Any]] = {
    "killed": lambda tool: os.kill(os.getpid(), signal.SIGKILL),
    "crashed": lambda tool: os.kill(os.getpid(), signal.SIGSEGV),
    "ended": lambda tool: os._exit(3),
    "raised": lambda tool: raised(KeyError("no such word")),
    "clumsy": lambda tool: raised(Clumsy("this", "that")),
    "grown": lambda tool: tool.append(bytearray(b"x" * (80 << 20))),
    "threads": lambda tool: one_thread(),
    "interrupted": lambda tool: os.kill(os.getpid(), signal.SIGINT),
    "slow": lambda tool: time.sleep(60),
    "slept": lambda tool: time.sleep(0.3),
}


@dataclass
class Toiling:
    """A house with that step. What it makes does not depend on where the house is."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = Log(self.folder / "log.txt")

    def house(self, count: int, memory_mb: int = 0, name: str = "store") -> House:
        steps = [
            Step("pages", pages, "crawl", "source", (), partitioned=True),
            Step("toiled", toiled, "curation", "toil", (Input("pages"),), partitioned=True),
            Step("closure", closure, "curation", "toil", (Input("pages"),), partitioned=True),
        ]
        house = House(str(self.folder / name), Log(self.folder / "said.txt"), Graph(steps), count, memory_mb)
        house.make("pages", self.root)
        return house

    @property
    def root(self) -> ToilRoot:
        return ToilRoot(Source(pages={name: f"page {name}" for name in NAMES}), Toil(str(self.folder)))

    def fault(self, **shards: str) -> None:
        for number, kind in shards.items():
            (self.folder / f"{int(number[1:]):05}").write_text(kind)

    def made(self) -> Counter[str]:
        """How often each shard was begun, and a tool made, since the last call."""
        return Counter(what for _, what in self._logged(True))

    def processes(self) -> set[int]:
        """Which processes made something since `made` was last called."""
        return {int(process) for process, _ in self._logged(False)}

    def _logged(self, forget: bool) -> list[tuple[str, str]]:
        lines = [line.split() for line in self.log.lines()]
        if forget:
            self.log.path.unlink(missing_ok=True)
        return [(process, what) for process, what in lines]


def toil(folder: Path, count: int) -> None:
    """Make the step with worker processes from the first shard on: what the processes of tests do."""
    workers.START_SECONDS = 0.0
    toiling = Toiling(folder)
    toiling.house(count).make("toiled", toiling.root)
