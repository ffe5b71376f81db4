"""A tokenizer, token arrays and conversations in plain folders, and the training steps over them.

Run as a program (`training_world.py pretrain|sft inputs base out precision compute-as-JSON`), it is the process that
tests kill.
"""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from llm_dag.config.compute import Compute
from llm_dag.config.model import Model
from llm_dag.config.pretrain import Pretrain
from llm_dag.config.sft import Sft
from llm_dag.ledger import document_id, write_table
from llm_dag.store.work import Work
from llm_dag.tokenization.token_arrays import DOCUMENTS
from llm_dag.tokenization.tokenizer import train, write
from llm_dag.tokenization.vocabulary import Vocabulary

WORDS = "the path of a file is joined to another and then it returns what os.path.join gives for any list of names"

MODEL = Model(
    width=16, depth=2, heads=2, kv_heads=1, ffn=32, context=64, rope_theta=1e4, norm_eps=1e-5, tie_embeddings=True
)
SHARED: dict[str, Any] = {
    "sequence": 16,
    "batch_tokens": 64,
    "device_tokens": 64,
    "optimizer": "muon",
    "learning_rate": 1e-2,
    "warmup": 0.1,
    "decay": 0.5,
    "weight_decay": 0.01,
    "clip": 1.0,
    "validate_every": 5,
    "precision": "float32",
    "seed": 3,
}
PRETRAIN = Pretrain(**SHARED, dumps=["one", "two"], model=MODEL, tokens=64 * 12, heldout_tokens=80, max_ratio_to_xz=9.0)
SFT = Sft(**(SHARED | {"sequence": 64, "batch_tokens": 256, "device_tokens": 256}), context=64, epochs=2)
COMPUTE = Compute(
    store="",
    executor="in_process",
    accelerator="cpu",
    devices=1,
    nodes=1,
    threads=1,
    compile=False,
    checkpoint_seconds=1000,
    report_seconds=1.0,
)


@dataclass
class Folder:
    """An artifact over a plain folder, `data` inside."""

    root: Path
    partition: str | None = None
    above: dict[str, list[Folder]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        return self.root / "data" / name

    def folder(self, prefix: str = "") -> Path:
        return self.root / "data" / prefix

    def names(self, prefix: str = "") -> list[str]:
        found = (path for path in (self.root / "data").rglob("*") if path.is_file())
        names = (path.relative_to(self.root / "data").as_posix() for path in found)
        return sorted(name for name in names if name.startswith(prefix))

    def inputs(self, name: str) -> list[Folder]:
        return self.above[name]


def sentences(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS.split(), k=draw.randint(3, 25))) + "." for _ in range(count)]


def make_inputs(root: Path) -> None:
    """`tokenizer`, `token_arrays` of two dumps with two shards each, and `conversations`."""
    for folder in ("tokenizer", "one", "two", "conversations"):
        (root / folder / "data").mkdir(parents=True)
    write(train(iter([sentences(200, 0)]), "cl100k", 300), lambda name: root / "tokenizer/data" / name)
    vocabulary = Vocabulary.load(root / "tokenizer/data")
    for number, dump in enumerate(("one", "two")):
        make_arrays(root / dump / "data", dump, vocabulary, number)
    questions = ["what does os.path.join give", "what is joined", "is a file a list of names"]
    for split, seed, count in (("train", 5, 30), ("heldout", 6, 5)):
        with (root / "conversations/data" / f"{split}.jsonl").open("w") as file:
            for at, answer in enumerate(sentences(count, seed)):
                words = " ".join(answer.split()[: 1 + at % 9])
                said = [{"role": "user", "content": questions[at % 3]}, {"role": "assistant", "content": words}]
                file.write(json.dumps({"id": f"{split}{at}", "subject": "s", "kind": "k", "messages": said}) + "\n")


def make_arrays(data: Path, dump: str, vocabulary: Vocabulary, number: int) -> None:
    for shard in range(2):
        columns: dict[str, list[Any]] = {name: [] for name in DOCUMENTS.names}
        ids: dict[str, list[int]] = {"train": [], "heldout": []}
        for row, text in enumerate(sentences(14, 10 * number + shard + 1)):
            split = "heldout" if row % 5 == 4 else "train"
            tokens = [*vocabulary.encode(text), vocabulary.end_of_text]
            values = (document_id(dump, shard, row), "", split, len(ids[split]), len(tokens), len(text.encode()))
            for name, value in zip(DOCUMENTS.names, values, strict=True):
                columns[name].append(value)
            ids[split] += tokens
        for split, found in ids.items():
            (data / split).mkdir(exist_ok=True)
            (data / split / f"{shard:05d}.bin").write_bytes(np.array(found, "<u2").tobytes())
        write_table(pa.table(columns, schema=DOCUMENTS), data / f"documents/{shard:05d}.parquet")
    kind = {"dtype": "uint16", "vocab_size": vocabulary.size, "vocabulary": vocabulary.digest}
    (data / "arrays.json").write_text(json.dumps(kind))


def pretrain_work(root: Path, out: Path, node: Pretrain = PRETRAIN, **compute: Any) -> Work:
    inputs = {
        "tokenizer": [Folder(root / "tokenizer")],
        "token_arrays": [Folder(root / dump, dump) for dump in ("one", "two")],
    }
    return Work("base_model", None, node, replace(COMPUTE, **compute), inputs, out)  # type: ignore[arg-type]


def sft_work(root: Path, base: Path, out: Path, node: Sft = SFT, **compute: Any) -> Work:
    inputs = {"base_model": [Folder(base / "out")], "conversations": [Folder(root / "conversations")]}
    return Work("sft_model", None, node, replace(COMPUTE, **compute), inputs, out)  # type: ignore[arg-type]


class Slow:
    """A progress that waits after each step and prints it, so that a test can choose when to kill."""

    def start(self, task: str, total: int | None, unit: str) -> None:
        return None

    def update(self, done: int, **numbers: float) -> None:
        print(done, flush=True)
        time.sleep(0.05)

    def say(self, text: str) -> None:
        print(text, flush=True)


def main(kind: str, root: str, base: str, out: str, precision: str, compute: str) -> None:
    values = json.loads(compute)
    if kind == "pretrain":
        from llm_dag.training import pretrain

        work = pretrain_work(Path(root), Path(out), replace(PRETRAIN, precision=precision), **values)
        work.progress = Slow()
        pretrain.build(work)
    else:
        from llm_dag.training import sft

        work = sft_work(Path(root), Path(base), Path(out), replace(SFT, precision=precision), **values)
        work.progress = Slow()
        sft.build(work)


if __name__ == "__main__":
    main(*sys.argv[1:])
