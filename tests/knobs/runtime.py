"""What each key of `compute` changes: where bytes lie, who works, what is said; never what is made."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import torch

from llm_dag.assets.materialize import resolver
from llm_dag.config.places import store_url
from llm_dag.modeling.device import NoDevice
from llm_dag.progress import Silent
from llm_dag.store import workers as store_workers
from llm_dag.store.build import materialize
from llm_dag.store.errors import LaunchError
from llm_dag.store.store import Store
from llm_dag.store.transport import RemoteError
from llm_dag.training import checkpoints, machine
from tests.assets import toy
from tests.knobs.shown import Shown
from tests.knobs.world import COMMON_CRAWL, World
from tests.store.toiling import NAMES, Toiling

STEPS = 8  # of the world's pretraining


class Heard(Silent):
    """A progress that keeps what it is told, and how many threads torch has meanwhile."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.threads: set[int] = set()

    def say(self, text: str) -> None:
        self.said.append(text)

    def update(self, done: int, **numbers: float) -> None:
        self.threads.add(torch.get_num_threads())


def train(world: World, seed: int, **compute: Any) -> tuple[Heard, dict[str, Any]]:
    """Pretrain under a seed of one's own; what was said, and the witness."""
    heard = Heard()
    made = world.make("base_model", {"pretrain.seed": seed}, heard, **compute)
    return heard, dict(made.artifact.manifest.witness)


def store(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes lie elsewhere."""
    elsewhere = world.folder / "elsewhere"
    config = dataclasses.replace(world.config, compute=dataclasses.replace(world.compute, store=str(elsewhere)))
    made = materialize(resolver(config, world.graph), "takedowns", None, config.compute, Silent()).artifact
    assert Path(made.location).is_relative_to(elsewhere)
    assert made.digest == world.artifact("takedowns").digest
    assert store_url("s3://bucket/store") == "s3://bucket/store"


def executor(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps run in the run's process, or each in one of its own; the command passes the key on."""
    found = {}
    for mode in ("in_process", "multiprocess"):
        with dg.instance_for_test() as instance:
            done = dg.execute_job(
                dg.reconstructable(toy.process_job), instance, run_config={"execution": {"config": {"mode": mode}}}
            )
            (event,) = done.get_asset_materialization_events()
            found[mode] = event.materialization.metadata["pid"].value == os.getpid()
    assert found == {"in_process": True, "multiprocess": False}

    from llm_dag.cli.run import _execute
    from llm_dag.cli.session import open_session

    asked: list[Any] = []
    monkeypatch.setenv("DAGSTER_HOME", str(world.folder / "dagster"))
    monkeypatch.setattr(dg, "execute_job", lambda *args, run_config, **more: asked.append(run_config["execution"]))
    overrides = ["scale=ci", f"compute.store={world.compute.store}", "compute.executor=multiprocess"]
    _execute("pretrain", open_session(overrides))
    assert asked == [{"config": {"mode": "multiprocess"}}]


def workers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards are made in this process or in as many others, and are the same."""
    monkeypatch.setattr(store_workers, "START_SECONDS", 0.0)
    monkeypatch.setattr(store_workers, "cores", lambda: 3)
    toiling = Toiling(world.folder / "workers")
    digests = set()
    for asked, there in ((1, 1), (2, 2), (0, 3)):
        digests.add(toiling.house(asked, name=f"store{asked}").make("toiled", toiling.root).artifact.digest)
        assert len(toiling.processes()) == there
        toiling.made()
    assert len(digests) == 1


def worker_memory_mb(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that holds more is replaced after its shard."""
    monkeypatch.setattr(store_workers, "START_SECONDS", 0.0)
    toiling = Toiling(world.folder / "worker_memory_mb")
    for most, there in ((1, len(NAMES)), (4096, 2)):
        toiling.house(2, most, name=f"store{most}").make("toiled", toiling.root)
        assert len(toiling.processes()) == there
        toiling.made()


def accelerator(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is asked for and not there is an error; `cpu` leaves one alone."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for asked, device in (("cpu", "cpu"), ("gpu", "cuda"), ("auto", "cuda")):
        assert machine.choose(dataclasses.replace(world.compute, accelerator=asked), "float32").device == device
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NoDevice, match=r"compute\.accelerator=gpu, but torch finds no GPU"):
        train(world, 31, accelerator="gpu")
    with pytest.raises(NoDevice, match=r"compute\.accelerator=gpu, but torch finds no GPU"):
        world.make("evaluations", {"evaluation.harness.seed": 31}, accelerator="gpu")


def devices(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes train together, and the witness says so."""
    changes = {"pretrain.seed": 32, "pretrain.tokens": 512, "pretrain.device_tokens": 128}
    outcome = world.make("base_model", changes, devices=2)
    assert outcome.artifact.manifest.witness["world_size"] == 2
    assert outcome.artifact.metrics["steps"] == 2


def nodes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several machines want a launcher, which has started a process for each of their devices."""
    with pytest.raises(
        machine.MachineError, match=r"compute\.nodes=2, but neither torchrun nor Slurm started this process"
    ):
        train(world, 33, nodes=2)
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert machine.choose(dataclasses.replace(world.compute, nodes=2), "float32").world_size == 2
    with pytest.raises(LaunchError, match=r"started 2 processes, but .*compute\.nodes=3 asks for 3"):
        train(world, 33, nodes=3)


def threads(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    for count in (1, 2):
        heard, witness = train(world, 34 + count, threads=count)
        assert heard.threads == {count}
        assert witness["threads"] == count
    assert torch.get_num_threads() == before


def compile_(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers and loss go through torch.compile, or it is said that and why they do not."""
    compiled: list[Any] = []

    def compiling(model: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        compiled.append(model)
        return model

    monkeypatch.setattr(torch, "compile", compiling)
    monkeypatch.setattr(machine, "missing_for_compile", lambda: "")
    heard, witness = train(world, 37, compile=True)
    assert len(compiled) == world.config.identity.pretrain.model.depth + 1
    assert witness["compiled"] is True
    assert any(said.endswith("compiled") for said in heard.said)
    compiled.clear()
    monkeypatch.setattr(machine, "missing_for_compile", lambda: "C++ compiler")
    heard, witness = train(world, 38, compile=True)
    assert "no C++ compiler: training without torch.compile, which is slower" in heard.said
    assert (compiled, witness["compiled"]) == ([], False)
    heard, witness = train(world, 39, compile=False)
    assert (compiled, witness["compiled"]) == ([], False)
    assert any(said.endswith("eager") for said in heard.said)


def checkpoint_seconds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    save = checkpoints.save

    def counted(folder: Path, step: int, state: Any) -> Path:
        saved.append(step)
        return save(folder, step, state)

    monkeypatch.setattr(checkpoints, "save", counted)
    train(world, 40, checkpoint_seconds=0)
    assert saved == list(range(1, STEPS + 1))
    saved.clear()
    train(world, 41, checkpoint_seconds=1000)
    assert saved == [STEPS]


def report_seconds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many observations Dagster gets of a step."""
    counts = []
    for number, seconds in enumerate(("0", "1000")):
        overrides = (f"compute.report_seconds={seconds}", f"tokens.dtype=uint{16 if number else 32}")
        with dg.instance_for_test() as instance:
            conf = toy.conf(str(world.folder / "reports"), *overrides)
            dg.materialize(
                toy.assets(), selection=["made"], instance=instance, resources={"conf": conf}, raise_on_error=False
            )
            records = instance.fetch_observations(dg.AssetKey("made"), limit=100).records
            counts.append(len(records))
    assert counts == [toy.UPDATES, 2]  # the first and the last are always reported


def common_crawl(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a crawl's files are read: the listing is the same bytes, a place without one is named."""
    changes: dict[str, Any] = {f"{COMMON_CRAWL}source.max_files": 0}
    shutil.copytree(world.folder / "mirror", world.folder / "moved")
    entries = []
    for name in ("mirror", "moved"):
        store = Store(str(world.folder / f"store of {name}"))
        compute = dataclasses.replace(world.compute, common_crawl=str(world.folder / name))
        for asset, dump in (("crawl_listing", None), ("raw_pages", "crawl")):
            made = materialize(world.resolver(changes, store), asset, dump, compute, Silent()).artifact
        entries.append((made.recipe, made.digest, made.entry("warc/first.warc.gz").url.partition("/crawl-data")[0]))
    assert entries[0][:2] == entries[1][:2]
    assert [url for _, _, url in entries] == [f"file://{world.folder}/{name}" for name in ("mirror", "moved")]
    with pytest.raises(RemoteError, match=r"nowhere/crawl-data/CC-MAIN-2024-22/warc\.paths\.gz: no such file"):
        world.make("crawl_listing", {**changes, f"{COMMON_CRAWL}source.first_file": 1}, common_crawl="nowhere")


def copies_gb(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of what lies elsewhere stay within so many bytes."""
    copies = Path(world.compute.store) / ".work" / "copies"
    changes = {f"{COMMON_CRAWL}source.max_files": 0}
    sizes = [(world.folder / f"{name}.warc.gz").stat().st_size for name in ("first", "other")]
    found = []
    for number, room in enumerate((sum(sizes) + 5000, max(sizes) + 1000, 0)):
        shutil.rmtree(copies, ignore_errors=True)
        again = {**changes, f"{COMMON_CRAWL}source.shard_documents": 40 + number}
        world.make("raw_pages", again, dump="crawl", copies_gb=room / 1e9)
        found.append(len(list(copies.glob("*/whole"))))
    assert found == [2, 1, 0]


RUNTIME: dict[str, Shown] = {
    "compute.store": store,
    "compute.executor": executor,
    "compute.workers": workers,
    "compute.worker_memory_mb": worker_memory_mb,
    "compute.accelerator": accelerator,
    "compute.devices": devices,
    "compute.nodes": nodes,
    "compute.threads": threads,
    "compute.compile": compile_,
    "compute.checkpoint_seconds": checkpoint_seconds,
    "compute.report_seconds": report_seconds,
    "compute.common_crawl": common_crawl,
    "compute.copies_gb": copies_gb,
}
OTHER_VALUES = {
    "executor": "multiprocess",
    "workers": 3,
    "worker_memory_mb": 77,
    "accelerator": "gpu",
    "devices": 2,
    "nodes": 3,
    "threads": 7,
    "compile": True,
    "checkpoint_seconds": 1234,
    "report_seconds": 55.5,
    "common_crawl": "https://data.commoncrawl.org",
    "copies_gb": 1.5,
}
