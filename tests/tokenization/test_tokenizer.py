from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_dag.config.tokenizer import Tokenizer
from llm_dag.ledger import write_table
from llm_dag.store.work import Work
from llm_dag.tokenization import tokenizer
from llm_dag.tokenization.sample import draw
from llm_dag.tokenization.vocabulary import Vocabulary


def built(folder: Path, artifact: object, **changes: object) -> Work:
    chosen = {"dumps": ["test"], "vocab_size": 320, "pattern": "cl100k", "sample_bytes": 1_000_000, **changes}
    config = Tokenizer(**chosen)
    assert list(config.problems()) == []
    work = Work("tokenizer", None, config, None, {"pii_redacted": [artifact]}, folder)
    tokenizer.build(work)
    return work


def test_the_step_writes_a_tokenizer_and_its_card(tmp_path: Path, clean_text: object) -> None:
    work = built(tmp_path, clean_text)
    vocabulary = Vocabulary.load(work.data("tokenizer.json").parent)
    assert vocabulary.size == work.metrics["vocab_size"] == 320
    rows = [
        row
        for shard in clean_text.shards
        for row in pq.read_table(clean_text.path(f"text/{shard}.parquet")).to_pylist()
    ]
    heldout = [row["text"] for row in rows if row["split"] == "heldout"]
    tokens = sum(map(len, map(vocabulary.encode, heldout)))
    assert work.metrics["bytes_per_token"] == pytest.approx(sum(len(text.encode()) for text in heldout) / tokens)
    card = work.record("card.md").read_text()
    assert f"{work.metrics['bytes_per_token']:.3f}" in card
    assert "Error" in card  # " ValueError" is one of the longest pieces


def test_heldout_documents_leave_no_trace(tmp_path: Path, clean_text: object) -> None:
    changed = tmp_path / "changed"
    for shard in clean_text.shards:
        rows = pq.read_table(clean_text.path(f"text/{shard}.parquet")).to_pylist()
        for row in rows:
            if row["split"] == "heldout":
                row["text"] = "zq" * 500
        write_table(pa.Table.from_pylist(rows), changed / f"text/{shard}.parquet")
    first = built(tmp_path / "a", clean_text)
    second = built(tmp_path / "b", type(clean_text)(changed))
    assert first.data("tokenizer.json").read_bytes() == second.data("tokenizer.json").read_bytes()


def test_two_processes_write_the_same_bytes(tmp_path: Path, clean_text: object) -> None:
    program = (
        "import sys; from pathlib import Path; from llm_dag.tokenization.tokenizer import train, write;"
        "from llm_dag.tokenization.sample import draw;"
        "sample = draw([Path(p) for p in sys.argv[2:]], 'train', 10**6);"
        "write(train(sample.texts(), 'o200k', 340), lambda name: Path(sys.argv[1]) / name)"
    )
    shards = [str(clean_text.path(f"text/{shard}.parquet")) for shard in clean_text.shards]
    for folder, threads, seed in (("a", "1", "1"), ("b", "2", "2"), ("c", "2", "3")):
        (tmp_path / folder).mkdir()
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", program, str(tmp_path / folder), *shards], env=environment, check=True)
    written = [{path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in "abc"]
    assert written[0] == written[1] == written[2]
    assert sorted(written[0]) == ["chat_template.jinja", "tokenizer.json", "tokenizer_config.json"]


def test_every_knob_changes_the_tokenizer(tmp_path: Path, clean_text: object) -> None:
    settings = [{}, {"vocab_size": 321}, {"pattern": "gpt2"}, {"sample_bytes": 6_000}]
    files = {
        built(tmp_path / str(number), clean_text, **changes).data("tokenizer.json").read_bytes()
        for number, changes in enumerate(settings)
    }
    assert len(files) == len(settings)


def test_a_vocabulary_that_the_text_cannot_fill_is_refused(tmp_path: Path, clean_text: object) -> None:
    with pytest.raises(tokenizer.TokenizerError, match=r"tokenizer.vocab_size=9000.*at most \d+"):
        built(tmp_path, clean_text, vocab_size=9_000)
    with pytest.raises(tokenizer.TokenizerError, match=r"tokenizer\.sample_bytes=0"):
        tokenizer.build(
            Work("tokenizer", None, Tokenizer(["test"], 320, "gpt2", 0), None, {"pii_redacted": []}, tmp_path)
        )


def test_a_sample_is_bounded_and_grows_by_inclusion(clean_text: object) -> None:
    shards = [clean_text.path(f"text/{shard}.parquet") for shard in clean_text.shards]
    smaller: set[str] = set()
    for limit in (500, 2_000, 8_000, 10**6):
        sample = draw(shards, "train", limit)
        texts = [text for batch in sample.texts() for text in batch]
        assert sample.documents == len(texts)
        assert sample.size == sum(len(text.encode()) for text in texts) <= limit
        assert smaller <= set(texts)
        smaller = set(texts)
    assert draw(shards, "train", 10**6).documents == 3 * 33
    assert draw(shards, "other", 10**6).documents == 0


def test_a_sample_takes_documents_by_the_hash_of_their_ids(tmp_path: Path) -> None:
    """Under one limit two corpora of equal texts, in equal places, give the documents that their ids say."""
    places = []
    for name in ("a", "b"):
        ids = [f"{name}{at}" for at in range(40)]
        rows = {"doc_id": ids, "text": [f"{at:010}" for at in range(40)], "split": ["train"] * 40}
        write_table(pa.table(rows), tmp_path / f"{name}.parquet")
        sample = draw([tmp_path / f"{name}.parquet"], "train", 100)
        places.append(sample.chosen[0].tolist())
    assert [len(one) for one in places] == [10, 10]
    assert places[0] != places[1]
    assert all(one[-1] >= 20 for one in places)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"dumps": []}, "dumps"),
        ({"vocab_size": 261}, "vocab_size"),
        ({"pattern": "x"}, "pattern"),
        ({"sample_bytes": 0}, "sample_bytes"),
    ],
)
def test_impossible_values_are_named(changes: dict[str, object], key: str) -> None:
    config = Tokenizer(**{"dumps": ["test"], "vocab_size": 320, "pattern": "gpt2", "sample_bytes": 1, **changes})
    assert [problem.key for problem in config.problems()] == [key]
