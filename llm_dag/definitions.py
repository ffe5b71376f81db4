"""The code location: the one place where Dagster is assembled. Explicit lists, no autoloading.

dagster job execute -m llm_dag.definitions -j assistant
"""

import warnings

import dagster as dg

warnings.filterwarnings("ignore", category=dg.BetaWarning)  # of Dagster's own selection parser

from llm_dag.assets import jobs  # noqa: E402
from llm_dag.assets.conf import Conf  # noqa: E402
from llm_dag.assets.graph import graph  # noqa: E402
from llm_dag.assets.materialize import to_asset  # noqa: E402
from llm_dag.config.compose import compose  # noqa: E402

_graph = graph()
_default = compose()

defs = dg.Definitions(
    assets=[to_asset(step, _graph, _default) for step in _graph.values()],
    jobs=jobs.jobs(_default.identity.source.dump, _graph),
    schedules=[jobs.weekly_refresh()],
    resources={"conf": Conf()},
    executor=jobs.executor,
)
