"""One form for every spelling of a URL."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_dag.curation.addresses import address, host_name
from tests.curation.spelling import spellings

LABELS = st.sampled_from(["a", "example", "b-c", "x_1", "bücher", "例え", "faß", "xn--bcher-kva", "1"])
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
SEGMENTS = st.sampled_from(["x", "Y", "a b", "ü", "~me", "(1)", "%2F", "a=b", "", "50%", "*"])
RESTS = st.tuples(st.lists(SEGMENTS, max_size=3).map("/".join), st.sampled_from(["", "?q=ü&x=%26", "?a/../b"]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.example", "http://a.example/"),
        ("https://A.Example./x", "https://a.example/x"),
        ("https://a.example:443/x", "https://a.example:/x"),
        ("https://me:word@a.example/x", "https://a.example/x"),
        ("https://bücher.example/x", "https://XN--BCHER-KVA.example/x"),
        ("https://b%C3%BCcher.example/x", "https://BÜCHER.example/x"),
        ("https://%61.example/x", "https://a.example/x"),
        ("https://a。example/x", "https://ａ.example/x"),  # an ideographic full stop, a wide letter
        ("https://a\u00ad.example/x", "https://a.example/x"),  # a soft hyphen
        ("https://a.example/%7Eme/%e2%82%ac", "https://a.example/~me/€"),
        ("https://a.example/bank_%28river%29", "https://a.example/bank_(river)"),
        ("https://a.example/./y/../x#part", "https://a.example/x?"),
        ("https://a.example/%2e%2E/x", "https://a.example/x"),
        ("https:\\\\a.example\\x", "https:///a.example/x"),
        (" https://a.exa\tmple/x\n", "a.example/x"),
        ("http://[0:0::1]:80/", "http://[::1]"),
        ("https://a.example/50%", "https://a.example/50%25"),
    ],
)
def test_spellings_of_one_address(one: str, other: str) -> None:
    assert address(one) == address(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.example/x", "https://a.example/X"),
        ("https://a.example/x", "https://a.example/x/"),
        ("https://a.example/a%2Fb", "https://a.example/a/b"),
        ("https://a.example/?q=1%262", "https://a.example/?q=1&2"),
        ("https://a.example:8080/", "https://a.example/"),
        ("https://faß.example/", "https://fass.example/"),
        ("https://a.example@b.example/", "https://a.example/"),
        ("https://a.example/%2541", "https://a.example/%41"),  # decoded once
    ],
)
def test_addresses_that_differ(one: str, other: str) -> None:
    assert address(one) != address(other)
    assert address(one)
    assert address(other)


@pytest.mark.parametrize(
    "url",
    ["", "https://", "https:///", "https://./", "dns:a.example", "https://a b/", "https://a.example:99999/", "http://[::1/",
     "http://[x]/", "https://a.example:x/", "https://℀.example/", "https://a%2Fb.example/", "https://a\ufffd.example/"],
)  # fmt: skip
def test_a_url_without_a_host_that_can_be_read_has_no_address(url: str) -> None:
    assert address(url) is None


@given(HOSTS, RESTS, st.integers())
@example("bücher", ("", ""), 3)
def test_every_spelling_has_the_same_address(host: str, rest: tuple[str, str], seed: int) -> None:
    path, query = rest
    found = address(f"https://{host}/{path}{query}")
    assert found is not None
    for url in spellings(host, f"/{path}{query}", random.Random(seed), 10):
        assert address(url) == found, url


@given(st.text(max_size=40))
@example("//a.example/%%341")
@example("//a.example/..")
def test_any_text_is_read_and_the_form_is_final(text: str) -> None:
    found = address(text)
    if found is not None:
        assert address(str(found)) == found
        assert str(found).isascii()
        assert host_name(found.host) == found.host
