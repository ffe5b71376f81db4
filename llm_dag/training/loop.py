"""The training loop that pretraining and finetuning share: Lightning runs it, checkpoints make it survive a kill.

    rows of step → micro-batches → summed loss / labels of the whole batch → clip → learning rate → optimizers
    → history row → every `validate_every` steps the held-out loss → checkpoint by wall time, at SIGTERM, at the end

A batch is a pure function of the step's number and nothing is drawn at random in between, so a resumed run repeats
exactly the arithmetic of an uninterrupted one: equal witness, equal bits. The loss is normalised by the labels of the
whole batch, over all micro-batches and devices, so how a batch is cut changes nothing but rounding. Held-out rows go
through the graph of training (gradients recorded, never used), which costs memory of one micro-batch and saves a
second compilation. Layers are compiled one by one: one graph serves them all, and it is compiled once.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import lightning.pytorch as lightning
import torch
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from llm_dag.config.optimisation import Optimisation
from llm_dag.modeling.transformer import Transformer
from llm_dag.progress import Progress
from llm_dag.store.errors import StoreError
from llm_dag.training import checkpoints
from llm_dag.training.machine import Machine
from llm_dag.training.optimizers import learning_rate, make_optimizers

IGNORED = -100  # the label of a position that is not trained on

Batch = dict[str, Tensor]  # tokens RT, labels RT; of packed rows also positions RT and segments RT


class TrainingError(StoreError):
    """A run that cannot go on; the message names the step and what was found."""


class Rows(Protocol):
    """What is trained on: a pure function of the step."""

    def batch(self, step: int, start: int, stop: int) -> Batch: ...

    def targets(self, step: int) -> int: ...


class HeldoutRows(Protocol):
    """What is looked at: rows in a fixed order; `batch` fills up beyond the last with rows of ignored labels."""

    def batch(self, start: int, stop: int) -> Batch: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Run:
    """One run: what is trained on, for how long, by whom (its witness), where its checkpoints lie."""

    node: Optimisation
    steps: int
    rows: Rows
    heldout: HeldoutRows
    heldout_bytes: int  # that the held-out labels stand for; 0: bits per byte are not measured
    machine: Machine
    witness: Mapping[str, Any]
    checkpoints: Path
    checkpoint_seconds: float
    name: str = ""  # of what is made: the processes of several machines meet under it


def summed_nll(hidden_RTW: Tensor, head_VW: Tensor, labels_RT: Tensor) -> Tensor:
    """The sum of -log p(label) over labels that are not ignored, in nats and float32."""
    logits_RTV = F.linear(hidden_RTW, head_VW)
    return F.cross_entropy(logits_RTV.flatten(0, 1).float(), labels_RT.flatten(), ignore_index=IGNORED, reduction="sum")


def packed_mask(segments_RT: Tensor) -> Tensor:
    """The whole mask RTT of packed rows: a token sees the earlier tokens of its own segment."""
    same_RTT = segments_RT[:, :, None] == segments_RT[:, None, :]
    return same_RTT.tril()


def cut(batch: Batch, rows: int) -> Iterator[Batch]:
    """The micro-batches of a batch, `rows` rows each."""
    for start in range(0, len(batch["tokens"]), rows):
        yield {name: value[start : start + rows] for name, value in batch.items()}


class Training(lightning.LightningModule):
    """The run as Lightning sees it. Its batches are steps; gradients are accumulated and applied by hand."""

    def __init__(self, model: Transformer, run: Run, progress: Progress) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.run, self.progress = model, run, progress
        self.nll = summed_nll
        self.done = 0
        self.history: list[dict[str, float | None]] = []
        self.speed: list[dict[str, float]] = []
        self.witnesses: list[dict[str, Any]] = [{"after_step": 0, "witness": dict(run.witness)}]
        self._loaded: list[Any] = []
        self._terminated = False
        self._saved = self._stepped = time.monotonic()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a checkpoint."""
        self.model.load_state_dict(state["model"])
        self.done, self.history, self.speed = state["step"], list(state["history"]), list(state["speed"])
        self._loaded = state["optimizers"]
        self.witnesses = list(state["witnesses"])
        if (before := self.witnesses[-1]["witness"]) != self.run.witness:
            self.witnesses.append({"after_step": self.done, "witness": dict(self.run.witness)})
            differing = sorted(
                key for key in {*before, *self.run.witness} if before.get(key) != self.run.witness.get(key)
            )
            told = ", ".join(f"{key} {before.get(key)} → {self.run.witness.get(key)}" for key in differing)
            self.progress.say(f"another witness goes on ({told}): an uninterrupted run may give other bits")

    def setup(self, stage: str) -> None:
        torch.set_num_threads(self.run.machine.threads)  # a process that Lightning started has its own idea
        if self.run.machine.compiled:
            torch.compiler.reset()  # what an earlier run of this process compiled must not decide what this one gets
            for layer in self.model.model.layers:
                layer.compile(dynamic=False)
            self.nll = torch.compile(summed_nll, dynamic=False)

    def configure_optimizers(self) -> list[Optimizer]:
        return make_optimizers(self.model, self.run.node)

    def on_fit_start(self) -> None:
        for optimizer, state in zip(self.trainer.optimizers, self._loaded, strict=bool(self._loaded)):
            optimizer.load_state_dict(state)
        self._loaded = []
        self._saved = self._stepped = time.monotonic()

    def on_train_start(self) -> None:
        # Lightning answers SIGTERM with a broadcast in the midst of others; several machines stop by agreement instead
        if self.run.machine.launch and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda number, frame: setattr(self, "_terminated", True))

    def loss(self, batch: Batch) -> Tensor:
        """The summed loss of some rows."""
        mask = packed_mask(batch["segments"]) if "segments" in batch else None
        hidden = self.model.hidden(batch["tokens"], None, batch.get("positions"), mask)
        return self.nll(hidden, self.model.head_weight_VW, batch["labels"])

    def training_step(self, batch: Batch, at: int) -> None:
        node, machine = self.run.node, self.run.machine
        targets, total = self.run.rows.targets(self.done), 0.0
        pieces = list(cut(batch, node.device_tokens // node.sequence))
        for number, piece in enumerate(pieces, 1):
            with contextlib.nullcontext() if number == len(pieces) else self._unsynchronised():
                loss = self.loss(piece) / targets
                self.manual_backward(loss * machine.world_size)
            total += self._over_ranks(loss)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), node.clip).item()
        if not (math.isfinite(total) and math.isfinite(norm)):
            raise TrainingError(
                f"step {self.done + 1} of {self.run.steps}: the loss is {total} and the gradient's norm {norm}; "
                f"finite numbers are wanted. Lower learning_rate={node.learning_rate} or clip={node.clip}"
            )
        rate = learning_rate(node, self.done, self.run.steps)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.done += 1
        self.history.append({"step": self.done, "targets": targets, "loss": total, "learning_rate": rate,
                             "grad_norm": norm, "heldout_loss": None, "heldout_bits_per_byte": None})  # fmt: skip

    def on_train_batch_end(self, outputs: Any, batch: Batch, at: int) -> None:
        row, run = self.history[-1], self.run
        now = time.monotonic()
        seconds, self._stepped = now - self._stepped, now
        rate = run.node.batch_tokens / max(seconds, 1e-9)
        self.speed.append({"step": self.done, "seconds": seconds, "tokens_per_second": rate})
        if self.done % run.node.validate_every == 0 or self.done == run.steps:
            row |= self.validate()
            self._stepped = time.monotonic()
        shown = {"loss": row["loss"], "tokens_per_second": rate, "bits_per_byte": row["heldout_bits_per_byte"]}
        self.progress.update(self.done, **{name: value for name, value in shown.items() if value is not None})
        due = time.monotonic() - self._saved >= run.checkpoint_seconds
        stopping = self._stopping()
        if self.trainer.is_global_zero and (due or self.done == run.steps or stopping):
            self.save()
        if stopping and run.machine.launch and self.done < run.steps:
            raise SIGTERMException

    def validate(self) -> dict[str, float]:
        """The mean held-out loss in nats, and its bits per byte where bytes are known."""
        rank, world = self.trainer.global_rank, self.run.machine.world_size
        rows = self.run.node.device_tokens // self.run.node.sequence
        total = labels = 0.0
        for number, start in enumerate(range(0, len(self.run.heldout), rows)):
            if number % world != rank:
                continue
            batch = {name: value.to(self.device) for name, value in self.run.heldout.batch(start, start + rows).items()}
            with self.trainer.precision_plugin.forward_context():
                total += self.loss(batch).item()
            labels += (batch["labels"] != IGNORED).sum().item()
        total, labels = (self._over_ranks(torch.tensor(each, device=self.device)) for each in (total, labels))
        found = {"heldout_loss": total / max(labels, 1.0)}
        if self.run.heldout_bytes:
            found["heldout_bits_per_byte"] = total / math.log(2) / self.run.heldout_bytes
        return found

    def save(self) -> None:
        """Write a checkpoint."""
        state = {
            "step": self.done,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.trainer.optimizers],
            "history": self.history,
            "speed": self.speed,
            "witnesses": self.witnesses,
        }
        checkpoints.save(self.run.checkpoints, self.done, state)
        self._saved = time.monotonic()

    def _stopping(self) -> bool:
        """Whether SIGTERM came; of several machines' processes, to any: all stop after the same step."""
        if self.run.machine.launch is None:
            return bool(self.trainer.received_sigterm)
        return self._over_ranks(torch.tensor(float(self._terminated), device=self.device)) > 0

    def _unsynchronised(self) -> contextlib.AbstractContextManager[None]:
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else contextlib.nullcontext()

    def _over_ranks(self, value: Tensor) -> float:
        if self.run.machine.world_size == 1:
            return value.item()
        return float(self.trainer.strategy.reduce(value.detach(), reduce_op="sum"))


class Steps(Dataset[Batch]):
    """The rows of one device for the steps from `first` to the last."""

    def __init__(self, run: Run, first: int, rank: int) -> None:
        self.run, self.first, self.rank = run, first, rank
        self.rows = run.node.batch_tokens // run.node.sequence // run.machine.world_size

    def __len__(self) -> int:
        return self.run.steps - self.first

    def __getitem__(self, at: int) -> Batch:
        if at >= len(self):
            raise IndexError(at)
        return self.run.rows.batch(self.first + at, self.rank * self.rows, (self.rank + 1) * self.rows)


class StepData(lightning.LightningDataModule):
    """Hands Lightning one batch a step, in order, beginning where a checkpoint left off."""

    def __init__(self, run: Run, first: int) -> None:
        super().__init__()
        self.run, self.first = run, first

    def train_dataloader(self) -> DataLoader[Batch]:
        assert self.trainer is not None
        return DataLoader(Steps(self.run, self.first, self.trainer.global_rank), batch_size=None)
