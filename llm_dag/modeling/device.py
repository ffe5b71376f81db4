"""The device and the threads that torch computes with: one choice for training and for measuring."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from llm_dag.config.compute import Compute
from llm_dag.store.errors import StoreError


class NoDevice(StoreError):
    """The configuration asks for an accelerator that this machine does not have."""


def choose_device(compute: Compute) -> str:
    """`cpu` or `cuda`: what `compute.accelerator` means here. Raises NoDevice for a GPU that is not there."""
    found = torch.cuda.is_available()
    if compute.accelerator == "gpu" and not found:
        raise NoDevice("compute.accelerator=gpu, but torch finds no GPU; wanted auto or cpu")
    return "cuda" if compute.accelerator != "cpu" and found else "cpu"


def threads_of(compute: Compute) -> int:
    """The CPU threads of a step: as many as the machine has, unless `compute.threads` says otherwise."""
    return compute.threads or os.cpu_count() or 1


@contextlib.contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """Set torch's threads for a while: a later step of the same process chooses its own."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
