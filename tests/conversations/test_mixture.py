"""The mixture: what it holds, and that nothing stands on both sides of the split."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from llm_dag.config.conversations import Conversations
from llm_dag.config.tasks import Tasks
from llm_dag.conversations import checks, mixture
from llm_dag.conversations.dialogue import normal
from llm_dag.ledger import TextWriter, document_id
from llm_dag.store.work import Work
from llm_dag.tasks import eval_sets
from llm_dag.tasks.arithmetic import problems_in

from .pages import member_list, object_page

JOIN = "Join two or more pathname components, inserting '/' as needed."
CHECKS = (checks.heldout_subjects_disjoint, checks.conversations_well_formed, checks.enough_heldout)


class Folder:
    """A folder that is read as an artifact is."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        return self.root / name

    def names(self, prefix: str) -> list[str]:
        found = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*.parquet"))
        return sorted(name for name in found if name.startswith(prefix))

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path(name).read_text().splitlines()]


def talk(subject: str, *turns: str, kind: str = "talk") -> str:
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]
    return json.dumps({"subject": subject, "kind": kind, "messages": messages})


def corpus() -> list[tuple[str, str, str]]:
    """(url, text, split) of pages: one function under three names, many others, and pages that are no documentation."""
    site = "https://stdlib.pydocs.example"
    names = ("os.path", "posixpath", "ntpath")
    pages = [(f"{site}/{name}.html", object_page(f"{name}.join", ["a", "*p"], JOIN), "train") for name in names]
    for letter in "abcdefghij":
        members = [(f"act{letter}{i}(x, y=1)", f"Perform act {letter} number {i} on x.") for i in range(30)]
        pages.append((f"{site}/mod{letter}/", member_list(f"mod{letter}", members), "train"))
    pages.append((f"{site}/hidden.html", object_page("os.hidden", [], "Nobody trains on this text."), "heldout"))
    pages.append(("https://cats.example/", "Cats sleep a lot. They also eat.", "train"))
    pages.append(
        ("https://zeta.pydocs.example/", member_list("zeta", [("last(x)", "Come after the others.")]), "train")
    )
    return pages


@pytest.fixture
def config(tmp_path: Path) -> Conversations:
    handwritten = tmp_path / "hand.jsonl"
    topics = [talk(f"topic {i}", f"Question {i}?", f"Reply number {i}.") for i in range(60)]
    handwritten.write_text("\n".join([*topics, talk("paths", "How do I join?", "Use moda.acta1(x).")]))
    return Conversations(
        dumps=["d"],
        handwritten=str(handwritten),
        files=[],
        max_subjects=1000,
        phrasings=2,
        answer_characters=100,
        repeat_handwritten=2,
        heldout=0.2,
        seed=1,
    )


def built(folder: Path, config: Conversations, pages: list[tuple[str, str, str]] | None = None) -> tuple[Folder, Work]:
    tasks = Tasks(files=[], canaries="", arithmetic_problems=60, arithmetic_largest=9, heldout=0.3, seed=2)
    fixed = Work("eval_sets", None, tasks, None, {}, folder / "eval")  # type: ignore[arg-type]
    eval_sets.build(fixed)
    texts = TextWriter({"cluster": pa.string(), "split": pa.string()})
    for url, text, split in corpus() if pages is None else pages:
        texts.add(document_id(url), url, "2024-01-01", text, cluster=url, split=split)
    (folder / "clean/text").mkdir(parents=True, exist_ok=True)
    texts.write(folder / "clean/text/00000.parquet")
    inputs = {"pii_redacted": [Folder(folder / "clean")], "eval_sets": [Folder(folder / "eval/out/data")]}
    work = Work("conversations", None, config, None, inputs, folder / "work")  # type: ignore[arg-type]
    mixture.build(work)
    return Folder(folder / "work/out/data"), work


def test_nothing_stands_on_both_sides(tmp_path: Path, config: Conversations) -> None:
    artifact, work = built(tmp_path, config)
    for check in CHECKS:
        assert check(artifact).passed, check(artifact).message  # type: ignore[arg-type]
    train, heldout = artifact.lines("train.jsonl"), artifact.lines("heldout.jsonl")
    assert work.metrics["train"] == len(train)
    assert {"what", "arguments", "module", "arithmetic", "talk"} <= {record["kind"] for record in heldout}
    stated = {problem.key for r in heldout if r["kind"] == "arithmetic" for problem in problems_in(said(r))}
    assert stated
    assert stated.isdisjoint(problem.key for record in train for problem in problems_in(said(record)))


def said(record: dict[str, Any]) -> str:
    return " | ".join(message["content"] for message in record["messages"])


@pytest.mark.parametrize("seed", range(6))
def test_names_of_one_function_are_on_one_side(tmp_path: Path, config: Conversations, seed: int) -> None:
    artifact, _ = built(tmp_path, replace(config, seed=seed))
    sides = {
        split: {r["subject"] for r in artifact.lines(f"{split}.jsonl") if normal(JOIN) in normal(said(r))}
        for split in ("train", "heldout")
    }
    assert sorted(map(len, sides.values())) == [0, 3]


def test_heldout_pages_and_other_text_give_no_questions(tmp_path: Path, config: Conversations) -> None:
    artifact, work = built(tmp_path, config)
    everything = artifact.path("train.jsonl").read_text() + artifact.path("heldout.jsonl").read_text()
    assert "hidden" not in everything
    assert "Cats" not in everything
    assert work.metrics["pages_heldout"] == 1
    assert work.metrics["pages_without_description"] == 1


def test_a_corpus_without_documentation_still_makes_an_assistant(tmp_path: Path, config: Conversations) -> None:
    artifact, work = built(tmp_path, config, [("https://cats.example/", "Cats sleep.", "train")])
    assert work.metrics["subjects"] == 0
    assert artifact.lines("train.jsonl")
    assert all(check(artifact).passed for check in CHECKS)  # type: ignore[arg-type]


def test_equal_inputs_give_equal_bytes_and_the_seed_another_order(tmp_path: Path, config: Conversations) -> None:
    first, _ = built(tmp_path / "a", config)
    again, _ = built(tmp_path / "b", config)
    other, _ = built(tmp_path / "c", replace(config, seed=9))
    for name in ("train.jsonl", "heldout.jsonl"):
        assert first.path(name).read_bytes() == again.path(name).read_bytes()
        assert first.path(name).read_bytes() != other.path(name).read_bytes()


def test_objects_that_hand_written_conversations_name_are_trained_on(tmp_path: Path, config: Conversations) -> None:
    for seed in range(8):
        artifact, _ = built(tmp_path / str(seed), replace(config, seed=seed, max_subjects=5))
        train = artifact.lines("train.jsonl")
        if any(record["subject"] == "paths" for record in train):
            assert any(record["subject"] == "moda.acta1" for record in train)
        assert "zeta.last" not in {record["subject"] for record in train}  # the standard library comes first


def test_knobs_change_what_is_written(tmp_path: Path, config: Conversations) -> None:
    work = built(tmp_path / "base", config)[1]
    changed = {
        "phrasings": built(tmp_path / "a", replace(config, phrasings=3))[1].metrics["train/what"],
        "answers": built(tmp_path / "b", replace(config, answer_characters=30))[1].metrics["dropped/long_description"],
        "repeated": built(tmp_path / "c", replace(config, repeat_handwritten=1))[1].metrics["train/talk"],
        "heldout": built(tmp_path / "d", replace(config, heldout=0.0))[1].metrics["heldout"],
        "subjects": built(tmp_path / "e", replace(config, max_subjects=7))[1].metrics["subjects"],
    }
    arithmetic = work.metrics["heldout/arithmetic"]
    assert changed["phrasings"] * 2 == work.metrics["train/what"] * 3
    assert changed["answers"] == 3 + sum(len(f"Perform act a number {i} on x.") > 30 for i in range(30)) * 10
    assert changed["repeated"] * 2 == work.metrics["train/talk"]
    assert changed["heldout"] == arithmetic
    assert changed["subjects"] == 7


def test_what_is_dropped_is_noted_with_reason_and_place(tmp_path: Path, config: Conversations) -> None:
    own = tmp_path / "own.jsonl"
    own.write_text("\n".join(["{", talk("", "Hello?", "Hi."), talk("sums", *every_sum())]))
    artifact, work = built(tmp_path, replace(config, files=[str(own)], heldout=0.0))
    noted = [json.loads(line) for line in (tmp_path / "work/out/record/dropped.jsonl").read_text().splitlines()]
    places = {(drop["where"], drop["reason"]) for drop in noted}
    assert ("own.jsonl:1", "bad_line") in places
    assert ("own.jsonl:3", "heldout_arithmetic") in places
    assert work.metrics["dropped/bad_line"] == 1
    assert any(said(record) == "Hello? | Hi." for record in artifact.lines("train.jsonl"))


def every_sum() -> list[str]:
    """A user's lesson that gives away every sum, those held out too."""
    return ["Teach me sums.", "; ".join(f"{a} + {b} = {a + b}" for a in range(10) for b in range(10))]


@pytest.mark.parametrize("shared", ["subjects", "questions", "answers", ""])
def test_what_stands_in_both_splits_is_found(tmp_path: Path, shared: str) -> None:
    words = {"subjects": "sub", "questions": "Why so?", "answers": "It is so."}
    for split in ("train", "heldout"):
        own = {name: word if name == shared else f"{word} {split}" for name, word in words.items()}
        (tmp_path / f"{split}.jsonl").write_text(talk(own["subjects"], own["questions"], own["answers"]) + "\n")
    result = checks.heldout_subjects_disjoint(Folder(tmp_path))  # type: ignore[arg-type]
    assert result.passed == (shared == "")
    assert result.numbers == {f"shared_{name}": int(name == shared) for name in words}


def test_a_broken_artifact_fails_its_checks(tmp_path: Path, config: Conversations) -> None:
    artifact, _ = built(tmp_path, config)
    lines = artifact.path("heldout.jsonl").read_text().splitlines()
    with artifact.path("train.jsonl").open("a") as stream:
        stream.write(lines[0] + "\n")
    assert not checks.heldout_subjects_disjoint(artifact).passed  # type: ignore[arg-type]
    assert not checks.conversations_well_formed(artifact).passed  # type: ignore[arg-type]
    artifact.path("heldout.jsonl").write_text("")
    assert not checks.enough_heldout(artifact).passed  # type: ignore[arg-type]
