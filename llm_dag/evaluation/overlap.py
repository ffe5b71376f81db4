"""How much of a reference answer's words a generated answer has.

F1 over words as multisets (Rajpurkar et al. 2016, SQuAD): precision is the share of the answer's words that the
reference has, recall the share of the reference's words that the answer has. Words are runs of letters, digits and
underscores, lower-cased, so `os.path.join(a, b)` is five of them and punctuation decides nothing.
"""

from __future__ import annotations

import re
from collections import Counter

WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words of a text, in order."""
    return WORD.findall(text.lower())


def overlap(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall, 0 to 1; 1 where neither has a word."""
    said, wanted = Counter(words(answer)), Counter(words(reference))
    if not said and not wanted:
        return 1.0
    shared = (said & wanted).total()
    return 2 * shared / (said.total() + wanted.total())
