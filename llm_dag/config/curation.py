"""The eight curation steps: what each asks of a page. Values are FineWeb's unless conf/ says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from omegaconf import MISSING

from llm_dag.config.curation_pages import Extraction, Takedowns, Url
from llm_dag.config.curation_quality import Quality
from llm_dag.config.fields import Problem, as_before, at_least, one_of, path, paths, within


@dataclass
class Language:
    """fastText language identification."""

    model: str = path()  # a fastText model with labels __label__<code>
    languages: list[str] = field(default_factory=list)  # codes that are kept, as the model writes them (en, not eng)
    threshold: float = MISSING  # a page is kept if its score is above this
    characters: int = MISSING  # how much of a text is looked at; 0: all of it

    def problems(self) -> Iterator[Problem]:
        yield from at_least("languages", len(self.languages), 1)
        yield from within("threshold", self.threshold, 0.0, 1.0)
        yield from at_least("characters", self.characters, 0)


@dataclass
class Gopher:
    """Gopher's repetition and quality rules (Rae et al. 2021, section A1.1). Fractions of characters or of lines."""

    dup_para_frac: float = MISSING  # most paragraphs that repeat an earlier one
    dup_para_char_frac: float = MISSING  # most characters in them
    dup_line_frac: float = MISSING  # most lines that repeat an earlier one
    dup_line_char_frac: float = MISSING  # most characters in them
    top_2_gram: float = MISSING  # most characters in the most frequent 2-gram
    top_3_gram: float = MISSING  # … 3-gram
    top_4_gram: float = MISSING  # … 4-gram
    duplicated_5_n_grams: float = MISSING  # most characters in 5-grams that repeat an earlier one
    duplicated_6_n_grams: float = MISSING  # … 6-grams
    duplicated_7_n_grams: float = MISSING  # … 7-grams
    duplicated_8_n_grams: float = MISSING  # … 8-grams
    duplicated_9_n_grams: float = MISSING  # … 9-grams
    duplicated_10_n_grams: float = MISSING  # … 10-grams
    min_words: int = MISSING  # fewest words that are not pure punctuation
    max_words: int = MISSING  # most of them
    min_mean_word_length: float = MISSING  # in characters
    max_mean_word_length: float = MISSING  # in characters
    max_symbol_ratio: float = MISSING  # most "#", or most ellipses, for each word
    max_bullet_lines: float = MISSING  # largest fraction of lines that start with a bullet
    max_ellipsis_lines: float = MISSING  # largest fraction of lines that end with an ellipsis
    min_alpha_words: float = MISSING  # smallest fraction of words with a letter
    min_stop_words: int = MISSING  # fewest different ones of: the be to of and that have with

    def problems(self) -> Iterator[Problem]:
        for key, value in vars(self).items():
            yield from at_least(key, value, 0)
        yield from at_least("max_words", self.max_words, self.min_words)
        yield from at_least("max_mean_word_length", self.max_mean_word_length, self.min_mean_word_length)


@dataclass
class Signatures:
    """MinHash signatures over word n-grams."""

    ngram: int = MISSING  # words of a shingle
    bands: int = MISSING  # pages that agree in one band are candidates
    rows: int = MISSING  # hashes of a band
    seed: int = MISSING  # chooses the hash functions

    def problems(self) -> Iterator[Problem]:
        yield from at_least("ngram", self.ngram, 1)
        yield from within("bands", self.bands, 1, 256)
        yield from within("rows", self.rows, 1, 64)


@dataclass
class Minhash:
    """Near-duplicate removal, inside one dump or also against earlier ones."""

    signatures: Signatures = field(default_factory=Signatures)  # of the step before
    threshold: float = MISSING  # a page is removed if its true Jaccard similarity with a kept page is this or more
    scope: str = MISSING  # dump: pages of one dump are compared; all: with those that earlier dumps kept, too
    against: list[str] = field(default_factory=list)  # scope all: the dumps, the earliest first

    def problems(self) -> Iterator[Problem]:
        yield from within("threshold", self.threshold, 0.01, 1.0)
        yield from one_of("scope", self.scope, ("dump", "all"))
        if self.scope == "all" and not self.against:
            yield Problem("against", self.against, "one dump or more, because scope is all")
        if self.scope == "dump" and self.against:
            yield Problem("against", self.against, "no dump, because scope is dump; scope=all compares with dumps")
        if len(set(self.against)) < len(self.against):
            yield Problem("against", self.against, "each dump once")

    def of_dump(self, dump: str) -> Minhash:
        """What is asked of one dump: it is compared with those of the list that stand before it, itself left out."""
        before = self.against[: self.against.index(dump)] if dump in self.against else list(self.against)
        return replace(self, scope=self.scope if before else "dump", against=before)


@dataclass
class C4:
    """C4's line and page rules (Raffel et al. 2020, section 2.2), terminal punctuation left out as FineWeb does."""

    min_sentences: int = MISSING  # a page with fewer, counted in the lines that stay, is dropped
    min_words_per_line: int = MISSING  # a line with fewer is cut
    max_word_length: int = MISSING  # a line with a longer word is cut
    cut_citations: bool = MISSING  # cut [1], [edit], [citation needed]
    cut_javascript: bool = MISSING  # cut lines that mention javascript
    cut_policy: bool = MISSING  # cut lines about cookies, privacy and terms of use
    drop_lorem_ipsum: bool = MISSING  # drop pages with lorem ipsum
    drop_curly_bracket: bool = MISSING  # drop pages with {

    def problems(self) -> Iterator[Problem]:
        yield from at_least("min_sentences", self.min_sentences, 0)
        yield from at_least("min_words_per_line", self.min_words_per_line, 0)
        yield from at_least("max_word_length", self.max_word_length, 1)


@dataclass
class Custom:
    """FineWeb's own rules (Penedo et al. 2024, section 3.6), benchmark text, and filters of the user."""

    line_punct_ratio: float = MISSING  # smallest fraction of lines that end with punctuation
    short_line_ratio: float = MISSING  # largest fraction of short lines
    short_line_length: int = MISSING  # a line of at most so many characters is short
    char_dup_ratio: float = MISSING  # largest fraction of characters in lines that repeat an earlier one
    list_ratio: float = MISSING  # most line breaks for each word
    overlap_ngram: int = MISSING  # so many words in a row that a page shares with a benchmark item are an overlap
    overlap_share: float = as_before(0.0)  # a page whose overlaps have this part of an item's words is dropped
    filters: list[Any] = field(default_factory=list)  # further filters: {_target_: datatrove…, argument: value}
    modules: list[str] = paths()  # Python files whose classes `filters` may name as <file name>.<class>
    files: list[str] = paths(new=True)  # files that arguments of `filters` name
    min_quality: float = as_before(0.0)  # a page whose quality score is under this is dropped; needs quality.labels

    def problems(self) -> Iterator[Problem]:
        yield from within("min_quality", self.min_quality, 0.0, 1.0)
        for key in ("line_punct_ratio", "short_line_ratio", "short_line_length", "char_dup_ratio", "list_ratio"):
            yield from at_least(key, getattr(self, key), 0)
        yield from at_least("overlap_ngram", self.overlap_ngram, 1)
        yield from within("overlap_share", self.overlap_share, 0.0, 1.0)
        for index, block in enumerate(self.filters):
            if not isinstance(block, dict) or not isinstance(block.get("_target_"), str):
                yield Problem(f"filters[{index}]", block, "a mapping with a key _target_: {_target_: datatrove…, …}")


@dataclass
class Pii:
    """Personal data that is replaced, and which pages are held out of all training."""

    emails: bool = MISSING  # replace e-mail addresses
    ipv4: bool = MISSING  # replace public IPv4 addresses
    ipv6: bool = MISSING  # replace public IPv6 addresses
    phones: bool = MISSING  # replace telephone numbers
    credit_cards: bool = MISSING  # replace numbers of payment cards
    ibans: bool = MISSING  # replace bank accounts
    ssns: bool = MISSING  # replace US Social Security numbers
    heldout_fraction: float = MISSING  # part of the duplicate clusters that nothing is trained on
    heldout_seed: int = MISSING  # chooses them

    def problems(self) -> Iterator[Problem]:
        yield from within("heldout_fraction", self.heldout_fraction, 0.001, 0.5)


@dataclass
class Curation:
    """The eight steps, in their order."""

    takedowns: Takedowns = field(default_factory=Takedowns)
    url: Url = field(default_factory=Url)
    extraction: Extraction = field(default_factory=Extraction)
    language: Language = field(default_factory=Language)
    gopher: Gopher = field(default_factory=Gopher)
    minhash: Minhash = field(default_factory=Minhash)
    c4: C4 = field(default_factory=C4)
    quality: Quality = field(default_factory=Quality)
    custom: Custom = field(default_factory=Custom)
    pii: Pii = field(default_factory=Pii)

    def problems(self) -> Iterator[Problem]:
        if self.custom.min_quality > 0 and not self.quality.labels:
            yield Problem(
                "custom.min_quality", self.custom.min_quality, "0 while curation.quality.labels names no file"
            )
