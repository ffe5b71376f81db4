"""A small graph with everything that a graph can have: shards, verdicts, dumps, a held step, `via`, checks.

    pages → judged → upper ─ vocabulary (held, of listed dumps) → measured (upper via vocabulary)
       └──────────────┘  └── arrays (vocabulary and upper)
    judged → funnel (a verdict-only input)

Steps say `ran <asset>` through their progress, so a test knows what really ran, in other processes too.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from llm_dag.config.compute import Compute
from llm_dag.config.fields import AS_BEFORE, GATE, PATH
from llm_dag.progress import Silent
from llm_dag.store.artifact import Artifact
from llm_dag.store.build import Outcome, materialize
from llm_dag.store.canonical import named_files
from llm_dag.store.checks import CheckResult
from llm_dag.store.resolve import Resolver
from llm_dag.store.step import Check, Graph, Input, Step
from llm_dag.store.store import Store
from llm_dag.store.work import Shard, Work

PAGES = {"00000": "one two", "00001": "three four", "00002": "five six"}


@dataclass
class Source:
    dump: str = "d1"
    pages: dict[str, str] = field(default_factory=lambda: dict(PAGES))


@dataclass
class Judged:
    min_words: int = 1
    most_kept: int = field(default=9, metadata={GATE: True})


@dataclass
class Upper:
    mark: str = "!"
    words: str = field(default="", metadata={PATH: True})
    knob: str = field(default="old", metadata={AS_BEFORE: "old"})


@dataclass
class Vocabulary:
    dumps: list[str] = field(default_factory=lambda: ["d1"])
    size: int = 10


@dataclass
class Measured:
    digits: int = 2


@dataclass
class Root:
    source: Source = field(default_factory=Source)
    judged: Judged = field(default_factory=Judged)
    upper: Upper = field(default_factory=Upper)
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    measured: Measured = field(default_factory=Measured)


class Log(Silent):
    """A progress that appends what it is told to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def say(self, text: str) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.write(descriptor, f"{text}\n".encode())
        os.close(descriptor)

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def ran(self) -> list[str]:
        """The assets that were really made since the last call."""
        found = [line.removeprefix("ran ") for line in self.lines() if line.startswith("ran ")]
        self.path.unlink(missing_ok=True)
        return found


def pages(work: Work) -> None:
    """Pages of the source: a text for each shard."""
    work.progress.say(f"ran {work.asset}")
    for name, text in work.config.pages.items():
        work.data(f"pages/{name}.parquet").write_text(text)
        work.declare_shard(name, [f"pages/{name}.parquet"], {"documents": 1})
    work.record("log.txt").write_text("made pages\n")


def judged(work: Work) -> None:
    """Verdicts: whether a page has enough words."""
    work.progress.say(f"ran {work.asset}")

    def judge(shard: Shard) -> dict[str, int]:
        kept = len(shard.read("pages").read_text().split()) >= shard.config.min_words
        shard.write("verdicts").write_text(f"{kept}")
        return {"documents_kept": int(kept)}

    work.map_shards(judge, reads={"pages": "pages"})


def upper(work: Work) -> None:
    """Text and verdicts: kept pages in capitals, with the words of a list."""
    work.progress.say(f"ran {work.asset}")
    listed = named_files(work.config.words, "words") if work.config.words else []
    words = "".join(path.read_text() for _, path in listed)

    def judge(shard: Shard) -> dict[str, int]:
        work.progress.say(f"shard {shard.name}")
        text = shard.read("pages", "pages").read_text()
        kept = shard.read("judged", "verdicts").read_text() == "True"
        shard.write("text").write_text(text.upper() + shard.config.mark + words if kept else "")
        return {"documents_kept": int(kept)}

    work.map_shards(judge, reads={"pages": "pages", "judged": "verdicts"})


def funnel(work: Work) -> None:
    """Counts the verdicts; opens no text."""
    work.progress.say(f"ran {work.asset}")
    verdicts = work.input("judged")
    kept = [verdicts.path(name).read_text() for name in verdicts.names("verdicts/")]
    work.data("funnel.txt").write_text(" ".join(kept))


def vocabulary(work: Work) -> None:
    """The words of the listed dumps."""
    work.progress.say(f"ran {work.asset}")
    words = {
        word
        for dump in work.inputs("upper")
        for name in dump.names("text/")
        for word in dump.path(name).read_text().split()
    }
    work.data("words.txt").write_text("\n".join(sorted(words)[: work.config.size]))
    work.data("state/size.txt").write_text(str(work.config.size))


def arrays(work: Work) -> None:
    """The place of each word in the vocabulary; opens the vocabulary whole."""
    work.progress.say(f"ran {work.asset}")
    words = work.input("vocabulary").path("words.txt").read_text().split("\n")

    def judge(shard: Shard) -> None:
        found = [words.index(word) for word in shard.read("upper").read_text().split() if word in words]
        shard.write("ids").write_text(" ".join(map(str, found)))

    work.map_shards(judge, reads={"upper": "text"})


def measured(work: Work) -> None:
    """How many shards the vocabulary was made from."""
    work.progress.say(f"ran {work.asset}")
    work.data("shards.txt").write_text(" ".join(f"{one.partition} {len(one.shards)}" for one in work.inputs("upper")))


def kept_some(artifact: Artifact) -> CheckResult:
    """At least one page is kept."""
    kept = artifact.metrics["documents_kept"]
    return CheckResult(kept > 0, f"{kept} documents kept, wanted 1 or more", {"kept": kept})


def kept_all(artifact: Artifact) -> CheckResult:
    """Every page is kept."""
    kept = artifact.metrics["documents_kept"]
    return CheckResult(kept == artifact.metrics["shards"], f"{kept} of {artifact.metrics['shards']} documents kept")


STEPS = (
    Step("pages", pages, "crawl", "source", (), partitioned=True),
    Step(
        "judged",
        judged,
        "curation",
        "judged",
        (Input("pages"),),
        partitioned=True,
        checks=(Check("kept_some", kept_some), Check("kept_all", kept_all, blocking=False)),
    ),
    Step("upper", upper, "curation", "upper", (Input("pages"), Input("judged")), partitioned=True),
    Step("funnel", funnel, "curation", "judged", (Input("judged"),), partitioned=True),
    Step("vocabulary", vocabulary, "tokens", "vocabulary", (Input("upper", dumps="vocabulary.dumps"),), held=True),
    Step("arrays", arrays, "tokens", "upper", (Input("vocabulary"), Input("upper")), partitioned=True),
    Step("measured", measured, "evaluation", "measured", (Input("vocabulary"), Input("upper", via="vocabulary"))),
)


def compute(store: str, workers: int = 1, worker_memory_mb: int = 0) -> Compute:
    return Compute(
        store=store,
        executor="in_process",
        workers=workers,
        worker_memory_mb=worker_memory_mb,
        accelerator="cpu",
        devices=1,
        nodes=1,
        threads=1,
        compile=False,
        checkpoint_seconds=1,
        report_seconds=1.0,
    )


def source_from(values: dict[str, object]) -> Source:
    return Source(**values)  # type: ignore[arg-type]


@dataclass
class House:
    """A store with a graph, and what was said."""

    url: str
    log: Log
    graph: Graph = field(default_factory=lambda: Graph(STEPS))
    workers: int = 1
    worker_memory_mb: int = 0

    @property
    def store(self) -> Store:
        return Store(self.url)

    def resolver(self, root: object | None = None) -> Resolver:
        return Resolver(self.store, self.graph, root or Root(), source_from=source_from)

    def make(self, name: str, root: object | None = None, dump: str | None = None) -> Outcome:
        """Materialize one asset; its inputs must be there."""
        where = compute(self.url, self.workers, self.worker_memory_mb)
        return materialize(self.resolver(root), name, dump, where, self.log)

    def make_all(self, *names: str, root: object | None = None, dump: str | None = None) -> dict[str, Outcome]:
        """Materialize the assets and everything that they are made from, in the order of the graph."""
        wanted = set(names) or set(self.graph)
        for name in reversed(list(self.graph)):
            if name in wanted:
                wanted |= {item.asset for item in self.graph[name].inputs}
        return {name: self.make(name, root, dump) for name in self.graph if name in wanted}


@dataclass
class Slow:
    dump: str = "d1"
    shards: int = 4
    seconds: float = 0.1


@dataclass
class SlowRoot:
    source: Slow = field(default_factory=Slow)


def listed(work: Work) -> None:
    """The names of the slow shards."""
    for number in range(work.config.shards):
        name = f"{number:05}"
        work.data(f"pages/{name}.parquet").write_text(f"{name} " * 1000)
        work.declare_shard(name, [f"pages/{name}.parquet"])


def slow(work: Work) -> None:
    """Takes its time over every shard, and writes other files before and after."""
    work.progress.say(f"ran {work.asset}")
    work.data("first.txt").write_text("first")

    def judge(shard: Shard) -> dict[str, int]:
        work.progress.say(f"shard {shard.name}")
        with shard.write("text").open("w") as stream:
            for word in shard.read("listed").read_text().split():
                stream.write(word)
            time.sleep(shard.config.seconds)
        return {"documents": 1}

    work.map_shards(judge, reads={"listed": "pages"})
    work.data("last.txt").write_text("last")
    work.record("log.txt").write_text("slow\n")


def is_whole(artifact: Artifact) -> CheckResult:
    """All files are there."""
    return CheckResult(all(artifact.path(name).exists() for name in artifact.names()), "looked for every file")


SLOW = (
    Step("listed", listed, "crawl", "source", (), partitioned=True),
    Step("slow", slow, "crawl", "source", (Input("listed"),), partitioned=True, checks=(Check("is_whole", is_whole),)),
)


def run_slow(url: str, log: Path, seconds: float) -> None:
    """Materialize the slow step: what the processes of tests do."""
    root = SlowRoot(Slow(seconds=seconds))
    House(url, Log(log), Graph(SLOW)).make("slow", root)
