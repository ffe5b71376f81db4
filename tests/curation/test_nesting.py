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


class Slowly(Burden):
    """A reader without the short path for tags that only push or pop."""

    def _read(self, html: str) -> None:
        at = html.find("<")
        while at >= 0 and not self.too_much:
            tag = nesting.TAG.match(html, at)
            at = html.find("<", self._tag(tag, html) if tag else self._other(html, at))


pieces = st.one_of(
    tags,
    st.builds('<{} class="x > y" id=z>'.format, st.sampled_from(NAMES)),
    st.builds("<{}/>".format, st.sampled_from(NAMES)),
    st.sampled_from(
        ["<P>", "<!-- <p> -->", "<!--!>", "<!-->", "<script>'<b>'</script>", "<![CDATA[<b>]]>", "text", "</"]
    ),
)


@given(st.lists(pieces, max_size=80).map("".join))
@example("<p><b><p>" + "<div>" * 3)
@example("<p><div><p><span></p></div>")
@example("<svg><p><span/></svg><br>")
@example("<table><tr><td><b></td><td><p></table>")
@settings(deadline=None, max_examples=300)
def test_the_short_path_changes_nothing(html: str) -> None:
    one, other = Burden(html), Slowly(html)
    own = {"_depths": 0, "_steps": 0}
    assert vars(one) | own == vars(other) | own


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
        ("<!--!><div>--><p>", 1),  # a comment that goes on to its end
        ("<!--><div><p>", 2),
        ("<a>1<a>2<a>3", 1),  # each closes the one before it
        ("<div>" * 900 + "</div>" * 900, nesting.DEEPEST + 1),
        ("<p>one<p>two" * 900, 1),
    ],
)
def test_tags_are_read_as_the_standard_reads_them(html: str, depth: int) -> None:
    assert Burden(html).depth == depth


def named(count: int) -> str:
    """So many attributes."""
    return " ".join(f"a{number}" for number in range(count))


REFUSED = {
    "deep": ("<div>" * 3_000, "html_too_deep"),
    "ruby": ("<rp>" * 3_000, "html_too_deep"),
    "hidden behind a comment": ("<!--!><plaintext>-->" + "<div>" * 3_000, "html_too_deep"),
    "copies": (f"<p>{''.join(f'<b id={number}>' for number in range(350))}{'<p>' * 2_000}", "html_bomb"),
    "copies of attributes": (f"<p><a {named(3_000)}>{'<p>x' * 1_900}", "html_bomb"),
    "adopted copies": (f"<b {named(2_000)}>{'<div>' * 300}{'</b>' * 50}", "html_bomb"),
    "links in blocks": ("<p>" + f"<a {named(300)}><div>" * 200, "html_bomb"),
    "attributes": (f"<p {named(20_000)}>", "html_bomb"),
    "attributes of many": (f"<p {named(4_900)}>" * 250, "html_bomb"),
    "an open tag": (f"<div><p {named(20_000)}", "html_bomb"),
    "tags": ("<br>" * (nesting.MOST_TAGS + 1), "html_bomb"),
    "depth times tags": ("<div>" * 390 + "<i></i>" * 30_000, "html_bomb"),
    "searching": ("<span>" * 390 + "</x>" * 30_000, "html_bomb"),
    "ordinary": ("<p>One.</p>" * 3_000, ""),
    "links": ("<p><a href='x'>One</a></p>" * 3_000, ""),
    "as deep as real pages": ("<div>" * 100 + "<br>" * 3_000, ""),
}


@pytest.mark.parametrize(("html", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_would_cost_too_much_is_refused(html: str, reason: str) -> None:
    assert refusal(html) == reason


def test_counting_ends_where_it_is_too_much() -> None:
    assert Burden("<div>" * 100_000).depth == nesting.DEEPEST + 1
