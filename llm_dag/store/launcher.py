"""Which of several processes this one is, where a launcher (torchrun, Slurm) started one for each device.

With `compute.nodes` = 1 none of this matters: a person may well work inside a Slurm allocation.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from llm_dag.config.compute import Compute
from llm_dag.store.errors import LaunchError

KEYS = (
    ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT"),
    ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT"),
)


@dataclass(frozen=True)
class Launch:
    """This process among those that were started together; rank 0 leads, the others follow."""

    launcher: str  # torchrun or Slurm
    rank: int
    world_size: int
    key: str  # equal in the processes of one launch

    @property
    def leads(self) -> bool:
        return self.rank == 0


def launch_key() -> str:
    """What tells this launch from others; "" where no launcher is known."""
    for name, keys in zip(("RANK", "SLURM_PROCID"), KEYS, strict=True):
        if name in os.environ:
            return " ".join(os.environ.get(key, "") for key in keys)
    return ""


def launched(compute: Compute) -> Launch | None:
    """This process among several machines' processes; None with one machine, or if no launcher started it.

    Raises LaunchError if the launcher started another number of processes than `compute` asks for.
    """
    if compute.nodes == 1:
        return None
    if "RANK" in os.environ:  # before Slurm's: torchrun may itself be started by srun
        launcher, rank, world, beside = "torchrun", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"
    elif "SLURM_PROCID" in os.environ:  # the size is that of the step: a batch script outside srun is one process
        launcher, rank, world, beside = "Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS_PER_NODE"
    else:
        return None
    found = Launch(launcher, _number(rank), _number(world, "1"), launch_key())
    asked = compute.devices * compute.nodes
    if found.world_size != asked:
        raise LaunchError(
            f"{launcher} started {found.world_size} processes, but compute.devices={compute.devices} × "
            f"compute.nodes={compute.nodes} asks for {asked}: one process for each device of every machine"
        )
    if _number(beside, "0") != compute.devices:
        wanted = "--nproc_per_node" if launcher == "torchrun" else "--ntasks-per-node"
        raise LaunchError(
            f"{beside} is {os.environ.get(beside, 'not set')}, but compute.devices={compute.devices}: "
            f"start with {wanted}={compute.devices}"
        )
    return found


def _number(name: str, otherwise: str = "") -> int:
    value = os.environ.get(name, otherwise)
    if not value.isdecimal():
        raise LaunchError(f"{name}={value!r} in the environment: the launcher should have set a number")
    return int(value)
