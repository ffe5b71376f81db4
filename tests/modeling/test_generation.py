from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_dag.modeling.generation import Completion, batches, generate, stream
from llm_dag.modeling.sampling import Sampling
from llm_dag.modeling.scoring import log_likelihood
from llm_dag.modeling.transformer import Transformer
from llm_dag.tokenization.vocabulary import Vocabulary

GREEDY = Sampling(temperature=0.0, top_k=0, top_p=1.0, max_new_tokens=16, seed=0)
DRAWN = replace(GREEDY, temperature=1.0)


@pytest.fixture(scope="module")
def model(make: Callable[..., Transformer]) -> Transformer:
    return make()


def prompts_of(lengths: list[int], size: int) -> list[list[int]]:
    draw = random.Random(4)
    return [[draw.randrange(size - 5) for _ in range(length)] for length in lengths]


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN])
def test_step_by_step_is_the_full_pass(model: Transformer, vocabulary: Vocabulary, sampling: Sampling) -> None:
    """With the cache each token has the logits of one causal pass over the whole sequence; greedily, its argmax."""
    for prompt in prompts_of([1, 5, 20], vocabulary.size):
        found = generate(model, vocabulary, [prompt], sampling)[0]
        with torch.no_grad():
            logits_TV = model(torch.tensor([[*prompt, *found.ids]]))[0, len(prompt) - 1 : -1]
        if sampling is GREEDY:
            assert logits_TV.argmax(-1).tolist() == found.ids
        wanted = logits_TV.log_softmax(-1).gather(1, torch.tensor(found.ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(found.logprobs), wanted, atol=1e-5, rtol=1e-5)
        assert log_likelihood(model, [prompt], [found.ids])[0] == pytest.approx(found.logprobs, abs=1e-5)


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN, replace(DRAWN, top_k=20, top_p=0.9, temperature=0.7)])
@pytest.mark.parametrize("new", [6, 30, 200])
def test_a_ragged_batch_is_one_by_one(model: Transformer, vocabulary: Vocabulary, sampling: Sampling, new: int) -> None:
    prompts = prompts_of([3, 17, 1, 24, 24, 9, 70, 2, 36], vocabulary.size)
    asked = replace(sampling, max_new_tokens=new)
    alone = generate(model, vocabulary, prompts, asked, batch=1)
    together = generate(model, vocabulary, prompts, asked, batch=6)
    assert [one.ids for one in together] == [one.ids for one in alone]
    assert [one.finish for one in together] == [one.finish for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)


def test_seed_decides_the_draw(model: Transformer, vocabulary: Vocabulary) -> None:
    prompts = prompts_of([4, 4], vocabulary.size)
    first = generate(model, vocabulary, prompts, DRAWN)
    assert generate(model, vocabulary, prompts, DRAWN) == first
    assert generate(model, vocabulary, prompts, replace(DRAWN, seed=1)) != first
    same = generate(model, vocabulary, [prompts[0], prompts[0]], DRAWN)
    assert same[0].ids != same[1].ids  # each sequence has its own numbers


def speaking(make: Callable[..., Transformer], ids: list[int]) -> Transformer:
    """A model that says these tokens one after the other: the head maps each token's direction to the next token."""
    model = make(tie_embeddings=False, width=512, heads=4, context=64)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(model.shape.vocab_size, 512) * 4)
        model.lm_head.weight.zero_()
        for token, following in pairwise(ids):
            model.lm_head.weight[following, token] = 50.0
    return model


@pytest.mark.parametrize("stop", ["im_end", "end_of_text"])
def test_a_stop_token_ends_a_sequence(make: Callable[..., Transformer], vocabulary: Vocabulary, stop: str) -> None:
    end = getattr(vocabulary, stop)
    model = speaking(make, [1, 2, 3, end, 4])
    first, second = generate(model, vocabulary, [[1], [9, 2]], GREEDY)
    assert (first.ids, first.finish, first.spoken) == ([2, 3, end], "stop", [2, 3])
    assert (second.ids, second.finish) == ([3, end], "stop")
    assert "".join(stream(model, vocabulary, [1], GREEDY)) == vocabulary.decode([2, 3])
    (cut,) = generate(model, vocabulary, [[1]], replace(GREEDY, max_new_tokens=2))
    assert (cut.ids, cut.finish, cut.spoken) == ([2, 3], "length", [2, 3])


def test_rows_beyond_the_vocabulary_are_never_said(make: Callable[..., Transformer], vocabulary: Vocabulary) -> None:
    model = make(vocab_size=vocabulary.size + 1_000)
    prompts = prompts_of([2] * 20, vocabulary.size)
    for sampling in (GREEDY, DRAWN):
        ids = [token for found in generate(model, vocabulary, prompts, sampling) for token in found.ids]
        assert max(ids) < vocabulary.size


def test_the_end_of_the_context(model: Transformer, vocabulary: Vocabulary) -> None:
    """Context 48: a long prompt keeps its last tokens, and a sequence ends when the context is full."""
    (long,) = prompts_of([100], vocabulary.size)
    asked = replace(GREEDY, max_new_tokens=10)
    (found,) = generate(model, vocabulary, [long], asked)
    assert (len(found.ids), found.finish) == (10, "length")
    assert found.ids == generate(model, vocabulary, [long[62:]], asked)[0].ids
    (most,) = generate(model, vocabulary, [long], replace(GREEDY, max_new_tokens=1_000))
    assert (len(most.ids), most.finish) == (24, "context")
    (short,) = generate(model, vocabulary, [long[:3]], replace(GREEDY, max_new_tokens=1_000))
    assert (len(short.ids), short.finish) == (45, "context")


@pytest.mark.parametrize("prompts", [[[1], []], [[]]])
def test_an_empty_prompt_is_refused(model: Transformer, vocabulary: Vocabulary, prompts: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="is empty"):
        generate(model, vocabulary, prompts, GREEDY)


def test_no_prompts_no_completions(model: Transformer, vocabulary: Vocabulary) -> None:
    assert generate(model, vocabulary, [], GREEDY) == []


@settings(max_examples=40)
@given(text=st.text(max_size=6), tail=st.binary(max_size=3))
def test_streamed_pieces_are_whole_characters(
    make: Callable[..., Transformer], vocabulary: Vocabulary, text: str, tail: bytes
) -> None:
    """A character cut between pieces would make them differ from what `decode` gives for all ids."""
    ids = list(dict.fromkeys(vocabulary.encode_bytes(text.encode() + tail)))
    start = next(token for token in range(256) if token not in ids)
    model = speaking(make, [start, *ids, vocabulary.im_end])
    pieces = list(stream(model, vocabulary, [start], replace(GREEDY, max_new_tokens=40)))
    assert "".join(pieces) == vocabulary.decode(ids)
    assert all(pieces)


@given(
    lengths=st.lists(st.integers(1, 40), max_size=30),
    asked=st.integers(1, 60),
    batch=st.integers(1, 8),
)
def test_batches_hold_each_prompt_once_and_fit(lengths: list[int], asked: int, batch: int) -> None:
    context = 48
    groups = list(batches(lengths, asked, batch, context))
    assert sorted(at for group in groups for at in group) == list(range(len(lengths)))
    for group in groups:
        sizes = [lengths[at] for at in group]
        assert len(group) <= batch
        assert max(sizes) + max(min(asked, context - size) for size in sizes) <= context


def test_first_tokens_are_as_frequent_as_they_are_probable(model: Transformer, vocabulary: Vocabulary) -> None:
    """Chi-squared over the ten most probable tokens and the rest: 29.59 is its 99.9 % quantile."""
    draws, prompt = 4_000, vocabulary.encode("the path")
    asked = replace(DRAWN, max_new_tokens=1, seed=7)
    found: list[Completion] = generate(model, vocabulary, [prompt] * draws, asked, batch=500)
    with torch.no_grad():
        probabilities_V = model(torch.tensor([prompt]))[0, -1].softmax(-1).double()
    counts_V = torch.bincount(torch.tensor([one.ids[0] for one in found]), minlength=vocabulary.size).double()
    top = probabilities_V.topk(10).indices
    seen = torch.cat((counts_V[top], (draws - counts_V[top].sum())[None]))
    wanted = draws * torch.cat((probabilities_V[top], (1 - probabilities_V[top].sum())[None]))
    assert float(((seen - wanted) ** 2 / wanted).sum()) < 29.59
