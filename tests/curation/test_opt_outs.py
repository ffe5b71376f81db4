"""Opt-outs of pages: who says what to whom, in headers and in meta elements, and what becomes of the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.curation import warc
from llm_dag.curation.opt_outs import OptOuts

from .crawling import PROSE, build, from_files, numbered, rows, write_warc

OURS = OptOuts(["noai", "noimageai"], ["llm_dag", "CCBot"])


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ("noai", "noai"),
        ("NoIndex, NoAI", "noai"),
        ("noindex,noimageai", "noimageai"),
        ("noindex noai", "noai"),
        ("noindex; noai", "noai"),
        ("noindex", ""),
        ("", ""),
        ("noaim, anoai, no-ai", ""),
        ("llm_dag: noai", "noai"),
        ("LLM_DAG : noindex, noai", "noai"),
        ("ccbot: noai", "noai"),
        ("*: noai", "noai"),
        ("otherbot: noai", ""),
        ("otherbot: noindex, noai", ""),  # what follows the name is said to that robot
        ("otherbot: noindex, ccbot: noai", "noai"),
        ("otherbot: noindex\nnoai", "noai"),  # another header begins anew
        ("unavailable_after: 25 Jun 2010 15:00:00 PST, noai", "noai"),
        ("max-snippet: 20, noai", "noai"),
        ("otherbot: max-snippet: 20, noai", ""),
    ],
)
def test_headers(headers: str, found: str) -> None:
    assert OURS.in_headers(headers) == found


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<meta name="robots" content="noai">', "noai"),
        ("<META CONTENT='NOINDEX,NOAI' NAME=Robots />", "noai"),
        ("<meta name=robots content=noai,noimageai/>", "noai"),
        ('<meta\n name = "robots"\n content = "noindex, noimageai"\n>', "noimageai"),
        ('<meta name="ccbot" content="noai">', "noai"),
        ('<meta name="otherbot" content="noai">', ""),
        ('<meta name="description" content="noai">', ""),
        ('<meta content="noai">', ""),
        ('<meta property="og:title" content="noai is a word"><meta name="robots" content="all">', ""),
        ('<!-- <meta name="robots" content="noai"> -->', ""),
        ('<!-- x --><meta name="robots" content="noai"><!-- y -->', "noai"),
        ('<!-- never closed <meta name="robots" content="noai">', ""),
        ("<script>'<meta name=robots content=noai>'</script>", ""),
        ("<style>a{}</style ><script src=x></script><meta name=robots content=noai>", "noai"),
        ("<p>They ask for noai in their robots meta element.</p>", ""),
        ("<p>&lt;meta name=robots content=noai&gt;</p>", ""),
        ("<metadata name=robots content=noai>", ""),
        ("<title>How to write <!-- in HTML</title><meta name=robots content=noai>", "noai"),
        ("<title>The <script> tag</title><meta name=robots content=noai>", "noai"),
        ("<title><meta name=robots content=noai></title>", ""),
        ("<!--><meta name=robots content=noai>", "noai"),
        ("<!-- x --!><meta name=robots content=noai>", "noai"),
        ("<!--!><meta name=robots content=noai>-->", ""),
        ("<a title='<!--'></a><meta name=robots content=noai>", "noai"),
        ("<a title='<script>'></a><meta name=robots content=noai>", "noai"),
        ("<meta name=robots data-x='a>b <' content=noai>", "noai"),
        ("<meta name=robots content=noai content=index>", "noai"),
        ("<meta name=robots content=index content=noai>", ""),
        ("<meta name=robots content='no&#97;i'>", "noai"),
        ("<meta name='robots, googlebot' content=noai>", "noai"),
        (f"<meta name=robots data-x='{'x' * 9000}' content=noai>", "noai"),
        ("<head>" + "<style>a{}</style>" * 9000 + "<meta name=robots content=noai></head>", "noai"),
    ],
)
def test_meta_elements(html: str, found: str) -> None:
    assert OURS.in_page(html) == found


def test_none_stands_for_noindex() -> None:
    strict = OptOuts(["noindex"], [])
    assert [strict.in_headers(said) for said in ("none", "noindex", "nofollow")] == ["none", "noindex", ""]
    assert strict.in_page("<meta name=robots content=none>") == "none"
    assert OURS.in_headers("none") == ""


def test_nothing_is_heeded_where_nothing_is_asked_for() -> None:
    none = OptOuts([], ["llm_dag"])
    assert none.in_headers("noai, noindex") == none.in_page("<meta name=robots content='noai, none'>") == ""


@given(st.text(alphabet="<>!-='\" meta/robotsnia", max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert OURS.in_page(text) in ("", "noai", "noimageai")
    assert OURS.in_page(f"<meta name=robots content=noai>{text}") == "noai"


def page(number: int, *headers: str, head: str = "") -> bytes:
    body = f"<html><head>{head}</head><body><article><p>{PROSE}</p><p>{PROSE}</p></article></body></html>"
    return numbered(number, body=body, headers=("Content-Type: text/html; charset=utf-8", *headers))


def test_a_page_that_opts_out_is_dropped_with_the_directive(tmp_path: Path) -> None:
    """And one that the crawler cut short is a page like others, as in FineWeb: the index says why it is short."""
    path = write_warc(
        tmp_path / "a.warc.gz",
        [
            page(1, "X-Robots-Tag: noindex", "X-Robots-Tag: noai"),
            page(2, head="<meta name='robots' content='noai'>"),
            page(3, "x-robots-tag: otherbot: noai", head="<meta name='robots' content='noimageai, noindex'>"),
            page(4).replace(b"Content-Length:", b"WARC-Truncated: length\r\nContent-Length:", 1),
        ],
    )
    made = build(tmp_path / "store", *from_files(path), "curation=fast")
    indexed = rows(made["raw_pages"], "pages")
    assert [row["robots"] for row in indexed] == ["noindex\nnoai", "", "otherbot: noai", ""]
    assert (indexed[3]["truncated"], indexed[3]["kind"]) == ("length", "response")
    verdicts = rows(made["extracted_text"], "verdicts")
    assert [(row["reason"], row["opt_out"]) for row in verdicts] == [
        ("opt_out_header", "noai"), ("opt_out_meta", "noai"), ("", None), ("", None),
    ]  # fmt: skip
    assert made["extracted_text"].metrics["dropped/opt_out_meta"] == 1


def test_headers_without_end_are_kept_in_part(tmp_path: Path) -> None:
    many = [f"X-Robots-Tag: noai{', x' * 500}" for _ in range(20)]
    path = write_warc(tmp_path / "a.warc.gz", [page(1, *many)])
    (capture,) = warc.captures(path)
    assert len(capture.robots) == warc.MAX_ROBOTS
    assert OURS.in_headers(capture.robots) == "noai"


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("opt_outs", "noai, noindex", "one of noai, noimageai"),
        ("opt_outs", "noia", "one of noai, noimageai"),  # would be looked for and never found
        ("opt_out_agents", "ccbot, other", "single words"),
    ],
)
def test_what_no_page_could_state_is_refused(key: str, value: str, allowed: str) -> None:
    from llm_dag.config.compose import ConfigError, compose

    with pytest.raises(ConfigError, match=f"curation.extraction.{key}={value}: allowed is {allowed}"):
        compose([f"curation.extraction.{key}=['{value}']"])
