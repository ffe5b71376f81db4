"""trafilatura's pruning expressions, answered in a tenth of the time.

Half of trafilatura's time goes into XPath expressions of one form, evaluated for every element of a page:

    .//*[(self::div or self::p)][contains(@class, "menu") or starts-with(translate(@id, "N", "n"), "nav") or @style="x"]

Such an expression asks of an element's tag and of single attributes only. It is read here once into one regular
expression for each attribute; values that were met before are remembered, because sites use few. The elements are the
same in the same order, so trafilatura's text is the same. An expression of another form stays as it is.

    install()   puts them in the place of trafilatura's own, in this process
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

LISTS = (
    "OVERALL_DISCARD_XPATH",
    "PAYWALL_DISCARD_XPATH",
    "REMOVE_COMMENTS_XPATH",
    "TEASER_DISCARD_XPATH",
    "PRECISION_DISCARD_XPATH",
    "DISCARD_IMAGE_ELEMENTS",
)
REMEMBERED = 1 << 14  # values of each attribute
_LITERAL = r"""(?:"([^"]*)"|'([^']*)')"""
_ATTRIBUTE = r"@([\w-]+)"
_OF = rf"(?:{_ATTRIBUTE}|translate\(\s*{_ATTRIBUTE}\s*,\s*{_LITERAL}\s*,\s*{_LITERAL}\s*\))"
_TERM = re.compile(
    rf"\s*(?:(contains|starts-with)\(\s*{_OF}\s*,\s*{_LITERAL}\s*\)|{_ATTRIBUTE}\s*=\s*{_LITERAL}|{_ATTRIBUTE})\s*"
)
_TAG = r"self::[a-z][\w-]*"
_WHOLE = re.compile(rf"\s*\.//\*\s*(?:\[\s*\(\s*({_TAG}(?:\s+or\s+{_TAG})*)\s*\)\s*\])?\s*\[(.*)\]\s*", re.DOTALL)


class AttributePath:
    """The descendants of an element that an expression selects, in document order."""

    def __init__(self, expression: str) -> None:
        """Raises ValueError for an expression that is not of this form."""
        self.path = expression
        whole = _WHOLE.fullmatch(expression)
        if whole is None:
            raise ValueError(f"not one of `.//*[tags][attributes]`: {expression}")
        self._tags = tuple(re.findall(r"self::([\w-]+)", whole[1])) if whole[1] else ("*",)
        found: defaultdict[str, list[str]] = defaultdict(list)
        for attribute, pattern in _terms(whole[2]):
            found[attribute].append(pattern)
        self._tests = [(attribute, _remembering("|".join(patterns))) for attribute, patterns in found.items()]

    def __call__(self, tree: Any) -> list[Any]:
        """The elements; `tree` itself is not one of them."""
        tests = self._tests
        found = []
        for element in tree.iter(*self._tags):
            get = element.get
            for attribute, matches in tests:
                value = get(attribute)
                if value is not None and matches(value):
                    if element is not tree:
                        found.append(element)
                    break
        return found


def _remembering(pattern: str) -> Callable[[str], bool]:
    search = re.compile(pattern, re.DOTALL).search
    return functools.lru_cache(REMEMBERED)(lambda value: search(value) is not None)


def _terms(text: str) -> Iterator[tuple[str, str]]:
    """(attribute, regular expression that its value has to match) of each term of a disjunction."""
    position = 0
    while True:
        term = _TERM.match(text, position)
        if term is None:
            raise ValueError(f"no term at {text[position : position + 40]!r}")
        function, plain, translated, *literals, compared, one, other, alone = term.groups()
        if alone is not None:
            yield alone, ""
        elif compared is not None:
            yield compared, rf"\A{re.escape(one or other or '')}\Z"
        else:
            before, after, wanted = (literals[at] or literals[at + 1] or "" for at in (0, 2, 4))
            if not wanted or len(after) < len(before):  # matches without the attribute; takes characters out
                raise ValueError(f"not looked for here: {term[0]}")
            pattern = "".join(_sources(sign, before, after) for sign in wanted)
            yield plain or translated, rf"\A{pattern}" if function == "starts-with" else pattern
        position = term.end()
        if position == len(text):
            return
        if not re.compile(r"or\b").match(text, position):
            raise ValueError(f"no `or` at {text[position : position + 40]!r}")
        position += len("or")


def _sources(sign: str, before: str, after: str) -> str:
    """The characters that `translate` turns into a sign; the first of equal ones in `before` counts."""
    table: dict[str, str] = {}
    for index, source in enumerate(before):
        table.setdefault(source, after[index])
    sources = [source for source, target in table.items() if target == sign]
    sources += [] if sign in table else [sign]
    return f"[{''.join(map(re.escape, sources))}]" if sources else r"(?!)"


def install() -> None:
    """Answer trafilatura's pruning expressions here, as far as they have this form; twice is as once."""
    from trafilatura import xpaths

    for name in LISTS:
        expressions = getattr(xpaths, name)
        expressions[:] = [_faster(expression) for expression in expressions]


def _faster(expression: Any) -> Any:
    try:
        return expression if isinstance(expression, AttributePath) else AttributePath(expression.path)
    except ValueError:
        return expression
