from __future__ import annotations

import pytest
import regex
import tiktoken_ext.openai_public as published
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.tokenization.pretokenization import pattern

PUBLISHED = {"gpt2": "gpt2", "cl100k": "cl100k_base", "o200k": "o200k_base"}

spaces = st.sampled_from([" ", "  ", "\n", "\r\n", "\t\n ", "\u3000"])
words = st.sampled_from(["'s", "'LL", "'Re", "Aa", "aA", "ßẞ", "日本", "12345", "!?", "//", "e\u0301", "²"])
texts = st.lists(st.one_of(spaces, words, st.text(max_size=3)), max_size=15).map("".join)


@pytest.fixture(scope="module")
def theirs() -> dict[str, str]:
    """tiktoken's patterns, without its vocabularies, which it would download."""
    with pytest.MonkeyPatch.context() as patch:
        for loader in ("load_tiktoken_bpe", "data_gym_to_mergeable_bpe_ranks"):
            patch.setattr(published, loader, lambda *_, **__: {})
        return {name: getattr(published, function)()["pat_str"] for name, function in PUBLISHED.items()}


@pytest.mark.parametrize("name", PUBLISHED)
@given(text=texts)
def test_pieces_are_those_of_tiktoken(theirs: dict[str, str], name: str, text: str) -> None:
    whole = f"{text}x"  # white space with a line break at the end of a text is the one case that differs
    assert regex.findall(pattern(name), whole) == regex.findall(theirs[name], whole)
    assert "".join(regex.findall(pattern(name), text)) == text


def test_the_one_case_that_differs(theirs: dict[str, str]) -> None:
    assert regex.findall(theirs["cl100k"], "a \n  ") == ["a", " \n  "]
    assert regex.findall(pattern("cl100k"), "a \n  ") == ["a", " \n", "  "]


def test_an_unknown_pattern_is_refused() -> None:
    with pytest.raises(KeyError, match="p50k"):
        pattern("p50k")
