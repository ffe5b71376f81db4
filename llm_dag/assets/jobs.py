"""The jobs and the schedule. A run is about one dump: the default one is every job's default partition."""

from typing import Any

import dagster as dg

from llm_dag.config.compute import EXECUTORS

REFRESHED = ("crawl", "curation", "tasks", "tokens")


def jobs(dump: str) -> list[Any]:
    """`assistant` (everything), `refresh_data` (one dump), `pretrain` (up to the base model)."""
    tags = {"dagster/partition": dump}
    return [
        dg.define_asset_job(
            "assistant",
            selection=dg.AssetSelection.all(),
            tags=tags,
            description="Everything: from the crawl to the assistant, its evaluations and the report card.",
        ),
        dg.define_asset_job(
            "refresh_data",
            selection=dg.AssetSelection.groups(*REFRESHED),
            tags=tags,
            description="One dump from its crawl to its token arrays. Models stay as they are.",
        ),
        dg.define_asset_job(
            "pretrain",
            selection=dg.AssetSelection.assets("base_model").upstream(),
            tags=tags,
            description="The base model and everything that it is made from.",
        ),
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
