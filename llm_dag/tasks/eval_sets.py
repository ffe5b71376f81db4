"""The asset `eval_sets`: evaluation items that are fixed before anything is trained.

`benchmarks.parquet` (task, item, text) is what decontamination looks for in the corpus; the items of `canaries`, which
are no benchmark, show that it is awake. `arithmetic.jsonl` holds the held-out arithmetic problems and
`arithmetic_train.jsonl` the others, one `{"id", "key", "question", "answer", "solution"}` a line; no key is in both.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from llm_dag.config.tasks import Tasks
from llm_dag.ledger import write_table
from llm_dag.store.work import Work
from llm_dag.tasks import arithmetic
from llm_dag.tasks.benchmarks import read_benchmarks
from llm_dag.tasks.jsonl import write_objects

BENCHMARK_SCHEMA = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("item", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)


def build(work: Work) -> None:
    """Write the benchmark items and both splits of the arithmetic problems."""
    config: Tasks = work.config
    items = list(read_benchmarks([*config.files, *filter(None, [config.canaries])]))
    columns = {name: [getattr(item, name) for item in items] for name in BENCHMARK_SCHEMA.names}
    write_table(pa.table(columns, schema=BENCHMARK_SCHEMA), work.data("benchmarks.parquet"))

    splits = arithmetic_splits(config)
    heldout = write_objects(work.data("arithmetic.jsonl"), splits["heldout"])
    train = write_objects(work.data("arithmetic_train.jsonl"), splits["train"])
    work.metrics["benchmark_items"] = len(items)
    work.metrics["benchmark_tasks"] = len({item.task for item in items})
    work.metrics["arithmetic_heldout"] = heldout
    work.metrics["arithmetic_train"] = train


def arithmetic_splits(config: Tasks) -> dict[str, list[dict[str, Any]]]:
    """The problems of each split, both orders of the commutative ones."""
    splits: dict[str, list[dict[str, Any]]] = {"train": [], "heldout": []}
    for chosen in arithmetic.generate(config.arithmetic_problems, config.arithmetic_largest, config.seed):
        split = arithmetic.problem_split(chosen, config.heldout, config.seed)
        for problem in arithmetic.twins(chosen):
            splits[split].append(
                {
                    "id": f"{problem.a} {problem.sign} {problem.b}",
                    "key": problem.key,
                    "question": problem.question(config.seed),
                    "answer": problem.answer,
                    "solution": problem.solution,
                }
            )
    return splits
