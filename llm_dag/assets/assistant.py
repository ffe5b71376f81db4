"""Group assistant: from a model of text to one that answers."""

from llm_dag.assets import checks
from llm_dag.assets.declare import step
from llm_dag.store.step import Input
from llm_dag.store.work import Work


@step(
    group="assistant",
    node="conversations",
    inputs=(Input("pii_redacted", dumps="conversations.dumps"), "eval_sets"),
    checks=(checks.heldout_subjects_disjoint, checks.conversations_well_formed, checks.enough_heldout),
    kinds=("json",),
)
def conversations(work: Work) -> None:
    """Conversations built from the corpus and written by hand, split by subject."""
    from llm_dag.conversations import mixture

    mixture.build(work)


@step(
    group="assistant",
    node="sft",
    inputs=("base_model", "conversations"),
    checks=(checks.loss_fell, checks.weights_finite, checks.loss_mask_exact),
    kinds=("pytorch", "lightning"),
    pool="accelerator",
    together=True,
)
def sft_model(work: Work) -> None:
    """The base model finetuned on conversations: loss on the assistant's words and its end of turn alone."""
    from llm_dag.training import sft

    sft.build(work)
