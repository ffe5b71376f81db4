"""Group evaluation: what the models can do, and the page that says so."""

from llm_dag.assets import checks
from llm_dag.assets.declare import step
from llm_dag.store.step import Input
from llm_dag.store.work import Work

CURATION = (
    "raw_pages",
    "url_filtered",
    "extracted_text",
    "language_filtered",
    "gopher_filtered",
    "minhash_deduped",
    "c4_filtered",
    "custom_filtered",
    "pii_redacted",
)


@step(
    group="evaluation",
    node="evaluation.harness",
    inputs=("base_model", "sft_model", "conversations", Input("token_arrays", via="base_model"), "eval_sets"),
    checks=(checks.bits_per_byte_gate, checks.sft_beats_base, checks.scores_finite),
    kinds=("pytorch", "parquet"),
    pool="accelerator",
)
def evaluations(work: Work) -> None:
    """Bits per byte on held-out lines beside xz, held-out questions before and after SFT, dreams."""
    from llm_dag.evaluation import harness

    harness.build(work)


@step(
    group="evaluation",
    node="evaluation.report",
    inputs=(
        "evaluations",
        "sft_model",
        "base_model",
        "tokenizer",
        "conversations",
        Input("token_arrays", via="base_model"),
        *(Input(name, dumps="pretrain.dumps") for name in CURATION),
    ),
    kinds=("html",),
)
def report_card(work: Work) -> None:
    """One self-contained page: the funnel, the curves, the scores, samples, times, sizes and lineage."""
    from llm_dag.evaluation import report_card

    report_card.build(work)
