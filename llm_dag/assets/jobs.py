"""The jobs and the schedule. A run is about one dump: the default one is every job's default partition."""

from typing import Any

import dagster as dg

from llm_dag.config.compute import EXECUTORS
from llm_dag.store.errors import StoreError
from llm_dag.store.step import Graph

REFRESHED = ("crawl", "curation", "tasks", "tokens")
JOBS = {
    "assistant": "Everything: from the crawl to the assistant, its evaluations and the report card.",
    "refresh_data": "One dump from its crawl to its token arrays. Models stay as they are.",
    "pretrain": "The base model and everything that it is made from.",
    "curate": "One dump from its crawl to its clean text, and no further: no tokenizer is needed.",
}
AIMS = {"pretrain": "base_model", "curate": "pii_redacted"}  # jobs that end with an asset


def members(job: str, graph: Graph) -> list[str]:
    """The assets of a job, each after its inputs. Raises StoreError for a job that there is not."""
    if job == "assistant":
        return list(graph)
    if job == "refresh_data":
        return [name for name, step in graph.items() if step.group in REFRESHED]
    if job in AIMS:
        wanted = {AIMS[job]}
        for name in reversed(list(graph)):
            if name in wanted:
                wanted |= {item.asset for item in graph[name].inputs}
        return [name for name in graph if name in wanted]
    raise StoreError(f"there is no job {job}; there are {', '.join(JOBS)}")


def jobs(dump: str, graph: Graph) -> list[Any]:
    """The jobs as Dagster runs them, about the dump unless a run says otherwise."""
    return [
        dg.define_asset_job(
            name,
            selection=dg.AssetSelection.assets(*members(name, graph)),
            tags={"dagster/partition": dump},
            description=description,
        )
        for name, description in JOBS.items()
    ]


def weekly_refresh() -> dg.ScheduleDefinition:
    """Refresh the default dump on Monday at four; what has not changed is reused. Off until switched on."""
    return dg.ScheduleDefinition(
        name="weekly_refresh", job_name="refresh_data", cron_schedule="0 4 * * 1", description=weekly_refresh.__doc__
    )


@dg.configured(
    dg.multi_or_in_process_executor,
    config_schema={
        "mode": dg.Field(
            dg.Enum("ExecutorMode", [dg.EnumValue(mode) for mode in EXECUTORS]),
            default_value=EXECUTORS[0],
            is_required=False,
            description="in_process, or multiprocess: one process for each step, which survives a kill of the step.",
        )
    },
)
def executor(config: dict[str, str]) -> dict[str, Any]:
    """Steps in the run's own process by default: Dagster's own default starts an interpreter for each."""
    if config["mode"] == "in_process":
        return {"in_process": {}}
    return {"multiprocess": {"max_concurrent": 1}}  # steps use the whole machine, so they take turns
