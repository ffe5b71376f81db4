"""The published GPT-2 vocabulary, read as one of ours, against the ids that OpenAI's tokenizer gave."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from llm_dag.tokenization.special_tokens import SPECIAL_TOKENS
from llm_dag.tokenization.tokenizer import train
from llm_dag.tokenization.vocabulary import Vocabulary

REAL = Path(os.environ.get("LLM_DAG_REAL_DATA", Path(__file__).parents[3] / "shared/data"))
TABLES = REAL / "tokenizer"

pytestmark = pytest.mark.skipif(not TABLES.is_dir(), reason=f"no real data at {TABLES}")


def unpacked(path: Path) -> str:
    zstandard = pytest.importorskip("zstandard")
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(file).read().decode()


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """GPT-2's tokens and merges in our layout: its `<|endoftext|>`, then our other specials behind."""
    stored = json.loads(train(iter([["a b"]]), "gpt2", 300).to_str())
    vocab = json.loads(unpacked(TABLES / "gpt2/encoder.json.zst"))
    merges = unpacked(TABLES / "gpt2/vocab.bpe.zst").splitlines()[1:]
    first = vocab["<|endoftext|>"]
    stored["model"]["vocab"] = vocab | {name: first + at for at, name in enumerate(SPECIAL_TOKENS)}
    stored["model"]["merges"] = [merge.split(" ") for merge in merges if merge]
    for at, token in enumerate(stored["added_tokens"]):
        token["id"] = first + at
    folder = tmp_path_factory.mktemp("gpt2")
    (folder / "tokenizer.json").write_text(json.dumps(stored))
    return Vocabulary.load(folder)


def test_ids_are_those_of_gpt2(gpt2: Vocabulary) -> None:
    rows = list(csv.DictReader(io.StringIO((TABLES / "openai_bpe/r50k_base_encodings.csv").read_text())))
    assert len(rows) > 50
    for row in rows:
        assert gpt2.encode(row["input"]) == json.loads(row["output"]), row["input"]
        assert gpt2.decode(json.loads(row["output"])) == row["input"]


@pytest.mark.parametrize("name", ["address.txt", "corpus.en", "german.txt", "tinystories_sample.txt"])
def test_real_texts_round_trip_in_both_engines(gpt2: Vocabulary, name: str) -> None:
    text = (TABLES / "bpe_training_reference" / name).read_text()
    ids = gpt2.encode(text)
    assert gpt2.decode(ids) == text
    assert gpt2._reference.encode(text, add_special_tokens=False).ids == ids
