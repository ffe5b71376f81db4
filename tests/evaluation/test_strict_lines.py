"""Which bytes of a held-out document count, and how many bits stand on each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.evaluation.strict_lines import spread, strict_mask, strict_text, unseen_keys


def counted(document: bytes, training: list[bytes]) -> bytes:
    return strict_text(document, strict_mask(document, unseen_keys([document], training)))


def test_only_lines_that_no_training_document_has_count() -> None:
    document = b"Next page\n  a line of its own\n\n   \nshared line\nlast"
    training = [b"Next page\nsomething", b"\tshared line  \nmore"]
    assert counted(document, training) == b"  a line of its own\nlast"


def test_a_line_within_a_longer_training_line_still_counts() -> None:
    assert counted(b"join(a, b)\n", [b"os.path.join(a, b)\n"]) == b"join(a, b)\n"


def test_unicode_white_space_does_not_make_a_line_new() -> None:
    assert counted("\u00a0Überschrift\u2003\n".encode(), ["Überschrift".encode()]) == b""


def test_lines_that_held_out_documents_share_with_each_other_count_in_both() -> None:
    first, second = b"same\none\n", b"same\ntwo\n"
    unseen = unseen_keys([first, second], [b"else"])
    assert strict_text(first, strict_mask(first, unseen)) == first
    assert strict_text(second, strict_mask(second, unseen)) == second


def test_bytes_that_are_no_utf8_are_lines_too() -> None:
    assert counted(b"\xff\xfe\nok\n", [b"ok"]) == b"\xff\xfe\n"


@given(st.lists(st.text(alphabet="ab \n", max_size=12)), st.text(alphabet="ab \n", max_size=20))
def test_counted_lines_are_exactly_the_strict_ones(training: list[str], document: str) -> None:
    seen = {line.strip() for text in training for line in text.split("\n")}
    wanted = "".join(
        line + ("\n" if at < document.count("\n") else "")
        for at, line in enumerate(document.split("\n"))
        if line.strip() and line.strip() not in seen
    )
    assert counted(document.encode(), [text.encode() for text in training]) == wanted.encode()


def test_a_tokens_bits_are_spread_over_its_bytes() -> None:
    assert spread([6.0, 1.0, 5.0], [3, 1, 0]).tolist() == [2.0, 2.0, 2.0, 1.0]


def test_bits_of_a_token_across_a_line_border_are_shared() -> None:
    document = b"old\nnew"
    unseen = unseen_keys([document], [b"old"])
    bits = spread([3.0, 4.0, 2.0], [3, 2, 2])  # "old" | "\nn" | "ew"
    assert bits[strict_mask(document, unseen)].sum() == pytest.approx(4.0)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 9)), max_size=30))
def test_no_bit_is_lost(tokens: list[tuple[float, int]]) -> None:
    bits = spread([bit for bit, _ in tokens], [length for _, length in tokens])
    assert len(bits) == sum(length for _, length in tokens)
    assert np.isclose(bits.sum(), sum(bit for bit, _ in tokens))


def test_bits_and_tokens_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="2 token bits for 1 tokens"):
        spread([1.0, 2.0], [3])
