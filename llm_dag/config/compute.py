"""Where and with what a run happens. None of this can reach a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from omegaconf import MISSING

from llm_dag.config.fields import Problem, at_least, one_of

ACCELERATORS = ("auto", "cpu", "gpu")
EXECUTORS = ("in_process", "multiprocess")


@dataclass
class Compute:
    """Runtime configuration: paths, processes, devices."""

    store: str = MISSING  # fsspec URL or folder of the artifacts
    executor: str = MISSING  # in_process, or multiprocess: one process for each step
    workers: int = MISSING  # processes that make the shards of a step; 0: one for each core; 1: the step's own
    worker_memory_mb: int = MISSING  # a worker that holds more after a shard is replaced by a fresh one; 0: never
    accelerator: str = MISSING  # auto, cpu, gpu
    devices: int = MISSING  # accelerators of one node that train together; 1 on a CPU
    nodes: int = MISSING  # machines that train together
    threads: int = MISSING  # CPU threads of a training step; 0: as many as the machine has
    compile: bool = MISSING  # torch.compile where a C++ compiler is found
    checkpoint_seconds: int = MISSING  # how much training a kill may cost
    report_seconds: float = MISSING  # how often progress is reported
    common_crawl: str = MISSING  # URL or folder that holds crawl-data/: Common Crawl itself, or a mirror
    copies_gb: float = MISSING  # gigabytes of source files from elsewhere that are kept to be read again; 0: none

    def problems(self) -> Iterator[Problem]:
        yield from one_of("executor", self.executor, EXECUTORS)
        yield from at_least("workers", self.workers, 0)
        yield from at_least("worker_memory_mb", self.worker_memory_mb, 0)
        yield from one_of("accelerator", self.accelerator, ACCELERATORS)
        yield from at_least("devices", self.devices, 1)
        yield from at_least("nodes", self.nodes, 1)
        yield from at_least("threads", self.threads, 0)
        yield from at_least("checkpoint_seconds", self.checkpoint_seconds, 0)
        yield from at_least("report_seconds", self.report_seconds, 0)
        yield from at_least("copies_gb", self.copies_gb, 0)
        if not self.common_crawl:
            yield Problem("common_crawl", self.common_crawl, "a URL or folder, such as https://data.commoncrawl.org")
