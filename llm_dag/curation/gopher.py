"""Gopher's repetition and quality rules (Rae et al. 2021, section A1.1), measured first and decided after.

Every score of every page is recorded, also behind the rule that drops it, so other thresholds are replayed from the
ledger: `decide(scores, config)` reads nothing else. Definitions, order of the rules and names of the reasons are
datatrove's (`GopherRepetitionFilter`, then `GopherQualityFilter`); decisions are equal, page by page.

Cost: n log n in the words of the text, in numpy. Words are split once, and only n-grams that could occur twice are
looked at one by one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
from datatrove.utils.text import PUNCTUATION_SET

from llm_dag import ledger
from llm_dag.config.curation import Gopher
from llm_dag.curation.words import Splitter
from llm_dag.store.work import Shard, Work

TOP_N_GRAMS = (2, 3, 4)
DUPLICATED_N_GRAMS = (5, 6, 7, 8, 9, 10)
STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
LONGEST = (
    2_000_000  # characters: twice what the most words that may be are, at ten letters; n-grams take 100 bytes each
)
PARAGRAPHS = re.compile(r"\n{2,}")
LINES = re.compile(r"\n+")
BULLETS = ("•", "-")
ELLIPSES = ("...", "…")
BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2^64
BASE_INVERSE = np.uint64(pow(int(BASE), -1, 2**64))

SCORES: dict[str, pa.DataType] = {
    "characters": pa.int64(),
    "dup_para_frac": pa.float64(),
    "dup_para_char_frac": pa.float64(),
    "dup_line_frac": pa.float64(),
    "dup_line_char_frac": pa.float64(),
    **{f"top_{n}_gram": pa.float64() for n in TOP_N_GRAMS},
    **{f"duplicated_{n}_n_grams": pa.float64() for n in DUPLICATED_N_GRAMS},
    "words": pa.int64(),
    "mean_word_length": pa.float64(),
    "hash_ratio": pa.float64(),
    "ellipsis_ratio": pa.float64(),
    "bullet_lines": pa.float64(),
    "ellipsis_lines": pa.float64(),
    "alpha_words": pa.float64(),
    "stop_words": pa.int64(),
}
REPETITION = tuple(name for name in SCORES if name.startswith(("dup", "top")))
QUALITY = (  # score, key of its limit, whether the limit is the largest allowed value, reason
    ("words", "min_words", False, "gopher_short_doc"),
    ("words", "max_words", True, "gopher_long_doc"),
    ("mean_word_length", "min_mean_word_length", False, "gopher_below_avg_threshold"),
    ("mean_word_length", "max_mean_word_length", True, "gopher_above_avg_threshold"),
    ("hash_ratio", "max_symbol_ratio", True, "gopher_too_many_hashes"),
    ("ellipsis_ratio", "max_symbol_ratio", True, "gopher_too_many_ellipsis"),
    ("bullet_lines", "max_bullet_lines", True, "gopher_too_many_bullets"),
    ("ellipsis_lines", "max_ellipsis_lines", True, "gopher_too_many_end_ellipsis"),
    ("alpha_words", "min_alpha_words", False, "gopher_below_alpha_threshold"),
    ("stop_words", "min_stop_words", False, "gopher_enough_stop_words"),
)


def build(work: Work) -> None:
    """Judge every text in a wanted language."""
    reads = {"extracted_text": "text", "language_filtered": "verdicts"}
    work.map_shards(judge, reads, tools={"splitter": Splitter.here})


def judge(shard: Shard, splitter: Splitter) -> dict[str, int]:
    """Write the shard's verdicts."""
    verdicts = ledger.VerdictWriter(SCORES)
    for document in ledger.documents(shard.read("extracted_text"), shard.read("language_filtered")):
        scores = measured(document.text, splitter.words(document.text), shard.config)
        verdicts.add(document.doc_id, document.row, reason=decide(scores, shard.config), **scores)
    return verdicts.write(shard.write("verdicts"))


def measured(text: str, words: Sequence[str], config: Gopher) -> dict[str, float | None]:
    """Every score of a text; of one longer than LONGEST that its quality drops, repetition is not measured (None)."""
    if len(text) > LONGEST:
        rough = {"characters": len(text), **dict.fromkeys(REPETITION), **quality(text, words)}
        if decide(rough, config):
            return rough
    return {**measure(text, words)}


def decide(scores: Mapping[str, Any], config: Gopher) -> str:
    """The reason to drop a page, from its scores alone (None: not measured); empty: keep it."""
    if not scores["characters"]:
        return "empty"
    for name in REPETITION:
        if scores[name] is not None and scores[name] > getattr(config, name):
            return name
    for name, key, largest, reason in QUALITY:
        limit = getattr(config, key)
        if scores[name] > limit if largest else scores[name] < limit:
            return reason
    return ""


def measure(text: str, words: Sequence[str]) -> dict[str, float]:
    """Every score of a text, given its words (punctuation marks among them)."""
    return {"characters": len(text), **repetition(text, words), **quality(text, words)}


def repetition(text: str, words: Sequence[str]) -> dict[str, float]:
    """Fractions of repeated paragraphs, lines and n-grams; of characters where the name says so."""
    length = max(1, len(text))
    paragraphs, lines = PARAGRAPHS.split(text.strip()), LINES.split(text)
    paragraph_count, paragraph_characters = repeated(paragraphs)
    line_count, line_characters = repeated(lines)
    tops, joined = top_characters(words), Joined(words)
    return {
        "dup_para_frac": paragraph_count / len(paragraphs),
        "dup_para_char_frac": paragraph_characters / length,
        "dup_line_frac": line_count / len(lines),
        "dup_line_char_frac": line_characters / length,
        **{f"top_{n}_gram": tops[n] / length for n in TOP_N_GRAMS},
        **{f"duplicated_{n}_n_grams": joined.repeated_characters(n) / length for n in DUPLICATED_N_GRAMS},
    }


def quality(text: str, words: Sequence[str]) -> dict[str, float]:
    """Word counts, word shapes and line shapes."""
    counts = Counter(words)
    proper_words = proper_characters = alpha_words = 0
    for word, count in counts.items():
        letters = word.isalpha()
        if letters or not PUNCTUATION_SET.issuperset(word):  # no letter is punctuation
            proper_words += count
            proper_characters += len(word) * count
        if letters or any(map(str.isalpha, word)):
            alpha_words += count
    all_words = max(1, len(words))
    lines = text.splitlines()
    line_count = max(1, len(lines))
    return {
        "words": proper_words,
        "mean_word_length": proper_characters / max(1, proper_words),
        "hash_ratio": text.count("#") / all_words,
        "ellipsis_ratio": sum(text.count(mark) for mark in ELLIPSES) / all_words,
        "bullet_lines": sum(line.lstrip().startswith(BULLETS) for line in lines) / line_count,
        "ellipsis_lines": sum(line.rstrip().endswith(ELLIPSES) for line in lines) / line_count,
        "alpha_words": alpha_words / all_words,
        "stop_words": len(STOP_WORDS & counts.keys()),
    }


def repeated(parts: Sequence[str]) -> tuple[int, int]:
    """How many parts repeat an earlier one, and how many characters they have."""
    distinct = set(parts)
    return len(parts) - len(distinct), sum(map(len, parts)) - sum(map(len, distinct))


def top_characters(words: Sequence[str]) -> dict[int, int]:
    """Characters in all occurrences of the most frequent n-gram, its words one space apart, for each of `TOP_N_GRAMS`.

    Of equally frequent n-grams the first one counts; 0 where there are fewer than n words. Words are numbered, and an
    n-gram is the number of the (n-1)-gram before it, beside the number of its last word: no hash, so nothing collides.
    """
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
    ids = np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))
    found = dict.fromkeys(TOP_N_GRAMS, 0)
    grams = ids
    for n in range(2, min(max(TOP_N_GRAMS), len(words)) + 1):
        _, grams, counts = np.unique(grams[:-1] * len(numbers) + ids[n - 1 :], return_inverse=True, return_counts=True)
        if n in found:
            start, most = int(np.argmax(counts[grams])), int(counts.max())
            found[n] = (sum(map(len, words[start : start + n])) + n - 1) * most
    return found


class Joined:
    """Words without anything between them, and which of their n-grams could stand there twice.

    An n-gram is a slice of the joined words. Its hash is a polynomial over its characters, from differences of prefix
    sums, modulo 2^64 (Karp and Rabin 1987): equal slices have equal hashes, so a slice with a hash of its own stands
    there once. Only the others are compared as text.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._text = "".join(words)
        self._ends = np.fromiter(accumulate(map(len, words), initial=0), np.int64, len(words) + 1)
        characters = np.frombuffer(self._text.encode("utf-32-le", "surrogatepass"), np.uint32)
        powers = np.full(len(characters) + 1, BASE, np.uint64)
        powers[0] = 1
        sums = np.zeros(len(characters) + 1, np.uint64)
        np.cumsum(characters * np.cumprod(powers[:-1]), out=sums[1:])
        powers[1:] = BASE_INVERSE
        self._sums, self._shifts = sums[self._ends], np.cumprod(powers)[self._ends]

    def repeated_characters(self, n: int) -> int:
        """Characters in n-grams that repeat an earlier one, each word counted once.

        Behind a repeated n-gram the walk goes on n words later, and what it skips does not count as seen.
        """
        hashes = (self._sums[n:] - self._sums[:-n]) * self._shifts[:-n]
        ordered = np.sort(hashes)
        if not (ordered[1:] == ordered[:-1]).any():
            return 0
        order = np.argsort(hashes)
        ordered = hashes[order]
        twice = np.flatnonzero(ordered[1:] == ordered[:-1])
        seen: set[str] = set()
        characters = after = 0
        for index in np.unique(np.concatenate((order[twice], order[twice + 1]))).tolist():
            if index < after:
                continue
            ngram = self._text[self._ends[index] : self._ends[index + n]]
            if ngram in seen:
                characters += len(ngram)
                after = index + n
            else:
                seen.add(ngram)
        return characters
