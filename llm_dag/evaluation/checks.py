"""What must hold of the evaluations before anything is built on them."""

from __future__ import annotations

import math

from llm_dag.evaluation.scores import read_scores
from llm_dag.store.artifact import Artifact
from llm_dag.store.checks import CheckResult


def bits_per_byte_gate(artifact: Artifact) -> CheckResult:
    """The base model needs clearly fewer bits than xz alone for strict held-out lines."""
    limit = float(artifact.config["max_ratio_to_xz"])
    scores = read_scores(artifact.path("scores.parquet"))
    model, xz = (scores["heldout_bits_per_byte", name].value for name in ("base", "xz"))
    ratio = model / xz
    return CheckResult(
        passed=ratio <= limit,
        message=f"{model:.3f} bits per byte, xz alone {xz:.3f}: {ratio:.3f} of it; at most {limit:g} is wanted",
        numbers={"bits_per_byte": model, "xz_bits_per_byte": xz, "ratio": ratio},
    )


def sft_beats_base(artifact: Artifact) -> CheckResult:
    """SFT saves bits on held-out reference answers, and the interval of what it saves lies above the wanted gain."""
    wanted = float(artifact.config["min_answer_gain"])
    gain = read_scores(artifact.path("scores.parquet"))["answer_bits_per_byte", "gain"]
    if gain.low is None or gain.high is None:
        return CheckResult(False, f"{gain.n} answer: too few for an interval; two or more are wanted")
    return CheckResult(
        passed=gain.low > wanted,
        message=(
            f"SFT saves {gain.value:.3f} bits per byte of answer, interval {gain.low:.3f} to {gain.high:.3f} over"
            f" {gain.n} different answers; its lower end is wanted above {wanted:g}"
        ),
        numbers={"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high},
    )


def scores_finite(artifact: Artifact) -> CheckResult:
    """Every score is a finite number, and no interval ends before it begins."""
    scores = read_scores(artifact.path("scores.parquet")).values()
    faults = [f"{one.metric} of {one.model} is {one.value}" for one in scores if not math.isfinite(one.value)]
    for one in scores:
        if one.low is not None and one.high is not None and not one.low <= one.high:
            faults.append(f"{one.metric} of {one.model} has the interval {one.low} to {one.high}")
    if not scores:
        faults.append("there are no scores")
    return CheckResult(
        passed=not faults,
        message="; ".join(faults) or f"{len(scores)} scores are finite",
        numbers={"scores": len(scores), "faults": len(faults)},
    )
