"""Run a training to its end: from the newest checkpoint if there is one, on one device or on several.

Several devices of one machine are processes that this one starts (DDP); several machines are started by torchrun or
Slurm, and all but the first are done when the training is. What comes back is read from the last checkpoint, so it does
not matter which process trained.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as lightning
import pyarrow as pa
import torch.multiprocessing
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from llm_dag.ledger import write_table
from llm_dag.modeling.transformer import Transformer
from llm_dag.progress import Progress
from llm_dag.store.follow import PartDone
from llm_dag.store.work import Work
from llm_dag.training import checkpoints
from llm_dag.training.joined import environment, joined, of_leader
from llm_dag.training.loop import Run, StepData, Training, TrainingError
from llm_dag.training.machine import settled

HISTORY = pa.schema(
    {
        "step": pa.int64(),
        "targets": pa.int64(),  # labels that the step was trained on
        "loss": pa.float64(),  # nats a label
        "learning_rate": pa.float64(),
        "grad_norm": pa.float64(),  # before clipping
        "heldout_loss": pa.float64(),
        "heldout_bits_per_byte": pa.float64(),
    }
)
SPEED = pa.schema({"step": pa.int64(), "seconds": pa.float64(), "tokens_per_second": pa.float64()})


@dataclass(frozen=True)
class Fitted:
    """A finished run."""

    state: Mapping[str, Tensor]
    history: list[dict[str, float | None]]
    speed: list[dict[str, float]]
    witnesses: list[dict[str, Any]]  # who computed: {"after_step", "witness"}, a further one where another went on

    def last(self, name: str) -> float:
        """The last value of a column of the history."""
        found = [row[name] for row in self.history if row[name] is not None]
        return float(found[-1] or 0.0)


def fit(model: Transformer, run: Run, progress: Progress) -> Fitted:
    """Train `model` for `run.steps` steps; returns the weights on the CPU, and the history of all steps.

    Raises:
        TrainingError: batches cannot be shared among the devices, or the loss is no longer finite.
        PartDone: in the processes beside the first of several machines, after the last step.
    """
    machine, node = run.machine, run.node
    if node.batch_tokens % (node.device_tokens * machine.world_size):
        raise TrainingError(
            f"batch_tokens={node.batch_tokens}, but {machine.world_size} devices with device_tokens="
            f"{node.device_tokens} each want a multiple of {node.device_tokens * machine.world_size}"
        )
    for remark in machine.remarks:
        progress.say(remark)
    progress.start("training", run.steps, "steps")
    with joined(machine, run.name):
        state = of_leader(machine, checkpoints.newest(run.checkpoints, progress.say))
        if state is None or state["step"] < run.steps:
            _train(model, run, state, progress)
            state = checkpoints.newest(run.checkpoints, progress.say)
    if machine.launch and not machine.launch.leads:
        raise PartDone
    if state is None or state["step"] != run.steps:
        reached = state["step"] if state else 0
        raise TrainingError(f"training stopped after step {reached} of {run.steps}; run again to go on from there")
    return Fitted(state["model"], state["history"], state["speed"], state["witnesses"])


def _train(model: Transformer, run: Run, state: Mapping[str, Any] | None, progress: Progress) -> None:
    machine = run.machine
    spawned = machine.world_size > 1 and machine.nodes == 1
    with settled(machine), _relayed(progress) if spawned else contextlib.nullcontext(progress) as heard:
        training = Training(model, run, heard)
        if state is not None:
            training.restore(state)
            progress.say(f"resumed after step {training.done} of {run.steps}")
        trainer = lightning.Trainer(
            accelerator="gpu" if machine.device == "cuda" else "cpu",
            devices=machine.devices,
            num_nodes=machine.nodes,
            strategy="auto" if machine.world_size == 1 else "ddp_spawn" if spawned else "ddp",
            precision="bf16-mixed" if machine.precision == "bf16" else "32-true",
            deterministic=True,
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=run.checkpoints,
            plugins=[environment(machine)],
        )
        try:
            trainer.fit(training, StepData(run, training.done))
        except SIGTERMException:  # a SystemExit of code 0, which would look like a finished run
            raise SystemExit(128 + signal.SIGTERM) from None


class _Sender:
    """A progress that passes calls on from another process."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def start(self, task: str, total: int | None, unit: str) -> None:
        self._queue.put(("start", (task, total, unit), {}))

    def update(self, done: int, **numbers: float) -> None:
        self._queue.put(("update", (done,), numbers))

    def say(self, text: str) -> None:
        self._queue.put(("say", (text,), {}))


@contextlib.contextmanager
def _relayed(progress: Progress) -> Iterator[Progress]:
    """A progress for processes that this one starts; a thread passes what it hears on to `progress`."""
    queue = torch.multiprocessing.get_context("spawn").SimpleQueue()

    def listen() -> None:
        while (call := queue.get()) is not None:
            method, arguments, numbers = call
            getattr(progress, method)(*arguments, **numbers)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield _Sender(queue)
    finally:
        queue.put(None)
        listener.join()


def write_history(work: Work, fitted: Fitted) -> None:
    """`data/history.parquet`, which holds no clocks; `record/speed.parquet`, which does; witnesses, if several."""
    if len(fitted.witnesses) > 1:
        work.witness["went_on"] = fitted.witnesses
    write_table(pa.Table.from_pylist(fitted.history, HISTORY), work.data("history.parquet"))
    write_table(pa.Table.from_pylist(fitted.speed, SPEED), work.record("speed.parquet"))
