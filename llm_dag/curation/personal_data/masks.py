"""Hides pieces of a text from later looks at it, and leaves every other character in its place."""

from __future__ import annotations

from collections.abc import Sequence

FILLER = "ª"  # a letter, so no number goes on behind it; but of no e-mail address


def masked(text: str, found: Sequence[tuple[int, int]], placeholder: str) -> str:
    """The text with fillers over its finds, which are in order and apart.

    A mask begins and ends with a digit where the placeholder does, and else with a letter.
    """
    first, last = (end if end.isdecimal() else FILLER for end in (placeholder[0], placeholder[-1]))
    parts, done = [], 0
    for start, end in found:
        parts += [text[done:start], first, FILLER * (end - start - 2), last]
        done = end
    return "".join([*parts, text[done:]])
