"""Held-out compression: the base model beside xz on exactly the same bytes.

The bytes are the strict lines (`strict_lines.py`) of a sample of held-out documents, each line with the line feed that
ends it. The model reads a document from `<|endoftext|>` on, in windows of the length that it was trained on; after the
first, each lies a quarter further on. So a token is scored with the document's earlier text before it, at least three
quarters of a window where there is as much. Lines that do not count are read but cost nothing, and neither do the
`<|endoftext|>` at the end nor the weights. xz alone sees only the strict lines, one after the other; primed xz has the
training text too. Each has an advantage that the others lack, so the notes of the scores say what each has seen. Cost:
at most four passes of the model's layers for each token, two of xz over the training text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_dag.config.evaluation import Harness
from llm_dag.evaluation import heldout
from llm_dag.evaluation.intervals import Ratio, interval
from llm_dag.evaluation.page.wording import about, count, size
from llm_dag.evaluation.scores import Score
from llm_dag.evaluation.strict_lines import spread, strict_mask, strict_text, unseen_keys
from llm_dag.evaluation.xz import primed_xz_bytes, xz_bytes
from llm_dag.modeling.scoring import log_likelihood
from llm_dag.modeling.transformer import Transformer
from llm_dag.progress import Progress
from llm_dag.store.errors import StoreError
from llm_dag.tokenization.arrays import TokenArrays
from llm_dag.tokenization.vocabulary import Vocabulary

UNIT = "bits per byte"
GROUP = 16  # documents between two reports of progress


class NothingToCount(StoreError):
    """The held-out sample has no line that the training text lacks, or no question that can be asked."""


@dataclass(frozen=True)
class Compressed:
    """The scores, and one row of `LINES` for each document."""

    scores: list[Score]
    rows: list[dict[str, Any]]


def compress(
    model: Transformer,
    vocabulary: Vocabulary,
    train: TokenArrays,
    held: TokenArrays,
    config: Harness,
    progress: Progress,
    trained_tokens: float | None,
) -> Compressed:
    """Measure the model, xz alone and primed xz. Raises NothingToCount where no line is strict."""
    chosen = heldout.choose(held, config.heldout_bytes, config.seed)
    documents = list(heldout.read(held, chosen.table, vocabulary))
    unseen = unseen_keys((one.text for one in documents), heldout.texts(train, vocabulary))
    masks = [strict_mask(one.text, unseen) for one in documents]
    strict = b"".join(strict_text(one.text, mask) for one, mask in zip(documents, masks, strict=True))
    if not strict:
        raise NothingToCount(
            f"{len(documents)} held-out documents of {chosen.bytes} bytes have no line that the training text lacks;"
            " raise evaluation.harness.heldout_bytes"
        )
    window = min(config.window, model.shape.context)
    rows = list(_rows(model, vocabulary, documents, masks, window, progress))
    progress.say(f"xz over {size(len(strict))} of strict lines")
    alone = 8 * xz_bytes(strict) / len(strict)
    prime = heldout.choose(train, config.prime_bytes, config.seed)
    training = b"\n".join(heldout.texts(train, vocabulary, prime.table))
    progress.say(f"xz primed with {size(len(training))} of training text")
    primed = 8 * primed_xz_bytes(training, strict) / len(strict)

    sample = (
        f"{count(len(documents))} of {count(chosen.documents_of_all)} held-out documents,"
        f" {size(len(strict))} of strict lines out of {size(chosen.bytes)}"
    )
    part = f"All {size(prime.bytes)}" if prime.whole else f"{size(prime.bytes)} of the {size(prime.bytes_of_all)}"
    scores = [
        *_model_scores(rows, alone, config, _seen_by_model(window, train, trained_tokens, sample)),
        _xz_score("xz", alone, len(rows), f"Nothing but the strict lines themselves, one after the other ({sample})."),
        _xz_score("xz_primed", primed, len(rows), f"{part} of the training text, in a dictionary that holds it."),
    ]
    return Compressed(scores, rows)


def token_bits(
    model: Transformer, vocabulary: Vocabulary, documents: Sequence[Sequence[int]], window: int
) -> list[NDArray[np.float64]]:
    """Bits of each token of each document after the document's own earlier text, at most `window` tokens of it."""
    quarter = max(1, window // 4)
    prompts, continuations, owners = [], [], []
    for owner, ids in enumerate(documents):
        row = [vocabulary.end_of_text, *ids]
        # Up to a whole window, one pass has all earlier text before every token.
        for start in (1, *range(1 + window, len(row), quarter))[: len(ids)]:
            scored = row[start : start + (window if start == 1 else quarter)]
            prompts.append(row[max(0, start - (window + 1 - len(scored))) : start])
            continuations.append(scored)
            owners.append(owner)
    found: list[list[float]] = [[] for _ in documents]
    for owner, scores in zip(owners, log_likelihood(model, prompts, continuations), strict=True):
        found[owner] += scores
    return [np.asarray(scores, dtype=np.float64) / -math.log(2) for scores in found]


def _rows(
    model: Transformer,
    vocabulary: Vocabulary,
    documents: Sequence[heldout.Document],
    masks: Sequence[NDArray[np.bool_]],
    window: int,
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    progress.start("held-out text", sum(len(one.text) for one in documents), "bytes")
    done = 0
    for first in range(0, len(documents), GROUP):
        group = documents[first : first + GROUP]
        found = token_bits(model, vocabulary, [one.ids for one in group], window)
        for one, mask, bits in zip(group, masks[first : first + GROUP], found, strict=True):
            of_bytes = spread(bits, one.lengths)
            done += len(one.text)
            yield {
                "dump": one.dump,
                "doc_id": one.doc_id,
                "url": one.url,
                "bytes": len(one.text),
                "strict_bytes": int(mask.sum()),
                "base_bits": float(of_bytes.sum()),
                "base_strict_bits": float(of_bytes[mask].sum()),
            }
        progress.update(done)


def _model_scores(rows: list[dict[str, Any]], alone: float, config: Harness, note: str) -> Iterator[Score]:
    def measured(bits: str, size_of: str) -> Any:
        counted = [row for row in rows if row[size_of]]
        ratio = Ratio([row[bits] for row in counted], [row[size_of] for row in counted])
        return interval(ratio, [row["doc_id"] for row in counted], config.resamples, config.seed)

    strict, whole = measured("base_strict_bits", "strict_bytes"), measured("base_bits", "bytes")
    yield Score("heldout_bits_per_byte", "base", strict.value, strict.low, strict.high, strict.n, UNIT, note)
    yield Score("heldout_all_bits_per_byte", "base", whole.value, whole.low, whole.high, whole.n, UNIT, "every line")
    yield Score(
        "heldout_ratio_to_xz",
        "base",
        strict.value / alone,
        None if strict.low is None else strict.low / alone,
        None if strict.high is None else strict.high / alone,
        strict.n,
        "ratio",
        "the interval is the model's; xz is one number",
    )


def _xz_score(name: str, value: float, documents: int, note: str) -> Score:
    return Score("heldout_bits_per_byte", name, value, None, None, documents, UNIT, note)


def _seen_by_model(window: int, train: TokenArrays, trained_tokens: float | None, sample: str) -> str:
    read = "an unrecorded number of" if trained_tokens is None else about(trained_tokens)
    return (
        f"In training, {read} tokens drawn from arrays of {about(len(train))}; while it compresses, the held-out"
        f" document's own earlier text, at most {window} tokens ({sample})."
    )
