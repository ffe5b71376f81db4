"""What a training step runs on: device, precision, compiler, threads, and how many processes.

Decided once, before any work, from the runtime configuration and what the machine really has; the choice is said and
goes into the witness, because bit-identity is promised for equal witnesses only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from llm_dag.config.compute import Compute
from llm_dag.modeling.device import choose_device, threads_of, using_threads
from llm_dag.store.errors import StoreError
from llm_dag.store.launcher import Launch, launched
from llm_dag.store.witness import cpu_features

NATIVE_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
COMPILERS = ("g++", "clang++", "c++")


class MachineError(StoreError):
    """The configuration asks for what this machine does not have."""


@dataclass(frozen=True)
class Machine:
    """Where a run happens."""

    device: str  # cpu or cuda
    precision: str  # bf16 or float32
    compiled: bool
    threads: int  # of each process
    devices: int
    nodes: int
    remarks: tuple[str, ...]  # what a person should know of the choice
    launch: Launch | None = None  # this process among those of several machines

    @property
    def world_size(self) -> int:
        return self.devices * self.nodes

    @property
    def witness(self) -> dict[str, str | bool | int]:
        name = torch.cuda.get_device_name() if self.device == "cuda" else "cpu"
        return {"device": name, "precision": self.precision, "compiled": self.compiled, "threads": self.threads}


def choose(compute: Compute, precision: str) -> Machine:
    """The machine for a run.

    Raises NoDevice or MachineError for an accelerator or processes that are not there, LaunchError for another number
    of processes.
    """
    device = choose_device(compute)
    if device == "cuda" and compute.devices > torch.cuda.device_count():
        raise MachineError(f"compute.devices={compute.devices}, but there are {torch.cuda.device_count()} GPUs")
    launch = launched(compute)
    if compute.nodes > 1 and launch is None:
        raise MachineError(f"compute.nodes={compute.nodes}, but neither torchrun nor Slurm started this process")
    remarks = []
    chosen = precision
    if precision == "auto":
        chosen = "bf16" if native_bf16(device) else "float32"
        if chosen == "float32":
            remarks.append(f"this {device} has no native bf16 arithmetic: training in float32")
    compiled = compute.compile
    if compiled and (missing := missing_for_compile()):
        compiled = False
        remarks.append(f"no {missing}: training without torch.compile, which is slower")
    threads = max(1, threads_of(compute) // compute.devices)
    return Machine(device, chosen, compiled, threads, compute.devices, compute.nodes, tuple(remarks), launch)


def native_bf16(device: str) -> bool:
    """Whether the device multiplies bf16 matrices by instructions of its own."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(NATIVE_BF16 & set(cpu_features()))


def missing_for_compile() -> str:
    """What torch.compile needs and does not find: a C++ compiler, Python's headers, or nothing."""
    named = shlex.split(os.environ.get("CXX", ""))[:1]
    if not any(shutil.which(name) for name in (*named, *COMPILERS)):
        return "C++ compiler"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return "Python.h"
    return ""


@contextlib.contextmanager
def settled(machine: Machine) -> Iterator[None]:
    """Threads, deterministic algorithms and Lightning's silence for a while; put back as they were at the end."""
    strict = torch.are_deterministic_algorithms_enabled()
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    if machine.device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    logger.setLevel(logging.ERROR)
    try:
        with using_threads(machine.threads), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.use_deterministic_algorithms(strict)
        logger.setLevel(level)
