"""Processes of several machines that train one model: they meet, start from the same state, and part.

Rank 0 alone writes checkpoints, into a folder that only its machine may see, so the state to resume from comes from it
over the network, before anything else. Each training meets under a name of its own: torchrun keeps one store of
addresses for the whole launch, in which those of an earlier training would be found.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TypeVar

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from llm_dag.training.machine import Machine

Value = TypeVar("Value")


def environment(machine: Machine) -> ClusterEnvironment:
    """Who tells Lightning the ranks: the launcher, or on one machine Lightning itself, also inside a Slurm job."""
    if machine.launch is None:
        return LightningEnvironment()
    if machine.launch.launcher == "Slurm":
        return SLURMEnvironment(auto_requeue=False)
    return TorchElasticEnvironment()


@contextlib.contextmanager
def joined(machine: Machine, name: str) -> Iterator[None]:
    """Joined with the other processes of the launch while the block lasts; on one machine, nothing happens.

    Waits up to half an hour for the others. If the block fails, the connections are cut, so that the others fail too.
    """
    if machine.launch is None:
        yield
        return
    around, launch = environment(machine), machine.launch
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = around.main_address, str(around.main_port)
    device = torch.device("cuda", around.local_rank()) if machine.device == "cuda" else None
    if device:
        torch.cuda.set_device(device)
    store, rank, world_size = next(iter(rendezvous("env://", launch.rank, launch.world_size)))
    dist.init_process_group(
        "nccl" if device else "gloo",
        store=PrefixStore(f"{launch.key}/{name}", store),
        rank=rank,
        world_size=world_size,
        device_id=device,
    )
    try:
        yield
    except BaseException:
        if dist.group.WORLD is not None:
            dist.group.WORLD.abort()
        raise
    finally:
        dist.destroy_process_group()


def of_leader(machine: Machine, value: Value) -> Value:
    """Rank 0's value, in every process."""
    if machine.launch is None:
        return value
    values = [value]
    dist.broadcast_object_list(values, 0)
    return values[0]
