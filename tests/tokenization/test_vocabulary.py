from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from llm_dag.tokenization.special_tokens import SPECIAL_TOKENS
from llm_dag.tokenization.vocabulary import Vocabulary, VocabularyError

PATTERNS = ("gpt2", "cl100k", "o200k")

# Text near what is hard: words of the vocabulary, endings, specials, runs of spaces, any code point but surrogates.
pieces = st.one_of(
    st.sampled_from(
        ["the", " path", "'ll", "'S", "'ſ", "DON'T", "camelCase", " \n", "\r\n\r\n", "    ", "12345", "日本", "//\n"]
    ),
    st.sampled_from(SPECIAL_TOKENS),
    st.text(max_size=8),
    st.integers(1, 40).map(lambda count: " " * count),
    st.integers(1, 40).map(lambda count: "ab" * count),
)
texts = st.lists(pieces, max_size=12).map("".join)


@pytest.fixture(scope="module")
def engines(trained: Callable[[str], Path]) -> dict[str, tuple[Vocabulary, Tokenizer]]:
    found = {}
    for pattern in PATTERNS:
        reference = Tokenizer.from_file(str(trained(pattern) / "tokenizer.json"))
        reference.encode_special_tokens = True
        found[pattern] = (Vocabulary.load(trained(pattern)), reference)
    return found


@pytest.mark.parametrize("pattern", PATTERNS)
@given(text=texts)
def test_both_engines_give_the_same_ids(
    engines: dict[str, tuple[Vocabulary, Tokenizer]], pattern: str, text: str
) -> None:
    vocabulary, reference = engines[pattern]
    assert vocabulary.encode(text) == reference.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_engines_cut_at_the_same_characters(
    engines: dict[str, tuple[Vocabulary, Tokenizer]], pattern: str
) -> None:
    """Every code point once between letters: the two Unicode tables agree."""
    vocabulary, reference = engines[pattern]
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for start in range(0, len(characters), 100_000):
        text = "".join(f"a{character}A" for character in characters[start : start + 100_000])
        assert vocabulary.encode(text) == reference.encode(text, add_special_tokens=False).ids


@given(data=st.binary(max_size=200))
def test_every_byte_string_round_trips(engines: dict[str, tuple[Vocabulary, Tokenizer]], data: bytes) -> None:
    vocabulary, _ = engines["cl100k"]
    assert vocabulary.decode_bytes(vocabulary.encode_bytes(data)) == data


@given(text=texts)
def test_text_round_trips_and_never_holds_a_special(
    engines: dict[str, tuple[Vocabulary, Tokenizer]], text: str
) -> None:
    vocabulary, _ = engines["cl100k"]
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert vocabulary.encode_bytes(text.encode()) == ids
    assert not set(ids) & set(vocabulary.special_ids.values())


def test_special_tokens_are_the_last_ids(vocabulary: Vocabulary) -> None:
    assert list(vocabulary.special_ids) == list(SPECIAL_TOKENS)
    assert list(vocabulary.special_ids.values()) == list(range(vocabulary.size - 5, vocabulary.size))
    assert vocabulary.decode([vocabulary.im_start, *vocabulary.encode("hi"), vocabulary.pad]) == "<|im_start|>hi<|pad|>"
    with pytest.raises(IndexError, match="-1"):
        vocabulary.token_bytes(-1)


def test_lone_surrogate_becomes_the_replacement_character(vocabulary: Vocabulary) -> None:
    assert vocabulary.decode(vocabulary.encode("a\ud800b")) == "a\ufffdb"


def test_a_million_spaces_are_encoded(engines: dict[str, tuple[Vocabulary, Tokenizer]]) -> None:
    vocabulary, _ = engines["cl100k"]
    short, long = " " * 150_000 + "x\ud800", " " * 1_500_000 + "x"
    assert vocabulary.decode(vocabulary.encode(long)) == long
    fast = vocabulary._fast.encode_ordinary(short)
    assert vocabulary.encode(short) == fast  # both ways of encoding agree where both work


def test_digest_follows_meaning_and_not_formatting(trained: Callable[[str], Path], tmp_path: Path) -> None:
    stored = json.loads((trained("cl100k") / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(stored))
    assert Vocabulary.load(tmp_path).digest == Vocabulary.load(trained("cl100k")).digest
    assert len({Vocabulary.load(trained(pattern)).digest for pattern in PATTERNS}) == 3
    *others, last = stored["model"]["merges"]
    stored["model"]["merges"] = [*others, last[::-1]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(stored))
    with pytest.raises(VocabularyError, match="order of the merges"):
        Vocabulary.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("{", "Expecting"),
        ("[]", "no byte-level BPE"),
        ('{"pre_tokenizer": null}', "no byte-level BPE"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(VocabularyError, match=message) as raised:
        Vocabulary.load(tmp_path)
    assert str(tmp_path / "tokenizer.json") in str(raised.value)
