"""Word overlap is F1 over multisets of words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.evaluation.overlap import overlap, words


@pytest.mark.parametrize(
    ("answer", "reference", "wanted"),
    [
        ("the cat", "the cat", 1.0),
        ("The CAT!", "the cat", 1.0),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("", "...", 1.0),
        ("a a a a", "a b", 2 / 6),
        ("join paths", "join two or more paths", 4 / 7),
    ],
)
def test_overlap(answer: str, reference: str, wanted: float) -> None:
    assert overlap(answer, reference) == pytest.approx(wanted)


def test_words_of_a_call() -> None:
    assert words("os.path.join(a_1, b)") == ["os", "path", "join", "a_1", "b"]


@given(st.text(max_size=30), st.text(max_size=30))
def test_overlap_is_symmetric_and_bounded(first: str, second: str) -> None:
    assert overlap(first, second) == overlap(second, first)
    assert 0.0 <= overlap(first, second) <= 1.0
