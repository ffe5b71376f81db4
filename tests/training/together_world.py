"""A store with a tiny tokenizer, its arrays and a base model, and processes that make it, started as by a launcher.

Run as a program (`together_world.py store inputs compute-as-JSON changes-as-JSON`), it is one of those processes.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from training_world import COMPUTE, PRETRAIN, Slow

from llm_dag.config.pretrain import Pretrain
from llm_dag.store.build import Outcome, materialize
from llm_dag.store.resolve import Resolver
from llm_dag.store.step import Graph, Input, Step
from llm_dag.store.store import Store
from llm_dag.store.work import Work

NODE = replace(PRETRAIN, batch_tokens=128, device_tokens=32, tokens=128 * 6, optimizer="adamw", dumps=["one", "two"])


@dataclass
class Source:
    dump: str = "one"


@dataclass
class Copied:
    folder: str = ""


@dataclass
class Root:
    copied: Copied
    pretrain: Pretrain
    source: Source = field(default_factory=Source)


def tokenizer(work: Work) -> None:
    """The tokenizer of the inputs."""
    _copy(work, "tokenizer")


def token_arrays(work: Work) -> None:
    """The arrays of a dump of the inputs."""
    _copy(work, str(work.partition))


def _copy(work: Work, name: str) -> None:
    print(f"made {name}", flush=True)
    folder = Path(work.config.folder) / name / "data"
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        shutil.copyfile(path, work.data(path.relative_to(folder).as_posix()))


def base_model(work: Work) -> None:
    """The base model."""
    from llm_dag.training import pretrain

    pretrain.build(work)


GRAPH = Graph(
    (
        Step("tokenizer", tokenizer, "tokens", "copied"),
        Step("token_arrays", token_arrays, "tokens", "copied", partitioned=True),
        Step(
            "base_model",
            base_model,
            "base",
            "pretrain",
            (Input("tokenizer"), Input("token_arrays", dumps="pretrain.dumps")),
            together=True,
        ),
    )
)


def make(store: str, inputs: str, compute: dict[str, Any], changes: dict[str, Any]) -> Outcome:
    """Materialize the base model and what it is made from."""
    root = Root(Copied(inputs), replace(NODE, **changes))
    where = replace(COMPUTE, store=store, **compute)

    def one(name: str, dump: str | None = None) -> Outcome:
        resolver = Resolver(Store(store), GRAPH, root, source_from=lambda values: Source())
        return materialize(resolver, name, dump, where, Slow())

    one("tokenizer")
    for dump in ("one", "two"):
        one("token_arrays", dump)
    return one("base_model")


def by_torchrun(rank: int, run: str) -> dict[str, str]:
    """What torchrun tells the process of the machine `rank` of two with one device each."""
    return {
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "GROUP_RANK": str(rank),
        "TORCHELASTIC_RUN_ID": run,
        "TORCHELASTIC_RESTART_COUNT": "0",
    }


def by_slurm(rank: int, run: str) -> dict[str, str]:
    """What srun tells it."""
    return {
        "SLURM_PROCID": str(rank),
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": "2",
        "SLURM_NODEID": str(rank),
        "SLURM_LOCALID": "0",
        "SLURM_JOB_ID": run,
    }


def pair(
    store: Path, inputs: Path, changes: dict[str, Any], launcher: Callable[..., dict[str, str]], **compute: Any
) -> list[subprocess.Popen[str]]:
    """The processes of both machines."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    where, run = json.dumps({"nodes": 2, **compute}), str(uuid.uuid4().int)
    command = [sys.executable, __file__, str(store), str(inputs), where, json.dumps(changes)]
    return [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | meeting | launcher(rank, run),
        )
        for rank in (0, 1)
    ]


if __name__ == "__main__":
    import together_world  # a step's code identity holds its module's name, and here that is another

    together_world.make(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4]))
