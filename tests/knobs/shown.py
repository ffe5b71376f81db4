"""Keys whose effect one changed file does not show: a handmade input, an error, or what the step does on its way."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_dag.config.compose import ConfigError, compose
from llm_dag.config.places import resolve
from llm_dag.config.source import CommonCrawl, Jsonl, Parquet, PythonDocs, Warc, source_from
from llm_dag.curation import extraction
from llm_dag.store.canonical import config_values
from llm_dag.training import loop
from tests.knobs import pages
from tests.knobs.world import SECOND, SMALL, World, files_of

Shown = Callable[[World, pytest.MonkeyPatch], None]


def source_kind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind names the schema of a dump that the store remembers; another one is refused."""
    known = [(world.config.identity.source, PythonDocs), (Warc("warc", "d", 1, ["a.warc"]), Warc)]
    known += [(CommonCrawl("common_crawl", "d", 1, "CC-MAIN-2024-22", 0, 1), CommonCrawl)]
    known += [(kind(kind.__name__.lower(), "d", 1, ["a"], "t", "", "", ""), kind) for kind in (Parquet, Jsonl)]
    for node, kind in known:
        assert type(source_from(config_values(node))) is kind
    with pytest.raises(ConfigError, match=r"source\.kind=warc: allowed is one of python_docs"):
        compose(["scale=ci", "source.kind=warc"])
    with pytest.raises(ConfigError, match=r"source\.kind=python_docs: allowed is one of warc"):
        compose(["source=warc", "source.files=[a.warc]", "source.kind=python_docs"])
    for name, other in (("parquet", "jsonl"), ("jsonl", "parquet")):
        with pytest.raises(ConfigError, match=rf"source\.kind={other}: allowed is one of {name}"):
            compose([f"source={name}", "source.files=[a]", f"source.kind={other}"])
    with pytest.raises(ConfigError, match=r"source\.kind=warc: allowed is one of common_crawl"):
        compose(["source=common_crawl", "source.kind=warc"])


def extraction_timeout(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that computes for more than its time is dropped."""

    def slow(html: str) -> str:
        begun = time.thread_time()
        while time.thread_time() < begun + 0.3:
            pass
        return "A text."

    def reason(seconds: float) -> str:
        identity = world.changed({"curation.extraction.timeout_seconds": seconds})
        page = {"encodings": "", "charset": "", "robots": ""}
        return extraction._extracted(page, b"<p>A text.</p>", identity.curation.extraction, slow)[0]

    assert (reason(0.1), reason(60.0)) == ("extraction_timeout", "")


def opt_outs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which directives drop a page, and to whom they are said."""

    def reason(robots: str, **changes: list[str]) -> str:
        identity = world.changed({f"curation.extraction.{key}": value for key, value in changes.items()})
        page = {"encodings": "", "charset": "", "robots": robots}
        return extraction._extracted(page, b"<p>A text.</p>", identity.curation.extraction, lambda html: "A text.")[0]

    assert [reason("noai"), reason("noai", opt_outs=[])] == ["opt_out_header", ""]
    assert [reason("noindex"), reason("noindex", opt_outs=["noindex"])] == ["", "opt_out_header"]
    assert [reason("ccbot: noai"), reason("ccbot: noai", opt_out_agents=["CCBot"])] == ["", "opt_out_header"]


def language_model(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another model gives other scores: here the shipped one with half its output weights, the last of the file."""
    shipped, weights = resolve(world.config.identity.curation.language.model).read_bytes(), 176 * 16 * 4
    halved = np.frombuffer(shipped[-weights:], np.float32) / 2
    other = world.folder / "languages.ftz"
    other.write_bytes(shipped[:-weights] + halved.tobytes())
    differ(world, "curation.language.model", str(other), "language_filtered", "verdicts/")


def minhash_across_dumps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that the named dump has kept are removed; one key without the other is refused."""
    node = dataclasses.replace(world.config.identity.curation.minhash, scope="all", against=[SECOND])
    differ(world, "curation.minhash", node, "minhash_deduped", "verdicts/")
    for overrides in (["curation.minhash.scope=all"], [f"curation.minhash.against=[{SECOND}]"]):
        with pytest.raises(ConfigError, match=r"curation\.minhash\.against="):
            compose(["scale=ci", *overrides])


def custom_modules(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that is named is the one whose class judges."""
    found = []
    for name, word in (("one", "ferry"), ("two", "compass")):
        path = world.folder / name / "rules.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"class Without:\n    def filter(self, document):\n        return {word!r} not in document.text\n"
        )
        changes = {"curation.custom.modules": [str(path)], "curation.custom.filters": [{"_target_": "rules.Without"}]}
        found.append(files_of(world.artifact("custom_filtered", changes), "verdicts/"))
    assert found[0] != found[1]


def device_tokens(step: str, asset: str) -> Shown:
    """A device holds fewer rows at once: the batch is cut into more pieces. Bytes differ by rounding at most."""

    def show(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        pieces = []
        cut = loop.cut

        def counted(batch: loop.Batch, rows: int) -> Any:
            found = list(cut(batch, rows))
            pieces.append(len(found))
            return iter(found)

        monkeypatch.setattr(loop, "cut", counted)
        world.make(asset, {f"{step}.device_tokens": 128, f"{step}.seed": 99})
        assert set(pieces) == {getattr(world.config.identity, step).batch_tokens // 128}

    return show


def model_is_pretrained(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group `model` is the shape that pretraining trains, and whose context finetuning expects."""
    keys = {"width": 16, "depth": 1, "heads": 4, "kv_heads": 2, "ffn": 48, "context": 256}
    keys |= {"rope_theta": 77.0, "norm_eps": 0.25, "tie_embeddings": False}
    found = compose([*SMALL, *(f"model.{key}={value}" for key, value in keys.items())]).identity
    assert vars(found.pretrain.model) == keys
    assert found.sft.context == 256


def sft_context(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows for another context than the base model's are refused."""
    with pytest.raises(loop.TrainingError, match=r"sft\.context=256, but the base model's context is 128"):
        world.make("sft_model", {"sft.context": 256})


def other_conversations(key: str) -> Shown:
    """A file of conversations is read."""

    def show(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        path = str(pages.write_conversations(world.folder / f"{key}.jsonl", 7, "other"))
        value: Any = (
            path if isinstance(world.config.identity.conversations.handwritten, str) and "hand" in key else [path]
        )
        differ(world, key, value, "conversations", "train.jsonl")

    return show


def other_template(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is what the template says."""
    path = world.folder / "page.jinja"
    path.write_text("<html>{{ title }}</html>")
    artifact = world.artifact("report_card", {"evaluation.report.template": str(path)})
    assert Path(artifact.location, "record/report_card.html").read_text() == "<html>Report card</html>"


def differ(world: World, key: str, value: Any, asset: str, files: str) -> None:
    """The files of an asset differ between the base value of a key and another one."""
    kind = key.rpartition(":")[0]  # of a source that is not the world's own
    before = world.artifact(asset, {f"{kind}:source.kind": kind} if kind else {})
    after = world.artifact(asset, {key: value})
    assert before.digest != after.digest
    assert files_of(before, files) != files_of(after, files)
