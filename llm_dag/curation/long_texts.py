"""Texts that would cost a tokenizer more than their length, in parts that do not.

spaCy takes prefixes and suffixes off a piece one by one, and looks at the whole rest each time: a thousand brackets in
a row take 0.1 s, sixteen thousand 25 s. It also holds a whole text as objects, some hundred bytes a word. So a very
long text is cut at white space, and where pieces would cost seconds they are cut anywhere. Texts that people write are
not touched: not one of 1,743 web pages, a line of 7,322 base64 characters among them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

PART = 1 << 18  # characters of a part
SHORT, LONG = 32, 1_000  # characters of a piece
MARKS = 30_000_000  # marks of each longer piece times its length, in sum: 3 s
SQUARES = 3_000_000_000  # squares of their lengths, in sum: 3 s (addresses)
_MARK = re.compile(r"[\W_]")
_BETWEEN_WORDS = re.compile(r"(?<=\w\w)\s+(?=\w\w)")
_SPACE = re.compile(r"\s+")


def parts(text: str, pieces: Sequence[str]) -> list[str]:
    """The parts of a text, given what stands between its white spaces (nothing, if it is longer than PART).

    Empty for a text that need not be cut.
    """
    if len(text) > PART:
        return _cut(text)
    if max(map(len, pieces), default=0) <= SHORT:
        return []
    long = [(len(piece), len(_MARK.findall(piece))) for piece in pieces if len(piece) > SHORT]
    for size in (0, LONG, SHORT):
        worst = [(min(length, size or length), length, marks) for length, marks in long]
        marked = sum(held * marks for held, _, marks in worst)
        if size == SHORT or (marked <= MARKS and sum(held * length for held, length, _ in worst) <= SQUARES):
            break
    return [_spaced(text, size)] if size else []


def _cut(text: str) -> list[str]:
    """Between two words if there is such a place within PART characters, else at any white space, else anywhere."""
    found, start = [], 0
    while start < len(text):
        begin, end = start + PART // 2, start + PART
        place = _BETWEEN_WORDS.search(text, begin, end) or _SPACE.search(text, begin, end)
        stop = place.end() if place and end < len(text) else min(end, len(text))
        found.append(text[start:stop])
        start = stop
    return found


def _spaced(text: str, size: int) -> str:
    """A text whose pieces are cut after every `size` characters."""
    return re.sub(rf"\S{{{size}}}(?=\S)", r"\g<0> ", text)
