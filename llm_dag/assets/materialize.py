"""A step as a Dagster asset: resolves, materializes, and tells Dagster what was really used."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from llm_dag.assets.conf import Conf
from llm_dag.assets.partitions import DUMP, dumps
from llm_dag.assets.reporting import reporter
from llm_dag.config.compose import Config, ConfigError
from llm_dag.config.places import store_url
from llm_dag.store.artifact import Artifact
from llm_dag.store.build import Outcome, materialize
from llm_dag.store.canonical import config_values, digest, identity
from llm_dag.store.code_identity import identify
from llm_dag.store.errors import StoreError
from llm_dag.store.files import explain
from llm_dag.store.recipe import Recipe
from llm_dag.store.resolve import Resolver
from llm_dag.store.step import Graph, Step
from llm_dag.store.store import Store

SHOWN_REASONS = 12


def resolver(config: Config, graph: Graph) -> Resolver:
    """The resolver of a configuration over the store that it names."""
    return Resolver(Store(store_url(config.compute.store)), graph, config.identity)


def to_asset(step: Step, graph: Graph, default: Config) -> dg.AssetsDefinition:
    """The Dagster asset of a step. Its code version is that of the code and of the default configuration."""

    @dg.asset(
        name=step.name,
        description=step.description,
        deps=[item.asset for item in step.inputs],
        group_name=step.group,
        kinds=set(step.kinds),
        owners=list(step.owners),
        partitions_def=dumps if step.partitioned else None,
        code_version=default_code_version(step, graph, default),
        check_specs=[
            dg.AssetCheckSpec(check.name, asset=step.name, blocking=check.blocking, description=check.description)
            for check in step.checks
        ],
        pool=step.pool or None,
    )
    def make(context: dg.AssetExecutionContext, conf: Conf) -> dg.MaterializeResult:  # type: ignore[type-arg]
        return _materialize(step, graph, context, conf.config())

    return make


def default_code_version(step: Step, graph: Graph, default: Config) -> str:
    """What the UI compares: it changes with the code and with the values of conf/, and opens no store."""
    node: Any = default.identity
    for part in step.node.split("."):
        node = getattr(node, part)
    return code_version(Recipe(step.name, None, identify(step.build), identity(node, step.node), {}).parts)


def code_version(parts: Mapping[str, Any]) -> str:
    """Code and configuration of a recipe's parts, without the inputs."""
    return digest({name: parts[name] for name in ("modules", "distributions", "python", "config")})[:16]


def _materialize(step: Step, graph: Graph, context: dg.AssetExecutionContext, config: Config) -> dg.MaterializeResult:  # type: ignore[type-arg]
    dump = config.identity.source.dump
    if context.has_partition_key and step.partitioned:
        dump = context.partition_key
    try:
        resolving = resolver(config, graph)
        _one_dump(context, config)
        if not step.inputs and step.node == "source":
            _register(context, resolving.store, config)
        told = reporter(context, dump if step.partitioned else None, config.compute.report_seconds)
        outcome = materialize(resolving, step.name, dump, config.compute, told)
    except (StoreError, ConfigError) as error:
        where = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))  # the shard
        raise dg.Failure(f"{step.name}: {error}{where}", allow_retries=False) from error
    said = ", ".join(outcome.reasons)
    context.log.info(f"{step.name}: {outcome.state.value}{f' ({said})' if said else ''}, {outcome.artifact.location}")
    used = outcome.artifact.manifest.recipe_parts  # of what was made: a held artifact was made with other code
    return dg.MaterializeResult(
        data_version=dg.DataVersion(outcome.artifact.digest),
        tags={"dagster/code_version": code_version(used), **_inputs_used(outcome.artifact)},
        metadata=metadata(outcome),
        check_results=_check_results(step, outcome, resolving.store.acceptances(outcome.artifact)),
    )


def _register(context: dg.AssetExecutionContext, store: Store, config: Config) -> None:
    """The dump becomes a partition before anything else of the run needs it. Raises StoreError for a store that is full
    or read-only."""
    source = config.identity.source
    try:
        store.register_dump(source.dump, config_values(source))
    except OSError as error:
        if explained := explain(error, store.files.url):
            raise explained from error
        raise
    context.instance.add_dynamic_partitions(DUMP, [source.dump])


def _one_dump(context: dg.AssetExecutionContext, config: Config) -> None:
    """Raises StoreError if a run is tagged with another dump than it is configured for."""
    tagged = context.run.tags.get("dagster/partition")
    dump = config.identity.source.dump
    if tagged and tagged != dump:
        raise StoreError(
            f"the run's partition is {tagged}, and source.dump={dump}: one run is about one dump. Give both: "
            f'dagster job execute … --tags \'{{"dagster/partition": "{dump}"}}\', or choose the partition in the '
            f"launchpad, or set source.dump={tagged}"
        )


def _inputs_used(artifact: Artifact) -> dict[str, str]:
    """What Dagster compares to see whether an asset is behind its inputs; of several dumps' the own one."""
    used = {}
    for name, references in artifact.manifest.inputs.items():
        own = [one for one in references if one.partition == artifact.partition] or references
        if len(own) == 1 and name != artifact.asset:
            used[f"dagster/input_data_version/{name}"] = own[0].digest
    return used


def _check_results(
    step: Step, outcome: Outcome, accepted: Mapping[str, Mapping[str, str]]
) -> list[dg.AssetCheckResult]:
    """The checks as Dagster shows them; one that somebody accepted is shown as failed, and stops nothing."""
    results = []
    for record in outcome.checks.values():
        stops = record.blocking and record.name not in accepted
        told: dict[str, Any] = dict(record.numbers)
        if record.name in accepted:
            told |= {f"accepted_{key}": accepted[record.name][key] for key in ("who", "why", "when")}
        results.append(
            dg.AssetCheckResult(
                passed=record.passed,
                check_name=record.name,
                severity=dg.AssetCheckSeverity.ERROR if stops else dg.AssetCheckSeverity.WARN,
                description=record.message,
                metadata=told,
            )
        )
    return results


def metadata(outcome: Outcome) -> dict[str, Any]:
    """What the UI shows of a materialization: numbers plot over time, the rest is for reading."""
    artifact = outcome.artifact
    numbers = dict(artifact.metrics)
    shown: dict[str, Any] = {name: value for name, value in numbers.items() if not name.startswith("dropped/")}
    judged = numbers.get("documents_in", 0)
    if judged:
        shown["retention"] = numbers["documents_kept"] / judged
        shown["dagster/partition_row_count"] = int(numbers["documents_kept"])
    dropped = _reasons(numbers)
    if dropped:
        shown["drop_reasons"] = dg.MetadataValue.table(
            [dg.TableRecord({"reason": reason, "documents": count}) for reason, count in dropped[:SHOWN_REASONS]]
        )
    return {
        **shown,
        "seconds": artifact.seconds,
        "bytes": artifact.bytes,
        "reused": outcome.reused,
        "state": outcome.state.value,
        "path": dg.MetadataValue.path(artifact.location),
        "recipe": artifact.recipe,
        "config": dg.MetadataValue.json(dict(artifact.config)),
        "witness": dg.MetadataValue.json(dict(artifact.manifest.witness)),
        **({"why": "\n".join(outcome.reasons)} if outcome.reasons else {}),
    }


def _reasons(numbers: Mapping[str, float]) -> list[tuple[str, int]]:
    """Drop reasons and their counts, the biggest first."""
    dropped = {name: int(value) for name, value in numbers.items() if name.startswith("dropped/")}
    found = [(name.removeprefix("dropped/"), value) for name, value in dropped.items()]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))
