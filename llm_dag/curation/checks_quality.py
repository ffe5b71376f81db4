"""The check of `quality_classifier`: it tells good texts from bad ones better than a constant answer does."""

from __future__ import annotations

import pyarrow.parquet as pq

from llm_dag.curation.ranking import area, gain
from llm_dag.store.artifact import Artifact
from llm_dag.store.checks import CheckResult

FEW = 20  # labels on one side below which an interval says nothing
HALF = 0.5


def beats_majority(artifact: Artifact) -> CheckResult:
    """On held-out labels, the area under the ROC curve is above one half by an interval of 95 %.

    One half is what the majority's answer has, as any constant does. The accuracy at a score of one half, the
    majority's accuracy and the area that the length of a text alone reaches stand beside it.
    """
    table = pq.read_table(artifact.path("heldout.parquet"), partitioning=None)
    if not len(table):
        return CheckResult(True, "there is no classifier: curation.quality.labels names no file", {"labels": 0})
    good: list[bool] = table["good"].to_pylist()
    scores: list[float] = table["score"].to_pylist()
    fewest = min(sum(good), len(good) - sum(good))
    found, length = area(scores, good), area(table["characters"].to_pylist(), good)
    majority = 2 * sum(good) >= len(good)
    right = [(score >= HALF) is side for score, side in zip(scores, good, strict=True)]
    better = gain(right, [side is majority for side in good])
    numbers = {
        "auc": found.value,
        "auc_low": found.low,
        "auc_high": found.high,
        "auc_of_length": length.value,
        "accuracy": sum(right) / len(right),
        "accuracy_of_majority": max(sum(good), len(good) - sum(good)) / len(good),
        "accuracy_gain_low": better.low,
        "accuracy_gain_high": better.high,
        "labels": len(good),
    }
    message = (
        f"AUC {found} over {len(good)} labels, each held out once; wanted: an interval above {HALF}, the majority's; "
        f"the length of a text alone has {length}; accuracy {numbers['accuracy']:.3f}, "
        f"the majority's {numbers['accuracy_of_majority']:.3f}, gain {better}"
    )
    if fewest < FEW:
        message += f"; {fewest} labels on one side are too few to say, {FEW} are wanted"
    return CheckResult(found.low > HALF and fewest >= FEW, message, numbers)
