"""Payment card numbers (ISO/IEC 7812): the prefix and length of an issuer, and the check digit of Luhn.

Written without gaps, or with one space or hyphen between the groups that cards print. After a word that names a card,
any 12 to 19 digits with the right check digit are one. Without such a word the lengths that issuers hardly use (13, 17,
18) are mostly those of bar codes and ids of posts, one in ten of which passes Luhn's check: they stay. Cost: linear; a
place looks at fewer than 64 characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llm_dag.curation.personal_data.numbers import is_named

PLACEHOLDER = "0000 0000 0000 0000"  # ISO/IEC 7812: a number that begins with 0 is no payment card's
CARD = re.compile(
    r"(?<![\w./=#%&$€£+-])(?<![0-9],)[1-9](?:[0-9]{11,18}|[0-9]{3}([ -])(?:"
    r"[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,3})?"  # 4 4 4 4, and 4 4 4 4 3
    r"|[0-9]{6}\1[0-9]{4,5}"  # 4 6 5 and 4 6 4
    r"|[0-9]{3}\1[0-9]{3}\1[0-9]{3}"  # 4 3 3 3
    r"))(?!\w)(?![-.,/]?[0-9])"
)
GOES_ON = re.compile(r" (?!(?:0?[1-9]|1[0-2])/)[0-9]")  # a row of a table; but 12/27 is a date of expiry
# Prefixes and lengths of the networks: https://en.wikipedia.org/wiki/Payment_card_number
ISSUERS: tuple[tuple[re.Pattern[str], tuple[int, ...]], ...] = (
    (re.compile(r"4"), (16, 19)),  # Visa
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),  # Mastercard
    (re.compile(r"3[47]"), (15,)),  # American Express
    (re.compile(r"6011|64[4-9]|65|62"), (16, 19)),  # Discover, UnionPay
    (re.compile(r"352[89]|35[3-8]"), (16, 19)),  # JCB
    (re.compile(r"30[0-5]|3095|3[689]"), (14, 16, 19)),  # Diners Club
    (re.compile(r"220[0-4]"), (16, 19)),  # Mir
    (re.compile(r"50(?:18|20|38)|5893|6304|6759|676[1-3]"), (16, 19)),  # Maestro
)
NAMED = re.compile(
    r"\b(?:cards?|credit|debit|visa|master ?card|amex|american express|discover|diners|jcb|maestro|cc)\b"
    r"[^0-9]{0,16}\Z",
    re.IGNORECASE,
)


def find(text: str, starts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Start and end of each card number of a text, in order; `starts` are those of its numbers."""
    for match in filter(None, (CARD.match(text, start) for start in starts)):
        start, end = match.span()
        if match[1] == " " and (
            GOES_ON.match(text, end) or (text[start - 1 : start] == " " and _digit(text, start - 2))
        ):
            continue
        digits = match[0].replace(" ", "").replace("-", "")
        if luhn(digits) and (_is_issued(digits) or is_named(text, start, NAMED)):
            yield start, end


def _is_issued(digits: str) -> bool:
    return any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in ISSUERS)


def _digit(text: str, at: int) -> bool:
    return at >= 0 and "0" <= text[at] <= "9"


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(doubled)) % 10 == 0
