"""The SFT model: the base model taught to answer, by the assistant's words in conversations and nothing else.

data/   a Hugging Face folder; history.parquet; seen.parquet: each conversation, its tokens, how often it was read
record/ left_out.jsonl: conversations that were not trained on, and why; speed.parquet
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from llm_dag.config.sft import Sft
from llm_dag.ledger import write_table
from llm_dag.modeling.huggingface import load_model, save_model
from llm_dag.store.work import Work
from llm_dag.tasks.jsonl import read_objects, write_objects
from llm_dag.tokenization.chat import ChatError, Conversation, render
from llm_dag.tokenization.messages import Message
from llm_dag.tokenization.vocabulary import Vocabulary
from llm_dag.training.fit import fit, write_history
from llm_dag.training.loop import Run, TrainingError
from llm_dag.training.machine import choose
from llm_dag.training.packing import Example, PackedHeldout, PackedRows

SEEN = pa.schema(
    {"id": pa.string(), "tokens": pa.int64(), "trained_tokens": pa.int64(), "times": pa.int64()},
)


def build(work: Work) -> None:
    """Finetune. Resumes from `work.scratch`; equal witnesses give equal bytes."""
    node: Sft = work.config
    base = work.input("base_model").folder()
    model, vocabulary = load_model(base)
    model.float().train()
    if model.shape.context != node.context:
        raise TrainingError(f"sft.context={node.context}, but the base model's context is {model.shape.context}")
    machine = choose(work.compute, node.precision)
    work.witness |= machine.witness
    left_out: list[dict[str, Any]] = []
    found = {
        split: list(read(work.input("conversations").path(f"{split}.jsonl"), vocabulary, node.sequence, left_out))
        for split in ("train", "heldout")
    }
    write_objects(work.record("left_out.jsonl"), left_out)
    for split, examples in found.items():
        if not examples:
            raise TrainingError(
                f"no {split} conversation fits into sft.sequence={node.sequence} tokens ({len(left_out)} left out)"
            )
    rows = PackedRows(found["train"], node.sequence, node.batch_tokens // node.sequence, node.epochs, node.seed)
    work.progress.say(
        f"{len(found['train']):,} conversations × {node.epochs} epochs in {rows.steps} steps of {node.batch_tokens:,} "
        f"places, {rows.fill:.0%} filled; {machine.device}, {machine.precision}, "
        f"{'compiled' if machine.compiled else 'eager'}"
    )
    run = Run(
        node=node,
        steps=rows.steps,
        rows=rows,
        heldout=PackedHeldout(found["heldout"], node.sequence),
        heldout_bytes=sum(answer_bytes(example, vocabulary) for example in found["heldout"]),
        machine=machine,
        witness=dict(work.witness),
        checkpoints=work.scratch("checkpoints/step").parent,
        checkpoint_seconds=work.compute.checkpoint_seconds,
        name=work.recipe,
    )
    fitted = fit(model, run, work.progress)
    save_model(work.data("config.json").parent, model.shape, fitted.state, base)
    write_history(work, fitted)
    seen = [(one.id, len(one.ids), one.targets, node.epochs) for one in found["train"]]
    rows_seen = [dict(zip(SEEN.names, row, strict=True)) for row in seen]
    write_table(pa.Table.from_pylist(rows_seen, SEEN), work.data("seen.parquet"))
    reasons = Counter(row["reason"] for row in left_out)
    work.metrics |= {
        "conversations": len(found["train"]),
        "conversations_heldout": len(found["heldout"]),
        **{f"left_out/{reason}": reasons[reason] for reason in sorted(reasons)},
        "steps": run.steps,
        "epochs": node.epochs,
        "trained_tokens": node.epochs * sum(one.targets for one in found["train"]),
        "fill": rows.fill,
        "loss": fitted.last("loss"),
        "heldout_loss": fitted.last("heldout_loss"),
        "heldout_bits_per_byte": fitted.last("heldout_bits_per_byte"),
        "tokens_per_second": node.batch_tokens / float(np.median([row["seconds"] for row in fitted.speed])),
    }


def read(path: Path, vocabulary: Vocabulary, length: int, left_out: list[dict[str, Any]]) -> Iterator[Example]:
    """The conversations of a file as examples; one that is malformed, or longer than a row, goes to `left_out`."""
    for line, record in read_objects(path):
        name = str(record.get("id", f"{path.name}:{line}"))
        try:
            messages = tuple(Message(str(one["role"]), str(one["content"])) for one in record["messages"])
            rendered = render(Conversation(messages), vocabulary)
        except (ChatError, KeyError, TypeError) as error:
            left_out.append({"id": name, "file": path.name, "line": line, "reason": "malformed", "found": repr(error)})
            continue
        example = Example(name, np.array(rendered.ids, np.int32), np.array(rendered.mask, bool))
        if example.places > length or not example.targets:
            reason = "too_long" if example.places > length else "no_answer"
            left_out.append({"id": name, "file": path.name, "line": line, "reason": reason, "tokens": len(example.ids)})
            continue
        yield example


def answer_bytes(example: Example, vocabulary: Vocabulary) -> int:
    """The bytes of the assistant's words; a special token stands for none."""
    special = set(vocabulary.special_ids.values())
    return sum(
        len(vocabulary.token_bytes(token)) for token in example.ids[example.mask].tolist() if token not in special
    )
