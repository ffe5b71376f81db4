"""US Social Security numbers: three, two and four digits with hyphens; after words that name one, also otherwise.

The Social Security Administration gives out no area 000, 666 and 900 to 999, no group 00 and no serial 0000 ("Social
Security Number Randomization", 2011). There is no check digit, so nine digits alone say nothing: with spaces, or with
nothing between them, they count after `SSN` or `social security` only. Cost: linear, as every quantifier is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llm_dag.curation.personal_data.numbers import is_named

PLACEHOLDER = "000-00-0000"  # no area, no group, no serial: given to nobody
SSN = re.compile(  # behind +81 and a space it is a telephone number
    r"(?<![\w./+#@-])(?<![0-9],)(?<!\+[0-9] )(?<!\+[0-9]{2} )(?<!\+[0-9]{3} )"
    r"(?!000|666)[0-8][0-9]{2}([- ]?)(?!00)[0-9]{2}\1(?!0000)[0-9]{4}"
    r"(?!\w)(?![-.,/]?[0-9])"
)
SAMPLES = frozenset(("078051120", "219099999"))  # printed in a wallet and in a leaflet, and void since
NAMED = re.compile(r"(?:\bssns?\b|\bsocial[ -]security\b|\bsoc\.? sec\b)[^0-9]{0,16}\Z", re.IGNORECASE)


def find(text: str, starts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Start and end of each Social Security number of a text, in order; `starts` are those of its numbers."""
    for match in filter(None, (SSN.match(text, start) for start in starts)):
        if match[1] != "-" and not is_named(text, match.start(), NAMED):
            continue
        if match[0].replace("-", "").replace(" ", "") not in SAMPLES:
            yield match.span()
