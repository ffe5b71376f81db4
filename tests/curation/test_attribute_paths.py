"""trafilatura's pruning expressions select the same elements here as in libxml2, so its texts stay the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from trafilatura import extract, xpaths

from llm_dag.curation import attribute_paths
from llm_dag.curation.attribute_paths import LISTS, AttributePath

TAGS = ("div", "p", "section", "span", "list", "item", "a", "header", "b")
ATTRIBUTES = ("class", "id", "style", "role", "data-component", "aria-hidden", "data-lp-replacement-content", "title")
HEADER = ".//header"  # the one expression of another form
THEIRS = [expression.path for name in LISTS for expression in getattr(xpaths, name)]
ODD = [
    './/*[@class="a" or @id]',
    './/*[(self::div)][contains(translate(@class, "AB", "ba"), "ab") or starts-with(translate(@id, "F", "f"), "F")]',
    """.//*[(self::p or self::b)][contains(@class, 'foo"ter') or @style = "" or starts-with(@id, ' ')]""",
]
PAIRS = [(AttributePath(text), etree.XPath(text)) for text in [*THEIRS, *ODD] if text != HEADER]
WORDS = sorted({word for text in THEIRS for word in re.findall(r"[\"']([^\"']{2,})[\"']", text)})
VALUES = st.lists(st.sampled_from([*WORDS, "Footer", "NAV", "sharE", "ab", "ba", "\n", " ", "ü"]), max_size=3)
MARKS = st.dictionaries(st.sampled_from(ATTRIBUTES), VALUES.map("".join), max_size=3)


@st.composite
def trees(draw: st.DrawFn) -> Any:
    """Elements in elements, with the attributes and words that the expressions ask for, and a comment."""
    elements = [etree.Element(draw(st.sampled_from(TAGS)), draw(MARKS))]
    for _ in range(draw(st.integers(0, 8))):
        elements.append(etree.SubElement(draw(st.sampled_from(elements)), draw(st.sampled_from(TAGS)), draw(MARKS)))
    elements[0].append(etree.Comment("class='footer'"))
    return elements[0]


@given(tree=trees())
@settings(max_examples=200, deadline=None)
def test_the_same_elements_are_selected_in_the_same_order(tree: Any) -> None:
    for ours, theirs in PAIRS:
        assert ours(tree) == theirs(tree), ours.path


@pytest.mark.parametrize(
    "text",
    [
        HEADER,
        "(.//*[@id])[1]",
        './/*[@id and @class="x"]',
        ".//*[not(@id)]",
        ".//*[contains(@id, @class)]",
        ".//*[@a][@b]",
        './/*[contains(@id, "")]',
        './/*[contains(translate(@id, "ab", "c"), "c")]',
    ],
)
def test_an_expression_of_another_form_stays_as_it_is(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text) if text == HEADER else ""):
        AttributePath(text)
    stock = etree.XPath(text)
    assert attribute_paths._faster(stock) is stock


def test_texts_are_those_of_trafilatura_as_it_comes() -> None:
    for name in LISTS:
        getattr(xpaths, name)[:] = [etree.XPath(expression.path) for expression in getattr(xpaths, name)]
    sentence = "The library is open on weekdays, and anybody may borrow a book for four weeks at a time."
    blocks = (f"<div class='x{word[1:]}'><p id='{word}'>{sentence} {word}.</p></div>" for word in [*WORDS, *ATTRIBUTES])
    page = f"<html><body><div class='nav-menu'>Home</div><article>{''.join(blocks)}</article></body></html>"
    stock = extract(page, favor_precision=True, include_comments=False)
    attribute_paths.install()
    assert isinstance(xpaths.OVERALL_DISCARD_XPATH[0], AttributePath)
    assert extract(page, favor_precision=True, include_comments=False) == stock
    assert 0 < stock.count(sentence) < len(WORDS)


def test_all_of_trafilaturas_expressions_but_one_have_the_form() -> None:
    attribute_paths.install()
    attribute_paths.install()
    left = [one.path for name in LISTS for one in getattr(xpaths, name) if not isinstance(one, AttributePath)]
    assert left == [HEADER]
