"""Group tasks: problems with graders."""

from llm_dag.assets import checks
from llm_dag.assets.declare import step
from llm_dag.store.work import Work


@step(group="tasks", node="tasks", checks=(checks.arithmetic_splits_disjoint,), kinds=("parquet",))
def eval_sets(work: Work) -> None:
    """Pinned benchmark items (what decontamination looks for) and the held-out split of the arithmetic generator."""
    from llm_dag.tasks import eval_sets

    eval_sets.build(work)
