"""Train the byte-level BPE: the step `tokenizer`.

Documents of the train split only (a bounded sample by hash, `sample.py`) are cut into pieces (`pretokenization.py`);
then the most frequent neighbouring pair of tokens becomes a new token, again and again (Sennrich et al. 2016, over
bytes as in Radford et al. 2019). The work is done by `tokenizers`, in time of the sample's length plus the number of
merges times the pieces each touches; ties go to the pair with the smaller ids, so equal samples give equal bytes.

Ids: 256 bytes, then one token per merge in the order learned, then the five special tokens. The special tokens are
added after training and stand in no text: nothing in the sample that spells one is treated otherwise than words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from llm_dag.config import tokenizer as config
from llm_dag.store.errors import StoreError
from llm_dag.store.work import Work
from llm_dag.tokenization.byte_alphabet import token_as_bytes
from llm_dag.tokenization.chat_template import chat_template
from llm_dag.tokenization.pretokenization import pattern
from llm_dag.tokenization.sample import Sample, draw
from llm_dag.tokenization.special_tokens import (
    END_OF_TEXT,
    IM_END,
    IM_SEP,
    IM_START,
    PAD,
    SPECIAL_TOKENS,
)

MIN_FREQUENCY = 2  # a pair that stands once is no pattern
CARD_TOKENS = 40


class TokenizerError(StoreError):
    """The sample cannot give the vocabulary that the configuration asks for."""


def build(work: Work) -> None:
    """Train, write the Hugging Face files to data/ and the tokenizer card to record/."""
    chosen: config.Tokenizer = work.config
    shards = [
        artifact.path(f"text/{shard}.parquet") for artifact in work.inputs("pii_redacted") for shard in artifact.shards
    ]
    training = draw(shards, "train", chosen.sample_bytes)
    if not training.documents:
        raise TokenizerError(
            f"no document of the train split of {', '.join(chosen.dumps)} fits in tokenizer.sample_bytes="
            f"{chosen.sample_bytes}"
        )
    work.progress.start("training the tokenizer", training.documents, "documents")
    tokenizer = train(reported(training, work), chosen.pattern, chosen.vocab_size)
    found = tokenizer.get_vocab_size(with_added_tokens=True)
    if found < chosen.vocab_size:
        raise TokenizerError(
            f"tokenizer.vocab_size={chosen.vocab_size}, but {training.size} bytes of text hold only {found} tokens "
            f"that occur at least {MIN_FREQUENCY} times: give more text (tokenizer.dumps, tokenizer.sample_bytes) or "
            f"ask for at most {found}"
        )
    write(tokenizer, work.data)
    heldout = draw(shards, "heldout", chosen.sample_bytes)
    tokens = count_tokens(tokenizer, heldout.texts())
    work.metrics["vocab_size"] = found
    work.metrics["sample_documents"] = training.documents
    work.metrics["sample_bytes"] = training.size
    if tokens:
        work.metrics["bytes_per_token"] = heldout.size / tokens
    work.record("card.md").write_text(card(tokenizer, chosen, training, heldout, tokens), encoding="utf-8")


def train(texts: Iterator[list[str]], pattern_name: str, vocab_size: int) -> Tokenizer:
    """Train on batches of texts; the result has at most `vocab_size` tokens, the five special ones included."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern(pattern_name)), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL_TOKENS),
        min_frequency=MIN_FREQUENCY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    return tokenizer


def write(tokenizer: Tokenizer, path: Callable[[str], Path]) -> None:
    """Write the files that `transformers` opens as a tokenizer; `path` gives the place of each."""
    path("tokenizer.json").write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # take tokenizer.json as it is
        "bos_token": END_OF_TEXT,  # what stands before the first word of a document; nothing adds it unasked
        "eos_token": IM_END,
        "pad_token": PAD,
        "extra_special_tokens": [IM_START, IM_SEP],
        "clean_up_tokenization_spaces": False,
    }
    path("tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    path("chat_template.jinja").write_text(chat_template() + "\n", encoding="utf-8")


def count_tokens(tokenizer: Tokenizer, texts: Iterator[list[str]]) -> int:
    """Tokens of all texts, special spellings read as words."""
    tokenizer.encode_special_tokens = True
    try:
        return sum(len(found.ids) for batch in texts for found in tokenizer.encode_batch_fast(batch))
    finally:
        tokenizer.encode_special_tokens = False


def reported(sample: Sample, work: Work) -> Iterator[list[str]]:
    """The sample's texts; progress moves as the trainer reads them."""
    done = 0
    for batch in sample.texts():
        yield batch
        done += len(batch)
        work.progress.update(done)


def card(tokenizer: Tokenizer, chosen: config.Tokenizer, training: Sample, heldout: Sample, tokens: int) -> str:
    """The tokenizer card: how it was trained, how well it compresses unseen documents, its longest tokens."""
    spellings = [token for token in tokenizer.get_vocab(with_added_tokens=False) if token not in SPECIAL_TOKENS]
    longest = sorted(map(token_as_bytes, spellings), key=lambda token: (-len(token), token))[:CARD_TOKENS]
    measured = f"{heldout.size / tokens:.3f}" if tokens else "not measured: no held-out document fits in the sample"
    lines = [
        "# Tokenizer",
        "",
        f"- tokens: 256 bytes, {len(spellings) - 256} merges, {len(SPECIAL_TOKENS)} special",
        f"- pre-tokenization pattern `{chosen.pattern}`",
        f"- trained on {training.documents} documents, {training.size} bytes, of {', '.join(chosen.dumps)}",
        f"- bytes per token on {heldout.documents} held-out documents ({heldout.size} bytes): {measured}",
        "",
        f"## The {len(longest)} longest tokens",
        "",
        "| bytes | token |",
        "|---|---|",
    ]
    lines += [f"| {len(token)} | `{token!r}` |" for token in longest]
    return "\n".join(lines) + "\n"
