"""The jobs as a function of their name, so that a process started for one step can find its job again."""

from dagster import JobDefinition


def job(name: str) -> JobDefinition:
    """The job of a name."""
    from llm_dag.definitions import defs

    return defs.resolve_job_def(name)
