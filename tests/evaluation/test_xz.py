"""xz as a yardstick: alone it knows nothing, primed it knows the training text."""

from __future__ import annotations

import lzma
import random

import pytest

from llm_dag.evaluation.xz import dictionary_for, primed_xz_bytes, xz_bytes
from llm_dag.store.errors import StoreError


def prose(seed: int, words: int) -> bytes:
    choose = random.Random(seed)
    vocabulary = ["".join(choose.choices("abcdefghijklmnop", k=choose.randint(3, 9))) for _ in range(400)]
    return " ".join(choose.choices(vocabulary, k=words)).encode()


def test_alone_is_what_the_xz_tool_writes() -> None:
    text = prose(1, 3000)
    assert xz_bytes(text) == len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))


def test_priming_with_the_text_itself_makes_it_nearly_free() -> None:
    text = prose(2, 3000)
    assert primed_xz_bytes(prose(3, 3000) + text, text) < xz_bytes(text) / 20


def test_priming_with_another_vocabulary_helps_little() -> None:
    text = prose(4, 3000)
    assert primed_xz_bytes(prose(5, 3000), text) > xz_bytes(text) * 0.8


def test_the_dictionary_holds_the_whole_training_text() -> None:
    """A text repeated after three megabytes of noise is found again only if the dictionary reaches that far."""
    noise = random.Random(6).randbytes(3 << 20)
    text = prose(7, 2000)
    assert primed_xz_bytes(text + noise, text) < xz_bytes(text) / 4


def test_dictionary_sizes() -> None:
    assert dictionary_for(5) == 1 << 20
    assert dictionary_for((1 << 20) + 1) == 1 << 21
    assert dictionary_for(1200 << 20) == 1536 << 20
    with pytest.raises(StoreError, match=r"evaluation\.harness\.prime_bytes"):
        dictionary_for(1537 << 20)
