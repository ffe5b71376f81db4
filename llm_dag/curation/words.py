"""English words and sentences, token for token as datatrove's spaCy splitter gives them, several times as fast.

spaCy cuts a text at white space and tokenises each piece by itself, so the tokens of a piece are remembered and most
pieces are never tokenised twice. One thing reaches across white space: afterwards spaCy looks for runs of tokens that
spell a special case (an emoticon, an abbreviation), longest run first, and a run that only *seems* to be one because a
space stands inside it can shadow a real one. Neighbours that could begin such a run are given to spaCy together.

Sentences end as spaCy's `sentencizer` ends them: at the first token after a full stop that is not punctuation. Memory
is bounded: past `REMEMBERED` pieces the splitter starts anew, vocabulary included.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

REMEMBERED = 200_000  # pieces; about 100 MB with spaCy's lexemes
PIECES = re.compile(r"\S+")
PIECES_AND_SPACES = re.compile(r"(\S+)|\s+")
NOTHING: frozenset[str] = frozenset()


class Piece(NamedTuple):
    """The tokens of what stands between two white spaces."""

    words: tuple[str, ...]
    after: frozenset[str]  # tokens which, at the start of the next piece, could go on with a special case


class Breaks(NamedTuple):
    """The sentences of a piece; each value twice: if the sentence before it has not ended, and if it has."""

    begun: tuple[int, int]  # how many sentences begin in the piece
    ended: tuple[bool, bool]  # whether the last one has ended behind it


class Splitter:
    """Splits texts into words and counts their sentences. Not safe to share between threads."""

    def __init__(self) -> None:
        self._start()

    def words(self, text: str) -> list[str]:
        """The words of a text, punctuation marks among them, white space not."""
        pieces = self._pieces(text.split())
        if next(self._crossings(pieces), None) is not None:
            return self._words_across(text, pieces)
        return [word for piece in pieces for word in piece.words]

    def sentences(self, text: str) -> int:
        """How many sentences a text has; at least one."""
        chunks = text.split()
        if next(self._crossings(self._pieces(chunks)), None) is not None:
            return max(1, sum(1 for _ in self._sentencizer(self._tokenizer(text)).sents))
        found, ended = 1, False
        for match in PIECES_AND_SPACES.finditer(text):
            if match[1]:
                breaks = self._breaks_of(match[1])
                found, ended = found + breaks.begun[ended], breaks.ended[ended]
            elif ended and match[0] != " ":  # white space beyond one space is a token, and is no punctuation
                found, ended = found + 1, False
        return found

    def _start(self) -> None:
        import spacy
        from spacy.pipeline import Sentencizer

        tokenizer: Any = spacy.blank("en").tokenizer
        self._tokenizer = tokenizer
        self._sentencizer = Sentencizer()
        self._full_stops = frozenset(Sentencizer.default_punct_chars)
        self._rules = frozenset(tokenizer.rules)
        self._continuations, self._merged = _special_cases(tokenizer)
        self._remembered: dict[str, Piece] = {}
        self._breaks: dict[str, Breaks] = {}

    def _pieces(self, chunks: list[str]) -> list[Piece]:
        if len(self._remembered) + len(self._breaks) > REMEMBERED:
            self._start()
        remembered = self._remembered
        pieces = []
        for chunk in chunks:
            piece = remembered.get(chunk)
            if piece is None:
                piece = remembered[chunk] = self._piece(chunk)
            pieces.append(piece)
        return pieces

    def _piece(self, chunk: str) -> Piece:
        words = (chunk,) if self._is_one_word(chunk) else tuple(token.text for token in self._tokenizer(chunk))
        last = words[-1]
        after = self._continuations.get(last, NOTHING)
        if last in self._merged:  # spelt by a special case: spaCy saw shorter tokens when it looked for runs
            endings = (following for ending, following in self._continuations.items() if last.endswith(ending))
            after = after.union(*endings)
        return Piece(words, after)

    def _is_one_word(self, chunk: str) -> bool:
        """No rule of spaCy's English cuts between ASCII letters, but for its special cases."""
        return chunk.isascii() and chunk.isalpha() and chunk not in self._rules

    def _breaks_of(self, chunk: str) -> Breaks:
        found = self._breaks.get(chunk)
        if found is None and self._is_one_word(chunk):
            found = self._breaks[chunk] = Breaks((0, 1), (False, False))
        elif found is None:
            tokens = list(self._tokenizer(chunk))
            (begun, ended), (begun_after, ended_after) = self._walk(tokens, False), self._walk(tokens, True)
            found = self._breaks[chunk] = Breaks((begun, begun_after), (ended, ended_after))
        return found

    def _walk(self, tokens: list[Any], ended: bool) -> tuple[int, bool]:
        begun = 0
        for token in tokens:
            stop = token.text in self._full_stops
            if ended and not stop and not token.is_punct:
                begun, ended = begun + 1, False
            elif stop:
                ended = True
        return begun, ended

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


def _special_cases(tokenizer: Any) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """Which tokens may follow a token in a special case, and the tokens that special cases give."""
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
    return {left: frozenset(rights) for left, rights in following.items()}, frozenset(merged)
