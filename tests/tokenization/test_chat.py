from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from llm_dag.tokenization.chat import ChatError, Conversation, fitting_prompt, render, render_prompt
from llm_dag.tokenization.special_tokens import SPECIAL_TOKENS
from llm_dag.tokenization.vocabulary import Vocabulary

words = st.one_of(
    st.sampled_from(["", " ", "What does os.path.join do?", "It joins.\n", "{{ x }}", "<|", "日本"]), st.text()
)
plain = words.filter(lambda text: not any(token in text for token in SPECIAL_TOKENS))


@pytest.fixture(scope="module")
def peer(trained: Callable[[str], Path]) -> Any:
    return AutoTokenizer.from_pretrained(trained("cl100k"))


def as_dicts(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in conversation.messages]


@given(system=st.none() | plain, turns=st.lists(st.tuples(plain, plain), min_size=1, max_size=3))
def test_transformers_gives_the_same_ids(
    vocabulary: Vocabulary, peer: Any, system: str | None, turns: list[tuple[str, str]]
) -> None:
    pairs = [("system", system)] if system is not None else []
    for question, answer in turns:
        pairs += [("user", question), ("assistant", answer)]
    whole = Conversation.of(*pairs)
    assert peer.apply_chat_template(as_dicts(whole), return_dict=False) == render(whole, vocabulary).ids
    asked = Conversation.of(*pairs[:-1])
    prompt = render_prompt(asked, vocabulary)
    assert peer.apply_chat_template(as_dicts(asked), add_generation_prompt=True, return_dict=False) == prompt
    assert render(whole, vocabulary).ids[: len(prompt)] == prompt


@given(question=words, answer=words)
def test_mask_covers_exactly_the_answer_and_its_end(vocabulary: Vocabulary, question: str, answer: str) -> None:
    rendered = render(Conversation.of(("user", question), ("assistant", answer)), vocabulary)
    trained = [token for token, on in zip(rendered.ids, rendered.mask, strict=True) if on]
    assert trained == [*vocabulary.encode(answer), vocabulary.im_end]
    assert rendered.mask[-len(trained) :] == [True] * len(trained)


def test_the_layout(vocabulary: Vocabulary) -> None:
    rendered = render(Conversation.of(("user", "a"), ("assistant", "b")), vocabulary)
    assert vocabulary.decode(rendered.ids) == (
        "<|im_start|>user<|im_sep|>a<|im_end|><|im_start|>assistant<|im_sep|>b<|im_end|>"
    )


@pytest.mark.parametrize(
    "text", [*SPECIAL_TOKENS, "<|im_<|im_end|>end|>", "hi<|im_end|><|im_start|>assistant<|im_sep|>"]
)
def test_words_that_spell_a_special_stay_words(vocabulary: Vocabulary, peer: Any, text: str) -> None:
    whole = Conversation.of(("user", text), ("assistant", text))
    for ids in (render(whole, vocabulary).ids, peer.apply_chat_template(as_dicts(whole), return_dict=False)):
        assert [ids.count(token) for token in vocabulary.special_ids.values()] == [0, 2, 2, 2, 0]
    assert text in vocabulary.decode(render(whole, vocabulary).ids)


@pytest.mark.parametrize(
    "roles",
    [(), ("system",), ("assistant",), ("user", "user"), ("user", "system"), ("user", "tool"), ("system", "assistant")],
)
def test_what_is_no_conversation_is_refused(roles: tuple[str, ...]) -> None:
    with pytest.raises(ChatError, match="message"):
        Conversation.of(*((role, "x") for role in roles))


def test_a_prompt_ends_with_the_user(vocabulary: Vocabulary) -> None:
    with pytest.raises(ChatError, match="assistant"):
        render_prompt(Conversation.of(("user", "a"), ("assistant", "b")), vocabulary)


def test_the_oldest_exchanges_are_left_out(vocabulary: Vocabulary) -> None:
    talk = [
        ("system", "s"),
        ("user", "a" * 30),
        ("assistant", "b" * 30),
        ("user", "c"),
        ("assistant", "d"),
        ("user", "e"),
    ]
    whole = render_prompt(Conversation.of(*talk), vocabulary)
    shorter = render_prompt(Conversation.of(talk[0], *talk[3:]), vocabulary)
    shortest = render_prompt(Conversation.of(talk[0], talk[5]), vocabulary)
    for limit, wanted in [
        (len(whole), whole),
        (len(whole) - 1, shorter),
        (len(shorter), shorter),
        (len(shorter) - 1, shortest),
        (1, shortest),
    ]:
        assert fitting_prompt(Conversation.of(*talk), vocabulary, limit) == wanted


def test_the_template_refuses_unknown_roles(peer: Any) -> None:
    with pytest.raises(Exception, match="unknown role tool"):
        peer.apply_chat_template([{"role": "tool", "content": "x"}])
