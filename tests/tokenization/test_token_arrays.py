from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.config.compute import Compute
from llm_dag.config.tokenizer import Tokens
from llm_dag.ledger import write_table
from llm_dag.store.work import Work
from llm_dag.tokenization import checks, token_arrays
from llm_dag.tokenization.arrays import ArraysError, ArrayShard, TokenArrays
from llm_dag.tokenization.tokenizer import train, write
from llm_dag.tokenization.vocabulary import Vocabulary


@dataclass
class Made:
    """A committed `token_arrays` as checks and readers see it."""

    root: Path
    sources: dict[str, Any]
    partition: str | None = "dump"

    @property
    def shards(self) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in (self.root / "documents").iterdir()))

    def path(self, name: str) -> Path:
        return self.root / name

    def names(self, prefix: str = "") -> list[str]:
        return sorted(f"{prefix}{path.name}" for path in (self.root / prefix).iterdir())

    def inputs(self, name: str) -> list[Any]:
        return [self.sources[name]]


def build(folder: Path, tokenizer: Any, text: Any, dtype: str = "auto") -> tuple[Made, Work]:
    sources = {"tokenizer": tokenizer, "pii_redacted": text}
    config = Tokens(dtype)
    inputs = {name: [one] for name, one in sources.items()}
    work = Work("token_arrays", "dump", config, Compute(workers=1), inputs, folder)
    token_arrays.build(work)
    return Made(work.data("x").parent, sources), work


@pytest.fixture(scope="module")
def tokenizer(clean_text: Any, trained: Callable[[str], Path]) -> Any:
    return type(clean_text)(trained("cl100k"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any, clean_text: Any) -> tuple[Made, Work]:
    return build(tmp_path_factory.mktemp("arrays"), tokenizer, clean_text)


def rows_of(text: Any) -> list[dict[str, Any]]:
    return [row for shard in text.shards for row in pq.read_table(text.path(f"text/{shard}.parquet")).to_pylist()]


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_arrays_hold_the_documents_in_order(
    made: tuple[Made, Work], clean_text: Any, vocabulary: Vocabulary, split: str
) -> None:
    artifact, work = made
    arrays = TokenArrays.open([artifact], split)
    rows = [row for row in rows_of(clean_text) if row["split"] == split]
    wanted = [token for row in rows for token in [*vocabulary.encode(row["text"]), vocabulary.end_of_text]]
    assert arrays.slice(0, len(arrays)).tolist() == wanted
    assert arrays.dtype == np.uint16
    assert (arrays.vocabulary, arrays.vocab_size) == (vocabulary.digest, vocabulary.size)
    assert work.metrics[f"tokens_{split}"] == len(wanted)
    assert work.metrics[f"documents_{split}"] == len(rows)
    assert work.metrics[f"bytes_{split}"] == sum(len(row["text"].encode()) for row in rows)
    found = arrays.documents(0, len(arrays))
    assert found["doc_id"].to_pylist() == [row["doc_id"] for row in rows]
    assert set(found["dump"].to_pylist()) == {"dump"}


def test_dtype_changes_the_files_and_not_the_ids(
    made: tuple[Made, Work], tmp_path: Path, tokenizer: Any, clean_text: Any
) -> None:
    wide, _ = build(tmp_path, tokenizer, clean_text, "uint32")
    arrays, narrow = TokenArrays.open([wide], "train"), TokenArrays.open([made[0]], "train")
    assert arrays.dtype == np.uint32
    assert arrays.slice(0, len(arrays)).tolist() == narrow.slice(0, len(narrow)).tolist()
    with pytest.raises(ArraysError, match="2 kinds"):
        TokenArrays.open([made[0], wide], "train")
    with pytest.raises(token_arrays.TokenArraysError, match=r"tokens\.dtype=uint16 for a vocabulary of 70000"):
        token_arrays.storage(Tokens("uint16"), 70_000)
    assert [problem.key for problem in Tokens("int8").problems()] == ["dtype"]


def test_an_unknown_split_is_refused(tmp_path: Path, tokenizer: Any, clean_text: Any) -> None:
    rows = pq.read_table(clean_text.path("text/00000.parquet")).to_pylist()
    rows[5]["split"] = "test"
    write_table(pa.Table.from_pylist(rows), tmp_path / "text/00000.parquet")
    with pytest.raises(token_arrays.TokenArraysError, match=rf"{rows[5]['doc_id']} is of split 'test'"):
        build(tmp_path / "work", tokenizer, type(clean_text)(tmp_path))


def test_checks_pass_what_the_step_made(made: tuple[Made, Work], tokenizer: Any) -> None:
    artifact, _ = made
    assert checks.round_trips_every_byte(tokenizer).passed
    conserved = checks.arrays_conserve(artifact)
    assert conserved.passed, conserved.message
    assert conserved.numbers["documents"] == 132
    assert conserved.numbers["compared"] >= 60
    assert checks.no_special_inside_documents(artifact).passed


def damaged(made: tuple[Made, Work], folder: Path) -> Made:
    shutil.copytree(made[0].root, folder / "copy")
    return replace(made[0], root=folder / "copy")


def test_checks_find_a_lost_token_and_a_changed_one(
    made: tuple[Made, Work], tmp_path: Path, vocabulary: Vocabulary
) -> None:
    artifact = damaged(made, tmp_path)
    path = artifact.path("train/00001.bin")
    ids = np.fromfile(path, "<u2")
    ids[:-1].tofile(path)
    assert "00001, train" in checks.arrays_conserve(artifact).message
    assert not checks.no_special_inside_documents(artifact).passed
    swapped = ids.copy()
    swapped[0] = next(token for token in range(256) if token != ids[0])
    swapped.tofile(path)
    assert not checks.arrays_conserve(artifact).passed
    inside = ids.copy()
    inside[0] = vocabulary.im_end
    inside.tofile(path)
    assert not checks.no_special_inside_documents(artifact).passed


def test_checks_find_another_special_where_a_document_ends(
    made: tuple[Made, Work], tmp_path: Path, vocabulary: Vocabulary
) -> None:
    artifact = damaged(made, tmp_path)
    path = artifact.path("train/00001.bin")
    ids = np.fromfile(path, "<u2")
    assert ids[-1] == vocabulary.end_of_text
    ids[-1] = vocabulary.im_end  # as many specials as before
    ids.tofile(path)
    result = checks.no_special_inside_documents(artifact)
    assert not result.passed
    assert result.numbers["specials"] == result.numbers["documents"]


def test_checks_find_text_that_becomes_a_special(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = Vocabulary.encode

    def leaking(self: Vocabulary, text: str) -> list[int]:
        first, *rest = text.split("<|im_end|>")
        return [*encode(self, first), *(token for part in rest for token in (self.im_end, *encode(self, part)))]

    monkeypatch.setattr(Vocabulary, "encode", leaking)
    result = checks.round_trips_every_byte(tokenizer)
    assert not result.passed
    assert "['<|im_end|>']" in result.message
    assert result.numbers["bytes_lost"] == 0


def test_a_shard_is_made_again_for_another_vocabulary_of_equal_size(
    tmp_path: Path, tokenizer: Any, clean_text: Any, vocabulary: Vocabulary
) -> None:
    (tmp_path / "other").mkdir()
    words = " ".join(f"{first}{second}{third}" for first in "bcdfgk" for second in "aeiou" for third in "lmnprt")
    write(train(iter([[words] * 5]), "cl100k", vocabulary.size), lambda name: tmp_path / "other" / name)
    other = Vocabulary.load(tmp_path / "other")
    assert other.size == vocabulary.size
    assert other.digest != vocabulary.digest
    for folder, used in ((tokenizer, vocabulary), (type(clean_text)(tmp_path / "other"), other)):
        artifact, _ = build(tmp_path / "work", folder, clean_text)  # in one folder, as after an interrupted run
        texts = [row["text"] for row in rows_of(clean_text) if row["split"] == "train"]
        found = TokenArrays.open([artifact], "train")
        wanted = [token for text in texts for token in [*used.encode(text), used.end_of_text]]
        assert found.slice(0, len(found)).tolist() == wanted


def test_checks_find_a_lost_document(made: tuple[Made, Work], tmp_path: Path) -> None:
    artifact = damaged(made, tmp_path)
    path = artifact.path("documents/00002.parquet")
    write_table(pq.read_table(path).slice(1), path)
    assert "shard 00002" in checks.arrays_conserve(artifact).message
    assert not checks.no_special_inside_documents(artifact).passed


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> TokenArrays:
    """Shards of 7, 0, 3, 1 tokens, with documents of 4, 3; -; 2, 1; 1."""
    folder = tmp_path_factory.mktemp("sequence")
    shards, token = [], 0
    for number, lengths in enumerate([(4, 3), (), (2, 1), (1,)]):
        size = sum(lengths)
        np.arange(token, token + size, dtype="<u2").tofile(folder / f"{number}.bin")
        token += size
        rows = {
            "doc_id": [f"{number}.{at}" for at in range(len(lengths))],
            "url": ["u"] * len(lengths),
            "split": ["train"] * len(lengths),
            "first_token": [sum(lengths[:at]) for at in range(len(lengths))],
            "tokens": list(lengths),
            "bytes": list(lengths),
        }
        write_table(pa.table(rows, schema=token_arrays.DOCUMENTS), folder / f"{number}.parquet")
        shards.append(ArrayShard(f"dump{number // 2}", folder / f"{number}.bin", folder / f"{number}.parquet"))
    return TokenArrays("train", np.dtype("<u2"), 11, "digest", tuple(shards))


@given(st.integers(0, 11), st.integers(0, 11))
def test_slices_cross_shards(sequence: TokenArrays, one: int, other: int) -> None:
    start, end = sorted((one, other))
    assert sequence.slice(start, end - start).tolist() == list(range(start, end))
    owners = ["0.0"] * 4 + ["0.1"] * 3 + ["2.0"] * 2 + ["2.1", "3.0"]
    found = sequence.documents(start, end - start)
    assert found["doc_id"].to_pylist() == sorted(set(owners[start:end]))
    assert found["first_token"].to_pylist() == [owners.index(doc_id) for doc_id in sorted(set(owners[start:end]))]
    assert found["dump"].to_pylist() == [f"dump{int(doc_id[0]) // 2}" for doc_id in found["doc_id"].to_pylist()]


@pytest.mark.parametrize(("start", "length"), [(-1, 2), (10, 2), (0, -1)])
def test_a_range_outside_is_refused(sequence: TokenArrays, start: int, length: int) -> None:
    with pytest.raises(ArraysError, match="it has 11"):
        sequence.slice(start, length)


def test_arrays_travel_to_other_processes(sequence: TokenArrays) -> None:
    sequence.slice(0, 11)
    packed = pickle.dumps(sequence)
    assert len(packed) < 2_000 + 400 * len(sequence.shards)  # paths, not ids
    assert pickle.loads(packed).slice(5, 4).tolist() == [5, 6, 7, 8]  # noqa: S301
    assert not pickle.loads(packed)._maps  # noqa: S301


def test_a_cut_file_is_named(sequence: TokenArrays, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"abc")
    with pytest.raises(ArraysError, match=r"a\.bin: 3 bytes"):
        replace(sequence, shards=(replace(sequence.shards[0], ids=tmp_path / "a.bin"),))


def test_the_description_names_the_vocabulary(made: tuple[Made, Work], vocabulary: Vocabulary) -> None:
    described = json.loads(made[0].path("arrays.json").read_text())
    assert described == {
        "dtype": "uint16",
        "byte_order": "little",
        "vocab_size": vocabulary.size,
        "vocabulary": vocabulary.digest,
        "end_of_text": vocabulary.end_of_text,
    }
