"""Three quick steps over real nodes of the configuration, with everything that the house's own steps have."""

from __future__ import annotations

import json
import os

import dagster as dg

from llm_dag.assets import jobs
from llm_dag.assets.conf import Conf, Scale
from llm_dag.assets.declare import blocking, step
from llm_dag.assets.materialize import to_asset
from llm_dag.config.compose import compose
from llm_dag.store.artifact import Artifact
from llm_dag.store.checks import CheckResult
from llm_dag.store.step import Graph
from llm_dag.store.work import Work

UPDATES = 20
SECRET = "the text of a page"


@blocking
def narrow(artifact: Artifact) -> CheckResult:
    """The numbers are narrow; `tokens.dtype=uint32` makes it fail."""
    found = json.loads(artifact.path("made.json").read_text())
    return CheckResult(found != "uint32", f"{found} found, anything but uint32 wanted", {"letters": len(found)})


@step(group="toy", node="source", partitioned=True, kinds=("json",))
def pages(work: Work) -> None:
    """Pages of a dump."""
    work.data("pages.json").write_text(json.dumps([work.partition, SECRET]))
    work.metrics |= {"documents_in": 10, "documents_kept": 7, "dropped/short": 2, "dropped/long": 1}


@step(group="toy", node="tokens", checks=(narrow,), kinds=("json",), pool="accelerator")
def made(work: Work) -> None:
    """Says how far it is, and writes down its configuration."""
    work.progress.start("making", UPDATES, "pieces")
    for done in range(1, UPDATES + 1):
        work.progress.update(done, loss=1.0 / done)
    work.progress.say("all pieces are made")
    work.data("made.json").write_text(json.dumps(work.config.dtype))
    work.metrics["loss"] = 0.5
    work.record("sample.txt").write_text(SECRET)


@step(group="toy", node="tasks", inputs=("made",), kinds=("json",))
def used(work: Work) -> None:
    """What becomes of what was made."""
    work.data("used.json").write_text(work.input("made").path("made.json").read_text() * 2)


def run(instance: dg.DagsterInstance, conf: Conf, *names: str, dump: str = "") -> dg.ExecuteInProcessResult:
    """Materialize some of the toy assets; `dump` is the run's partition."""
    return dg.materialize(
        assets(),
        selection=list(names),
        instance=instance,
        resources={"conf": conf},
        tags={"dagster/partition": dump} if dump else None,  # as jobs are: nobody has registered the dump yet
        raise_on_error=False,
    )


@dg.asset
def process() -> dg.MaterializeResult:  # type: ignore[type-arg]
    """The process that runs the step."""
    return dg.MaterializeResult(metadata={"pid": os.getpid()})


GRAPH = Graph([pages, made, used])


def assets() -> list[dg.AssetsDefinition]:
    default = compose(["scale=ci"])
    return [to_asset(one, GRAPH, default) for one in GRAPH.values()]


def conf(store: str, *overrides: str) -> Conf:
    return Conf(scale=Scale["ci"], overrides=[f"compute.store={store}", *overrides])


def process_job() -> dg.JobDefinition:
    """A job that the house's executor runs; a process started for one step finds it again by this function."""
    job = dg.define_asset_job("process_job", selection=[process])
    return dg.Definitions(assets=[process], jobs=[job], executor=jobs.executor).get_job_def("process_job")
