"""Generated texts that reach the rules of the filters: pieces that each of them looks for, in any order."""

from __future__ import annotations

from hypothesis import strategies as st

LINES = (
    "the be to of and that have with a page about cats dogs walks Monday evening",
    "don't can't. it's, U.S. a.m. 10am e.g., vs. :) :-( (: x:) 8) o.O <3 ¯\\_(ツ)_/¯ ( ) : ; - -- -_- ' \"",
    "#tag ## … ... wait... • - * 1.2.3 3,000 $5 100% http://example.org/a?b=c. a@b.co x=1 f(x) [1] [edit] {",
    "naïve café Привет мир 日本語 १२ ﬁ ß İstanbul … 。 ？ ！ “quoted” ‘single’ end. End! End? mid.Word a,b",
)
PHRASES = ("JavaScript", "lorem ipsum", "privacy policy", "[citation needed]", "w" * 1001)
PIECES = tuple(piece for line in LINES for piece in line.split()) + PHRASES
GAPS = (" ", " ", " ", " ", "\n", "\n", "\n\n", "  ", "\t", ". ", ".\n", "\u2028", "\x85", "\xa0", "\r\n")


def texts(most: int = 80) -> st.SearchStrategy[str]:
    """Texts of up to `most` pieces; a few of them repeat a line or a run of words."""
    unit = st.tuples(st.sampled_from(PIECES), st.sampled_from(GAPS)).map("".join)
    run = st.lists(unit, max_size=8).map("".join)
    repeated = st.tuples(run, st.integers(1, 6)).map(lambda pair: pair[0] * pair[1])
    free = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
    return st.lists(unit | repeated | free, max_size=most).map("".join)
