"""What a page would cost a parser, told from its tags: never much less than the tree that a real parser builds."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from llm_dag.curation import nesting
from llm_dag.curation.nesting import Burden, refusal

TEXT = "a b br button caption center dd desc div dt em font foreignobject form h1 i img li math mi nobr option p rp"
NAMES = [*TEXT.split(), "select", "span", "svg", "table", "td", "th", "title", "tr", "ul"]
tags = st.builds("<{}{}>".format, st.sampled_from(["", "", "/"]), st.sampled_from(NAMES))


def tree(html: str) -> tuple[int, int]:
    """How deep the tree of a real parser is, and how many nodes it has."""
    deepest, nodes, left = 0, 0, [(HTMLTree.parse(html).document, 0)]
    while left:
        node, depth = left.pop()
        deepest, nodes = max(deepest, depth), nodes + 1
        child = node.first_child
        while child is not None:
            left.append((child, depth + 1))
            child = child.next
    return deepest, nodes


@given(st.lists(tags, max_size=120).map("".join))
@example("<rp>" * 200)  # closes another one inside of a ruby element alone
@example("<option><optgroup>" * 100)
@example("<table><tr><td>" * 60)
@example("<b><p>" * 50)
@example("<svg><foreignObject><div>" * 40)
@settings(deadline=None, max_examples=200)
def test_the_tree_is_hardly_deeper_or_larger_than_told(html: str) -> None:
    told = Burden(html)
    deepest, nodes = tree(html)
    assert deepest <= 3 * told.depth + 10
    assert nodes <= 2 * html.count("<") + told.copies + 10


@pytest.mark.parametrize(
    ("html", "depth"),
    [
        ("<div><div></div></div><div></div>", 2),
        ('<div title="a > b <div>"><span></span></div>', 2),
        ("<div title='<div>' id=x><br></div>", 1),
        ('<div a="1"b="<i>"c=\'<i>\'><i></i></div>', 2),  # no blank between them
        ('<div ="<i>"></div>', 1),  # the equals sign begins a name, so the tag ends behind <i
        ("<div a=b\"c><i d=e'f></i></div>", 2),
        ("<!-- <div><div> --><p>x", 1),
        ("<script>'<div><div>'</script><p>x", 1),
        ("<p>1<p>2<div>3<p>4", 2),
        ("<ul><li>1<li>2<li><ul><li>3</ul><li>4</ul>", 4),
        ("<svg><g/><g><path/></g></svg>", 2),
    ],
)
def test_tags_are_read_as_the_standard_reads_them(html: str, depth: int) -> None:
    assert Burden(html).depth == depth


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("<div>" * 3_000, "html_too_deep"),
        ("<rp>" * 3_000, "html_too_deep"),
        (
            f"<p>{''.join(f'<b id={number}>' for number in range(350))}{'<p>' * 2_000}",
            "html_bomb",
        ),  # each p opens all b
        (f"<p {' '.join(f'a{number}=1' for number in range(20_000))}>", "html_bomb"),
        (f"<div>{'<p ' + ' '.join(f'a{number}' for number in range(20_000))}", "html_bomb"),  # and no end
        ("<br>" * (nesting.MOST_TAGS + 1), "html_bomb"),
        ("<p>One.</p>" * 3_000, ""),
        ("<div>" * 100 + "<br>" * 3_000, ""),
    ],
    ids=["deep", "ruby", "copies", "attributes", "an open tag", "tags", "ordinary", "as deep as real pages"],
)
def test_what_would_cost_too_much_is_refused(html: str, reason: str) -> None:
    assert refusal(html) == reason


def test_counting_ends_where_it_is_too_much() -> None:
    assert Burden("<div>" * 100_000).depth == nesting.DEEPEST + 1
