"""English words and sentences, token for token as datatrove's spaCy splitter gives them, several times as fast.

spaCy cuts a text at white space and tokenises each piece by itself, so the tokens of a piece are remembered and most
pieces are never tokenised twice. A new piece that is ASCII letters with common punctuation around them is cut here, by
spaCy's own loop over prefixes and suffixes, in a tenth of the time; spaCy gets the others. One thing reaches across
white space: afterwards spaCy looks for runs of tokens that spell a special case (an emoticon, an abbreviation), longest
run first, and a run that only *seems* to be one because a space stands inside it can shadow a real one. Neighbours that
could begin such a run are given to spaCy together.

Sentences end as spaCy's `sentencizer` ends them: at the first token after a full stop that is not punctuation. Memory
is bounded: past `REMEMBERED` pieces the splitter starts anew, vocabulary included. Texts that cost more than their
length are split in parts (`long_texts`), each of which counts as a sentence at least.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from llm_dag.curation import long_texts

REMEMBERED = 200_000  # pieces; about 100 MB with spaCy's lexemes
PIECES = re.compile(r"\S+")
PIECES_AND_SPACES = re.compile(r"(\S+)|\s+")
NOTHING: frozenset[str] = frozenset()
PREFIXES = frozenset("\"'([“‘")
SUFFIXES = frozenset(",:;!?)]\"'”’")
AFFIXED = re.compile(r"[\"'(\[“‘]?[A-Za-z]+(?:['’][sS])?[,:;!?)\]\"'”’]{0,3}\.?[)\]\"'”’]?")
FULL_STOP_AFTER = frozenset("abcdefghijklmnopqrstuvwxyz)]\"'”’")


class Piece(NamedTuple):
    """The tokens of what stands between two white spaces."""

    words: tuple[str, ...]
    after: frozenset[str]  # tokens which, at the start of the next piece, could go on with a special case


_WORDS, _AFTER = itemgetter(0), itemgetter(1)


class Breaks(NamedTuple):
    """The sentences of a piece; each value twice: if the sentence before it has not ended, and if it has."""

    begun: tuple[int, int]  # how many sentences begin in the piece
    ended: tuple[bool, bool]  # whether the last one has ended behind it


_held = threading.local()


class Splitter:
    """Splits texts into words and counts their sentences. Not safe to share between threads."""

    def __init__(self) -> None:
        self._start()

    @classmethod
    def here(cls) -> Splitter:
        """This thread's splitter: steps that follow each other in a process share what it remembers."""
        if not hasattr(_held, "splitter"):
            _held.splitter = cls()
        found: Splitter = _held.splitter
        return found

    def words(self, text: str) -> list[str]:
        """The words of a text, punctuation marks among them, white space not."""
        chunks = text.split() if len(text) <= long_texts.PART else []
        if parts := long_texts.parts(text, chunks):
            return [word for part in parts for word in self.words(part)]
        pieces = self._pieces(chunks)
        if self._crosses(pieces):
            return self._words_across(text, pieces)
        return list(chain.from_iterable(map(_WORDS, pieces)))

    def sentences(self, text: str) -> int:
        """How many sentences a text has; at least one."""
        chunks = text.split() if len(text) <= long_texts.PART else []
        if parts := long_texts.parts(text, chunks):
            return sum(map(self.sentences, parts))
        pieces = self._pieces(chunks)
        if self._crosses(pieces):
            return max(1, sum(1 for _ in self._sentencizer(self._tokenizer(text)).sents))
        found, ended = 1, False
        if " ".join(chunks) == text:  # no white space that is a token
            for chunk, piece in zip(chunks, pieces, strict=True):
                breaks = self._breaks.get(chunk) or self._breaks_of(chunk, piece)
                found, ended = found + breaks.begun[ended], breaks.ended[ended]
            return found
        following = iter(pieces)
        for match in PIECES_AND_SPACES.finditer(text):
            if match[1]:
                breaks = self._breaks_of(match[1], next(following))
                found, ended = found + breaks.begun[ended], breaks.ended[ended]
            elif ended and match[0] != " ":  # white space beyond one space is a token, and is no punctuation
                found, ended = found + 1, False
        return found

    def _start(self) -> None:
        with _without_torch():
            import spacy
            from spacy.lang.lex_attrs import is_punct
            from spacy.pipeline import Sentencizer

        tokenizer: Any = spacy.blank("en").tokenizer
        self._tokenizer = tokenizer
        self._sentencizer = Sentencizer()
        self._is_punctuation = is_punct
        self._full_stops = frozenset(Sentencizer.default_punct_chars)
        self._rules = frozenset(tokenizer.rules)
        self._continuations, self._merged = _special_cases(tokenizer)
        self._remembered: dict[str, Piece] = {}
        self._breaks: dict[str, Breaks] = {}

    def _pieces(self, chunks: list[str]) -> list[Piece]:
        if len(self._remembered) + len(self._breaks) > REMEMBERED:
            self._start()
        remembered = self._remembered
        for chunk in chunks:
            if chunk not in remembered:
                remembered[chunk] = self._piece(chunk)
        return [remembered[chunk] for chunk in chunks]

    def _piece(self, chunk: str) -> Piece:
        words = self._letters(chunk) or tuple(token.text for token in self._tokenizer(chunk))
        return Piece(words, self._merged.get(words[-1]) or self._continuations.get(words[-1], NOTHING))

    def _letters(self, chunk: str) -> tuple[str, ...]:
        """The tokens of ASCII letters with punctuation around them, as spaCy's `_split_affixes` finds them.

        No rule of spaCy's English cuts between ASCII letters, and each of these prefixes and suffixes is one token (a
        full stop only behind a small letter or a closing mark). Empty where a special case has a part in it.
        """
        if chunk in self._rules:
            return ()
        if chunk.isascii() and chunk.isalpha():
            return (chunk,)
        if not AFFIXED.fullmatch(chunk):
            return ()
        rest, before, after = chunk, [], []
        while not rest.isalpha():
            prefix = rest[0] if rest[0] in PREFIXES else ""
            cut = _suffix(rest[len(prefix) :])
            seen = (rest[len(prefix) :], rest[: len(rest) - cut], rest[len(prefix) : len(rest) - cut])
            if not (prefix or cut) or not self._rules.isdisjoint(seen):
                return ()
            before += [prefix] if prefix else []
            after += [rest[len(rest) - cut :]] if cut else []
            rest = seen[2]
        words = (*before, rest, *reversed(after))
        shaped = any(right in self._continuations.get(left, NOTHING) for left, right in pairwise(words))
        return () if shaped else words

    def _breaks_of(self, chunk: str, piece: Piece) -> Breaks:
        found = self._breaks.get(chunk)
        if found is None:
            (begun, ended), (begun_after, ended_after) = self._walk(piece.words, False), self._walk(piece.words, True)
            found = self._breaks[chunk] = Breaks((begun, begun_after), (ended, ended_after))
        return found

    def _walk(self, words: Iterable[str], ended: bool) -> tuple[int, bool]:
        begun = 0
        for word in words:
            stop = word in self._full_stops
            if ended and not stop and not self._is_punctuation(word):
                begun, ended = begun + 1, False
            elif stop:
                ended = True
        return begun, ended

    def _crosses(self, pieces: list[Piece]) -> bool:
        return any(map(_AFTER, pieces)) and next(self._crossings(pieces), None) is not None

    def _crossings(self, pieces: list[Piece]) -> Iterator[int]:
        """Indices of pieces which, with the piece before, could hold a special case that the white space cuts."""
        after = NOTHING
        for index, piece in enumerate(pieces):
            if after:
                first = piece.words[0]
                if first in after or (first in self._merged and any(first.startswith(begin) for begin in after)):
                    yield index
            after = piece.after

    def _words_across(self, text: str, pieces: list[Piece]) -> list[str]:
        joined = set(self._crossings(pieces))
        spans = [match.span() for match in PIECES.finditer(text)]
        words: list[str] = []
        index = 0
        while index < len(pieces):
            last = index
            while last + 1 in joined:
                last += 1
            if last == index:
                words.extend(pieces[index].words)
            else:
                run = self._tokenizer(text[spans[index][0] : spans[last][1]])
                words.extend(word for token in run if (word := token.text.strip()))
            index = last + 1
        return words


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """Imports in the block find no torch, unless it is loaded already.

    spaCy's thinc loads it where it is installed: 180 MB and 0.8 s in each worker, for nothing that a tokenizer does.
    """
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # what the import system takes for a missing module
    try:
        yield
    finally:
        del sys.modules["torch"]


def _suffix(text: str) -> int:
    """How many characters spaCy cuts off the end of letters with punctuation behind them."""
    last, before = text[-1], text[-2:-1]
    if last in "sS" and before in ("'", "’"):
        return 2
    return int(before in FULL_STOP_AFTER if last == "." else last in SUFFIXES)


def _special_cases(tokenizer: Any) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Which tokens may follow a token in a special case, and the same for the tokens that special cases give.

    Behind a token that a special case spelt, spaCy saw shorter tokens when it looked for runs: its endings count.
    """
    from spacy.tokenizer import Tokenizer

    plain = Tokenizer(
        tokenizer.vocab,
        prefix_search=tokenizer.prefix_search,
        suffix_search=tokenizer.suffix_search,
        infix_finditer=tokenizer.infix_finditer,
        token_match=tokenizer.token_match,
        url_match=tokenizer.url_match,
    )
    following: defaultdict[str, set[str]] = defaultdict(set)
    merged: set[str] = set()
    for special in tokenizer.rules:
        merged.update(token.text for token in tokenizer(special))
        run = [token.text for token in plain(special)]
        for left, right in pairwise(run):
            following[left].add(right)
    behind = {
        word: {right for left in following if word.endswith(left) for right in following[left]} for word in merged
    }
    continuations = {left: frozenset(rights) for left, rights in following.items()}
    return continuations, {word: frozenset(rights) for word, rights in behind.items()}
