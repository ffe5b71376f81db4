"""Gopher's repetition and quality rules (Rae et al. 2021, section A1.1), measured first and decided after.

Every score of every page is recorded, also behind the rule that drops it, so other thresholds are replayed from the
ledger: `decide(scores, config)` reads nothing else. Definitions, order of the rules and names of the reasons are
datatrove's (`GopherRepetitionFilter`, then `GopherQualityFilter`); decisions are equal, page by page.

Cost: linear in the text. Words are split once; an n-gram is a slice of the joined words, and the walk over repeated
n-grams is only taken where a set shows that there are some.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from operator import itemgetter

import pyarrow as pa
from datatrove.utils.text import PUNCTUATION_SET

from llm_dag import ledger
from llm_dag.config.curation import Gopher
from llm_dag.curation.words import Splitter
from llm_dag.store.work import Shard, Work

TOP_N_GRAMS = (2, 3, 4)
DUPLICATED_N_GRAMS = (5, 6, 7, 8, 9, 10)
STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
PARAGRAPHS = re.compile(r"\n{2,}")
LINES = re.compile(r"\n+")
BULLETS = ("•", "-")
ELLIPSES = ("...", "…")

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
    work.map_shards(
        partial(judge, splitter=Splitter()), reads={"extracted_text": "text", "language_filtered": "verdicts"}
    )


def judge(shard: Shard, splitter: Splitter) -> dict[str, int]:
    """Write the shard's verdicts."""
    verdicts = ledger.VerdictWriter(SCORES)
    for document in ledger.documents(shard.read("extracted_text"), shard.read("language_filtered")):
        scores = measure(document.text, splitter.words(document.text))
        verdicts.add(document.doc_id, document.row, reason=decide(scores, shard.config), **scores)
    return verdicts.write(shard.write("verdicts"))


def decide(scores: Mapping[str, float], config: Gopher) -> str:
    """The reason to drop a page, from its scores alone; empty: keep it."""
    if not scores["characters"]:
        return "empty"
    for name in REPETITION:
        if scores[name] > getattr(config, name):
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
    spaced, tight = NGrams(words, " "), NGrams(words, "")
    return {
        "dup_para_frac": paragraph_count / len(paragraphs),
        "dup_para_char_frac": paragraph_characters / length,
        "dup_line_frac": line_count / len(lines),
        "dup_line_char_frac": line_characters / length,
        **{f"top_{n}_gram": top_characters(spaced.of(n)) / length for n in TOP_N_GRAMS},
        **{f"duplicated_{n}_n_grams": repeated_characters(tight.of(n), n) / length for n in DUPLICATED_N_GRAMS},
    }


def quality(text: str, words: Sequence[str]) -> dict[str, float]:
    """Word counts, word shapes and line shapes."""
    counts = Counter(words)
    proper = {word: count for word, count in counts.items() if not PUNCTUATION_SET.issuperset(word)}
    proper_words = sum(proper.values())
    all_words = max(1, len(words))
    lines = text.splitlines()
    line_count = max(1, len(lines))
    return {
        "words": proper_words,
        "mean_word_length": sum(len(word) * count for word, count in proper.items()) / max(1, proper_words),
        "hash_ratio": text.count("#") / all_words,
        "ellipsis_ratio": sum(text.count(mark) for mark in ELLIPSES) / all_words,
        "bullet_lines": sum(line.lstrip().startswith(BULLETS) for line in lines) / line_count,
        "ellipsis_lines": sum(line.rstrip().endswith(ELLIPSES) for line in lines) / line_count,
        "alpha_words": sum(count for word, count in counts.items() if any(map(str.isalpha, word))) / all_words,
        "stop_words": len(STOP_WORDS & counts.keys()),
    }


def repeated(parts: Sequence[str]) -> tuple[int, int]:
    """How many parts repeat an earlier one, and how many characters they have."""
    distinct = set(parts)
    return len(parts) - len(distinct), sum(map(len, parts)) - sum(map(len, distinct))


class NGrams:
    """The n-grams of words as slices of one joined string."""

    def __init__(self, words: Sequence[str], separator: str) -> None:
        self._joined = separator.join(words)
        self._ends = list(accumulate((len(word) + len(separator) for word in words), initial=0))
        self._gap = len(separator)

    def of(self, n: int) -> list[str]:
        """All n-grams, in the order of the text; none if there are fewer than n words."""
        joined, gap = self._joined, self._gap
        return [joined[start : end - gap] for start, end in zip(self._ends, self._ends[n:], strict=False)]


def top_characters(ngrams: Sequence[str]) -> int:
    """Characters in all occurrences of the most frequent n-gram; of equally frequent ones, the first."""
    if not ngrams:
        return 0
    ngram, count = max(Counter(ngrams).items(), key=itemgetter(1))
    return len(ngram) * count


def repeated_characters(ngrams: Sequence[str], n: int) -> int:
    """Characters in n-grams that repeat an earlier one, each word counted once.

    Behind a repeated n-gram the walk goes on n words later, and what it skips does not count as seen.
    """
    if len(set(ngrams)) == len(ngrams):
        return 0
    seen: set[str] = set()
    characters = index = 0
    while index < len(ngrams):
        ngram = ngrams[index]
        if ngram in seen:
            characters += len(ngram)
            index += n
        else:
            seen.add(ngram)
            index += 1
    return characters
