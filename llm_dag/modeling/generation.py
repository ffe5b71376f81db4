"""Continue prompts token by token: the one engine behind chat, samples, evaluation and rollouts.

Prompts of a batch are padded on the left, so that all end at the same slot of the key-value cache; padding is masked
and rotary positions count from a prompt's own first token, so a prompt gives the same logits alone and in company.
The prompts are read in one pass, then each step feeds one token of each sequence. Every sequence has its own stream of
uniform numbers, drawn from the seed and its index: batch size changes no draw.

Where the context ends: a prompt is cut on the left to `context - min(max_new_tokens, context // 2)` tokens, and a
sequence ends when the context is full. Why a sequence ended stands in its `Completion`.

Axes: B sequences, T new tokens, S slots, V vocabulary.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from llm_dag.modeling.sampling import Sampling, choose
from llm_dag.modeling.transformer import Transformer
from llm_dag.tokenization.vocabulary import Vocabulary

Finish = Literal["", "stop", "length", "context"]


@dataclass
class Completion:
    """What was generated after one prompt.

    `ids` ends with the stop token where `finish` is `stop`; `logprobs` holds, for each id, its natural log-probability
    under the model itself (temperature 1, nothing cut off).
    """

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: Finish = ""

    @property
    def spoken(self) -> list[int]:
        """The ids without the stop token."""
        return self.ids[:-1] if self.finish == "stop" else self.ids


def generate(
    model: Transformer,
    vocabulary: Vocabulary,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    batch: int = 32,
) -> list[Completion]:
    """Continue each prompt until `<|im_end|>`, `<|endoftext|>`, `max_new_tokens` or the end of the context.

    At most `batch` sequences are in memory together. Raises ValueError for an empty prompt.
    """
    asked = sampling.max_new_tokens
    fitted = [fit(prompt, at, asked, model.shape.context) for at, prompt in enumerate(prompts)]
    completions = [Completion() for _ in prompts]
    for group in batches(list(map(len, fitted)), asked, batch, model.shape.context):
        engine = Engine(model, vocabulary, sampling, {at: fitted[at] for at in group})
        for at, token, logprob, finish in engine.tokens():
            completions[at].ids.append(token)
            completions[at].logprobs.append(logprob)
            completions[at].finish = finish
    return completions


def stream(model: Transformer, vocabulary: Vocabulary, prompt: Sequence[int], sampling: Sampling) -> Iterator[str]:
    """The continuation of one prompt in pieces of text, each as soon as its last character is whole.

    Together the pieces are `vocabulary.decode` of what `generate` says for the prompt.
    """
    fitted = fit(prompt, 0, sampling.max_new_tokens, model.shape.context)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for _, token, _, finish in Engine(model, vocabulary, sampling, {0: fitted}).tokens():
        piece = decoder.decode(b"" if finish == "stop" else vocabulary.token_bytes(token), final=bool(finish))
        if piece:
            yield piece


def fit(prompt: Sequence[int], at: int, asked: int, context: int) -> list[int]:
    """The end of a prompt that leaves room for an answer. Raises ValueError for an empty prompt."""
    if not len(prompt):
        raise ValueError(f"prompt {at} is empty; wanted a token to continue, such as <|endoftext|>")
    return list(prompt[-(context - min(asked, context // 2)) :])


def batches(lengths: Sequence[int], asked: int, batch: int, context: int) -> Iterator[list[int]]:
    """Indices of prompts to run together, short ones first.

    Padding takes slots of the context. So a prompt whose answer may reach the end of the context shares a batch only
    with prompts of its own length, or its neighbours would end earlier than alone.
    """
    group: list[int] = []
    for at in sorted(range(len(lengths)), key=lengths.__getitem__):
        apart = group and lengths[at] != lengths[group[0]] and lengths[at] + asked > context
        if apart or len(group) == batch:
            yield group
            group = []
        group.append(at)
    if group:
        yield group


class Engine:
    """One batch of prompts, by the index that fixes each one's random numbers; they fit as `batches` has them."""

    def __init__(
        self, model: Transformer, vocabulary: Vocabulary, sampling: Sampling, prompts: Mapping[int, Sequence[int]]
    ) -> None:
        self._model, self._sampling, self._size = model, sampling, vocabulary.size
        self._stop = (vocabulary.im_end, vocabulary.end_of_text)
        self._prompts = prompts
        longest = max(map(len, prompts.values()))
        self._room = {at: min(sampling.max_new_tokens, model.shape.context - len(ids)) for at, ids in prompts.items()}
        self._device = model.head_weight_VW.device
        self._pads_B = torch.tensor([longest - len(ids) for ids in prompts.values()], device=self._device)
        self._padded = bool(self._pads_B.any())
        slots = longest + max(self._room.values())
        self._cache = model.new_cache(len(prompts), slots, self._device, model.head_weight_VW.dtype)

    @torch.inference_mode()
    def tokens(self) -> Iterator[tuple[int, int, float, Finish]]:
        """Each new token as (index, token, log-probability, finish), until every sequence has finished."""
        padding = self._pads_B.tolist()
        padded = [[0] * pad + list(ids) for pad, ids in zip(padding, self._prompts.values(), strict=True)]
        tokens_BT = torch.tensor(padded, device=self._device)
        steps = max(self._room.values())
        uniforms_BT = np.stack([uniforms(self._sampling.seed, at, steps) for at in self._prompts])
        unfinished = dict(enumerate(self._prompts))
        for step in range(steps):
            logits_BV = self._advance(tokens_BT)
            logprobs_BV = logits_BV.log_softmax(dim=-1)
            logits_BV[:, self._size :] = -math.inf  # an embedding may have more rows than the vocabulary has tokens
            numbers_B = torch.from_numpy(uniforms_BT[:, step].copy()).to(self._device)
            tokens_BT = choose(logits_BV, self._sampling, numbers_B)[:, None]
            chosen, logprobs = tokens_BT[:, 0].tolist(), logprobs_BV.gather(1, tokens_BT)[:, 0].tolist()
            for row, at in list(unfinished.items()):
                finish = self._finish(at, chosen[row], step + 1)
                if finish:
                    del unfinished[row]
                yield at, chosen[row], logprobs[row], finish
            if not unfinished:
                return

    def _advance(self, tokens_BT: Tensor) -> Tensor:
        """Feed new tokens; the float32 logits BV after the last one."""
        filled = self._cache.length
        slots_S = torch.arange(filled + tokens_BT.shape[1], device=self._device)
        positions_BT = (slots_S[filled:] - self._pads_B[:, None]).clamp(min=0)
        mask_BS = slots_S >= self._pads_B[:, None] if self._padded else None
        hidden_BTW = self._model.hidden(tokens_BT, self._cache, positions_BT, mask_BS)
        return F.linear(hidden_BTW[:, -1], self._model.head_weight_VW).float()

    def _finish(self, at: int, token: int, count: int) -> Finish:
        if token in self._stop:
            return "stop"
        if count < self._room[at]:
            return ""
        return "length" if count == self._sampling.max_new_tokens else "context"


def uniforms(seed: int, at: int, count: int) -> np.ndarray:
    """The numbers in [0, 1) that sequence `at` is drawn with, as float32: the same on every machine."""
    generator = np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, at], np.uint64)))
    return generator.random(count, dtype=np.float32)
