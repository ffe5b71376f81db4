"""The jobs as functions, so that a process started for one step can find its job again."""

from dagster import JobDefinition


def assistant() -> JobDefinition:
    """Everything."""
    from llm_dag.definitions import defs

    return defs.resolve_job_def("assistant")


def refresh_data() -> JobDefinition:
    """One dump."""
    from llm_dag.definitions import defs

    return defs.resolve_job_def("refresh_data")


def pretrain() -> JobDefinition:
    """Up to the base model."""
    from llm_dag.definitions import defs

    return defs.resolve_job_def("pretrain")
