"""Group base: the language model."""

from llm_dag.assets import checks
from llm_dag.assets.declare import step
from llm_dag.store.step import Input
from llm_dag.store.work import Work


@step(
    group="base",
    node="pretrain",
    inputs=("tokenizer", Input("token_arrays", dumps="pretrain.dumps")),
    checks=(checks.loss_fell, checks.weights_finite, checks.bits_per_byte_under_xz, checks.heldout_apart),
    held=True,
    kinds=("pytorch", "lightning"),
    pool="accelerator",
    together=True,
)
def base_model(work: Work) -> None:
    """The base model: next-token prediction over `pretrain.dumps`, as a Hugging Face folder. Held."""
    from llm_dag.training import pretrain

    pretrain.build(work)
