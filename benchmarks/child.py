"""A measurement in a process of its own, on one core, so that memory and start-up are its own too."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS", "RAYON_NUM_THREADS")


def run(module: str, *arguments: str | Path, home: Path) -> dict[str, Any]:
    """What `python -m MODULE ARGUMENTS` reports, and `wall`: its seconds from start to end.

    `home` is a folder for caches (Hugging Face's) and for what the process says on stderr.
    Raises RuntimeError if it fails, with the end of what it said.
    """
    home.mkdir(parents=True, exist_ok=True)
    said = home / f"{module}.log"
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "1"}
    begun = time.perf_counter()
    with said.open("w") as log:
        command = [sys.executable, "-m", module, *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, check=False)
    wall = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{said.read_text()[-3000:]}")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**report, "wall": wall}


def pin() -> None:
    """Keep this process, and the ones it starts, on one core: the last that it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def peak_megabytes() -> float:
    """The most memory that this process held at once. Not `ru_maxrss`, which begins with the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def processor_seconds() -> float:
    """What this process and its children that have ended have computed, user and system."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def report(**values: Any) -> None:
    """End the process's output with what it measured."""
    print(json.dumps({"peak_mb": peak_megabytes(), "processor": processor_seconds(), **values}))
