"""Where numbers begin that may be personal data: one scan of a text for all kinds that are made of digits.

Most numbers of ordinary text are years, amounts and chapters. What is left begins with seven digits near each other
(telephones, cards, Social Security numbers), with two numbers between dots (IPv4), or stands behind two letters (IBAN).
The kinds look at these places only, each with its own rules. Cost: linear; a place looks at fewer than 32 characters.
"""

from __future__ import annotations

import re

BEFORE = 48  # characters before a number in which words can name it
GAP = r"[ \u00a0.()/\u2010\u2011\u2013-]"  # what stands between the digits of a telephone number
START = re.compile(
    r"[0-9](?<![0-9][0-9])(?:"  # first a class of characters, so that the engine skips to the next digit quickly
    rf"(?=(?:{GAP}{{0,3}}[0-9]){{6}})"
    r"|(?=[0-9]{0,2}\.[0-9]{1,3}\.[0-9])"
    r"|(?<=[A-Za-z]{2}[0-9])(?=[0-9][ -]?[0-9A-Za-z]{4})"
    r")"
)


def starts(text: str) -> list[int]:
    """The places of the first digits of such numbers, in order."""
    return [match.start() for match in START.finditer(text)]


def is_named(text: str, start: int, words: re.Pattern[str]) -> bool:
    """Whether the words stand before a number; no other number stands between."""
    before = text[max(0, start - BEFORE) : start]
    last = before.rstrip(" \n.,:;()/-")[-1:]
    return (
        bool(last) and not "0" <= last <= "9" and words.search(before) is not None
    )  # most numbers of a table end here
