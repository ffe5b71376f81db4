"""Materializing through Dagster: what it is told, what it stops, and that it agrees with the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from llm_dag.assets.conf import Conf
from llm_dag.assets.materialize import resolver
from llm_dag.config.compose import ConfigError
from llm_dag.config.source import PythonDocs, Warc, located
from llm_dag.store.canonical import requested
from llm_dag.store.resolve import State
from llm_dag.store.store import Store
from tests.assets import toy

DUMP = "python-docs"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def failures(result: dg.ExecuteInProcessResult) -> str:
    """What failed, in its own words: a step, or the run before its first one."""
    steps = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    runs = [event.job_failure_data.error for event in result.all_events if event.is_job_failure]
    told = [str(one.user_failure_data.description) for one in steps if one.user_failure_data]
    return "\n".join(told + [error.to_string() for error in runs if error])


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (event,) = [one for one in result.get_asset_materialization_events() if one.asset_key == dg.AssetKey(asset)]
    return dict(event.materialization.metadata)


def narrow_of(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = result.get_asset_check_evaluations()
    return found


def test_the_data_version_is_the_content_digest_of_the_manifest(instance: dg.DagsterInstance, store: str) -> None:
    conf = toy.conf(store)
    result = toy.run(instance, conf, "made", "used")
    assert result.success
    resolved = resolver(conf.config(), toy.GRAPH)
    for name in ("made", "used"):
        artifact = resolved.resolve(name).artifact
        assert artifact is not None
        event = instance.get_latest_materialization_event(dg.AssetKey(name))
        assert event is not None
        tags = event.asset_materialization.tags  # type: ignore[union-attr]
        assert tags["dagster/data_version"] == artifact.digest
    assert tags["dagster/input_data_version/made"] == resolved.resolve("made").artifact.digest  # type: ignore[union-attr]
    assert tags["dagster/code_version"] == toy.assets()[2].code_versions_by_key[dg.AssetKey("used")]


def test_a_second_run_reuses_and_says_so(instance: dg.DagsterInstance, store: str) -> None:
    states = [metadata_of(toy.run(instance, toy.conf(store), "made"), "made")["state"].value for _ in range(2)]
    assert states == ["build", "fresh"]


def test_a_changed_value_says_why_it_was_built(instance: dg.DagsterInstance, store: str) -> None:
    toy.run(instance, toy.conf(store), "made")
    found = metadata_of(toy.run(instance, toy.conf(store, "tokens.dtype=uint16"), "made"), "made")
    assert found["why"].value == "config: dtype 'auto' → 'uint16'"


def test_what_has_a_history_is_a_number_and_no_page_text_is_told(instance: dg.DagsterInstance, store: str) -> None:
    result = toy.run(instance, toy.conf(store), "pages", "made", dump=DUMP)
    assert result.success
    found = metadata_of(result, "pages")
    for name in ("seconds", "bytes", "documents_in", "documents_kept", "retention", "dagster/partition_row_count"):
        assert isinstance(found[name], dg.FloatMetadataValue | dg.IntMetadataValue), name
    assert found["retention"].value == 0.7
    table = found["drop_reasons"]
    assert [record.data for record in table.records] == [
        {"reason": "short", "documents": 2},
        {"reason": "long", "documents": 1},
    ]
    assert Path(found["path"].path).joinpath("data/pages.json").read_text().count(toy.SECRET) == 1
    log = "".join(dg.serialize_value(entry) for entry in instance.all_logs(result.run_id))
    assert "documents_kept" in log
    assert toy.SECRET not in log


def test_progress_is_observed_while_a_step_works(instance: dg.DagsterInstance, store: str) -> None:
    toy.run(instance, toy.conf(store, "compute.report_seconds=0"), "made")
    records = instance.fetch_observations(dg.AssetKey("made"), limit=100).records
    observed = [record.asset_observation.metadata for record in records if record.asset_observation]
    assert [one["done"].value for one in observed] == list(range(toy.UPDATES, 0, -1))
    assert all(one["loss"].value == 1.0 / one["done"].value for one in observed)


def test_a_run_for_another_dump_than_its_configuration_fails_with_both(
    instance: dg.DagsterInstance, store: str
) -> None:
    instance.add_dynamic_partitions("dump", ["CC-MAIN-2024"])
    result = toy.run(instance, toy.conf(store), "pages", dump="CC-MAIN-2024")
    assert not result.success
    assert "the run's partition is CC-MAIN-2024, and source.dump=python-docs" in failures(result)
    assert Store(store).everything() == []
    other = toy.run(instance, toy.conf(store, "source.dump=CC-MAIN-2024"), "pages", dump="CC-MAIN-2024")
    assert other.success


def test_the_dump_becomes_a_partition(instance: dg.DagsterInstance, store: str) -> None:
    assert toy.run(instance, toy.conf(store), "pages", dump=DUMP).success
    assert instance.get_dynamic_partitions("dump") == [DUMP]
    assert Store(store).dump_source(DUMP)["kind"] == "python_docs"


def test_a_dump_is_registered_with_paths_that_hold_in_every_folder(
    instance: dg.DagsterInstance, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    for name in ("a.warc", "b.warc"):
        (crawl / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    files = ["source=warc", "source.dump=d1", "source.files=[crawl/a.warc,crawl/*.warc]"]
    conf = toy.conf(store, *files)
    assert toy.run(instance, conf, "pages", dump="d1").success
    assert Store(store).dump_source("d1")["files"] == [str(crawl / "a.warc"), str(crawl / "*.warc")]
    first = resolver(conf.config(), toy.GRAPH)
    asked = requested(first.node(toy.GRAPH["pages"], "d1"), "source")
    recipe = first.resolve("pages", "d1").recipe
    monkeypatch.chdir("/")
    second = resolver(toy.conf(store, "source.dump=d2").config(), toy.GRAPH)
    assert second.resolve("pages", "d1").state is State.FRESH
    assert second.resolve("pages", "d1").recipe == recipe
    assert requested(second.node(toy.GRAPH["pages"], "d1"), "source") == asked


def test_urls_shipped_folders_and_nothing_stay_as_they_are() -> None:
    for value in ("", "assets_data/canaries", "s3://crawls/*.warc.gz", "/here/[ab].warc"):
        node = Warc("warc", "d", 1, [value])
        assert located(node) == node
    assert located(PythonDocs("python_docs", "d", 1, canaries="mine")).canaries == str(Path("mine").absolute())


def test_an_error_of_the_configuration_needs_no_trace(
    instance: dg.DagsterInstance, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*wanted: Any) -> None:
        raise ConfigError("some.key=1: allowed is 2")

    monkeypatch.setattr("llm_dag.assets.materialize.materialize", refuse)
    result = toy.run(instance, toy.conf(store), "made")
    (failed,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failed.user_failure_data is not None
    assert failed.user_failure_data.description == "made: some.key=1: allowed is 2"


class TestABlockingCheckThatFails:
    WIDE = "tokens.dtype=uint32"

    def test_it_stops_what_comes_after_it_in_the_same_run(self, instance: dg.DagsterInstance, store: str) -> None:
        result = toy.run(instance, toy.conf(store, self.WIDE), "made", "used")
        assert not result.success
        check = narrow_of(result)
        assert (check.passed, check.blocking) == (False, True)
        assert check.description == "uint32 found, anything but uint32 wanted"
        assert check.metadata["letters"].value == 6
        assert {event.asset_key for event in result.get_asset_materialization_events()} == {dg.AssetKey("made")}

    def test_materializing_what_comes_after_it_alone_cannot_go_round_it(
        self, instance: dg.DagsterInstance, store: str
    ) -> None:
        conf = toy.conf(store, self.WIDE)
        toy.run(instance, conf, "made")
        alone = toy.run(instance, conf, "used")
        assert not alone.success
        assert "used may not open made: its check narrow: uint32 found" in failures(alone)
        assert "llm-dag accept made narrow" in failures(alone)

    def test_accepted_by_name_and_reason_it_opens(self, instance: dg.DagsterInstance, store: str) -> None:
        conf = toy.conf(store, self.WIDE)
        toy.run(instance, conf, "made")
        resolved = resolver(conf.config(), toy.GRAPH)
        artifact = resolved.resolve("made").artifact
        assert artifact is not None
        resolved.store.accept(artifact, "narrow", "wide numbers are wanted here", "a tester")
        assert toy.run(instance, conf, "used").success


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        (Conf(overrides=["curation.goper.min_words=60"]), "did you mean curation.gopher"),
        (Conf(overrides=["source=warc", "source.files=[nowhere.warc]"]), "no such file or folder"),
    ],
)
def test_a_wrong_configuration_fails_with_words_for_a_person(
    instance: dg.DagsterInstance, store: str, conf: Conf, message: str
) -> None:
    conf = Conf(overrides=[*conf.overrides, f"compute.store={store}"])
    result = toy.run(instance, conf, "pages", dump="local-crawl")
    assert not result.success
    assert message in failures(result)
    assert Store(store).everything() == []


def test_the_launchpad_asks_for_a_scale_and_overrides() -> None:
    schema = Conf.to_config_schema().as_field().config_type
    fields = schema.fields  # type: ignore[attr-defined]
    assert set(fields) == {"scale", "overrides", "config_dir"}
    assert not any(field.is_required for field in fields.values())
