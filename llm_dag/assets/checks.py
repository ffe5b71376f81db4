"""The checks of the house: what each asserts stands one floor down, beside what it is about."""

from llm_dag.assets.declare import blocking, shown
from llm_dag.store.artifact import Artifact
from llm_dag.store.checks import CheckResult


@blocking
def pages_indexed(artifact: Artifact) -> CheckResult:
    """Every page of the index has one verdict, in order, and no doc_id stands twice."""
    from llm_dag.curation import checks_crawl

    return checks_crawl.pages_indexed(artifact)


@blocking
def records_found_again(artifact: Artifact) -> CheckResult:
    """Records read back from where the index says they lie have the payload that it says."""
    from llm_dag.curation import checks_crawl

    return checks_crawl.records_found_again(artifact)


@blocking
def takedowns_honoured(artifact: Artifact) -> CheckResult:
    """No page that was kept matches a takedown rule."""
    from llm_dag.curation import checks_crawl

    return checks_crawl.takedowns_honoured(artifact)


@blocking
def conservation(artifact: Artifact) -> CheckResult:
    """Every document that the step before kept was judged exactly once: in = kept + dropped."""
    from llm_dag.curation import checks

    return checks.conservation(artifact)


@blocking
def retention(artifact: Artifact) -> CheckResult:
    """The share of documents kept is one that a working step can have."""
    from llm_dag.curation import checks

    return checks.retention(artifact)


@blocking
def canaries_met_their_fate(artifact: Artifact) -> CheckResult:
    """Every page planted with a known fate met it."""
    from llm_dag.curation import checks

    return checks.canaries_met_their_fate(artifact)


@blocking
def beats_majority(artifact: Artifact) -> CheckResult:
    """The quality classifier tells held-out good texts from bad ones better than the majority's answer."""
    from llm_dag.curation import checks_quality

    return checks_quality.beats_majority(artifact)


@blocking
def no_benchmark_text(artifact: Artifact) -> CheckResult:
    """No benchmark item stands in the clean text."""
    from llm_dag.curation import checks

    return checks.no_benchmark_text(artifact)


@blocking
def heldout_disjoint(artifact: Artifact) -> CheckResult:
    """No cluster of duplicates is in both splits."""
    from llm_dag.curation import checks

    return checks.heldout_disjoint(artifact)


@blocking
def arithmetic_splits_disjoint(artifact: Artifact) -> CheckResult:
    """No arithmetic problem is in both splits."""
    from llm_dag.tasks import checks

    return checks.arithmetic_splits_disjoint(artifact)


@blocking
def round_trips_every_byte(artifact: Artifact) -> CheckResult:
    """Every byte string comes back from the tokenizer as it went in."""
    from llm_dag.tokenization import checks

    return checks.round_trips_every_byte(artifact)


@blocking
def arrays_conserve(artifact: Artifact) -> CheckResult:
    """Every token belongs to one document, and documents decode to their text."""
    from llm_dag.tokenization import checks

    return checks.arrays_conserve(artifact)


@blocking
def no_special_inside_documents(artifact: Artifact) -> CheckResult:
    """No document holds a special token."""
    from llm_dag.tokenization import checks

    return checks.no_special_inside_documents(artifact)


@blocking
def loss_fell(artifact: Artifact) -> CheckResult:
    """Training lowered the loss."""
    from llm_dag.training import checks

    return checks.loss_fell(artifact)


@blocking
def weights_finite(artifact: Artifact) -> CheckResult:
    """No weight is infinite or not a number."""
    from llm_dag.training import checks

    return checks.weights_finite(artifact)


@blocking
def bits_per_byte_under_xz(artifact: Artifact) -> CheckResult:
    """The model compresses held-out pages well below xz on the same bytes."""
    from llm_dag.training import checks

    return checks.bits_per_byte_under_xz(artifact)


@shown
def heldout_apart(artifact: Artifact) -> CheckResult:
    """No held-out document of one dump is trained on in another."""
    from llm_dag.training import checks

    return checks.heldout_apart(artifact)


@blocking
def heldout_subjects_disjoint(artifact: Artifact) -> CheckResult:
    """No subject, question or answer is in both splits."""
    from llm_dag.conversations import checks

    return checks.heldout_subjects_disjoint(artifact)


@blocking
def conversations_well_formed(artifact: Artifact) -> CheckResult:
    """Roles alternate, the assistant ends, nothing is empty."""
    from llm_dag.conversations import checks

    return checks.conversations_well_formed(artifact)


@blocking
def enough_heldout(artifact: Artifact) -> CheckResult:
    """There are enough held-out questions to measure with."""
    from llm_dag.conversations import checks

    return checks.enough_heldout(artifact)


@blocking
def loss_mask_exact(artifact: Artifact) -> CheckResult:
    """The loss is on the assistant's words and its end of turn, and on nothing else."""
    from llm_dag.training import checks

    return checks.loss_mask_exact(artifact)


@blocking
def bits_per_byte_gate(artifact: Artifact) -> CheckResult:
    """Bits per byte on strict held-out lines are within the gate."""
    from llm_dag.evaluation import checks

    return checks.bits_per_byte_gate(artifact)


@blocking
def sft_beats_base(artifact: Artifact) -> CheckResult:
    """Finetuning improved held-out answers, by an interval that excludes zero."""
    from llm_dag.evaluation import checks

    return checks.sft_beats_base(artifact)


@blocking
def scores_finite(artifact: Artifact) -> CheckResult:
    """Every score is a finite number."""
    from llm_dag.evaluation import checks

    return checks.scores_finite(artifact)
