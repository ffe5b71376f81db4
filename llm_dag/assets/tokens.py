"""Group tokens: from text to memory-mapped token ids."""

from llm_dag.assets import checks
from llm_dag.assets.declare import step
from llm_dag.store.step import Input
from llm_dag.store.work import Work


@step(
    group="tokens",
    node="tokenizer",
    inputs=(Input("pii_redacted", dumps="tokenizer.dumps"),),
    checks=(checks.round_trips_every_byte,),
    held=True,
    kinds=("huggingface",),
)
def tokenizer(work: Work) -> None:
    """Byte-level BPE with chat tokens, trained on the train split of `tokenizer.dumps`. Held."""
    from llm_dag.tokenization import tokenizer

    tokenizer.build(work)


@step(
    group="tokens",
    node="tokens",
    inputs=("tokenizer", "pii_redacted"),
    partitioned=True,
    checks=(checks.arrays_conserve, checks.no_special_inside_documents),
    kinds=("numpy", "parquet"),
)
def token_arrays(work: Work) -> None:
    """Memory-mapped token ids of each split, and where each document lies in them."""
    from llm_dag.tokenization import token_arrays

    token_arrays.build(work)
