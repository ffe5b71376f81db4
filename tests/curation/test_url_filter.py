"""The URL filter decides as datatrove's does, reason by reason, and keeps a user's own lists."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

from llm_dag.curation.takedowns import Rules
from llm_dag.curation.url_filter import UrlFilter
from llm_dag.curation.url_lists import ListError, Lists, OwnLists, SortedLines, integrated, own
from llm_dag.store.errors import StoreError

NOBODY = OwnLists(frozenset(), frozenset())
NO_RULES = Rules([])
NO_HOST = ("dns:a.example", "https://")  # which datatrove keeps
ODD = [
    "http://1.2.3.4/x", "https://localhost/", "http://[::1]/", "http://xn--bcher-kva.example/\u00fc", "dns:a.example",
    "HTTP://WWW.Example.COM", "http://a.b.co.uk:80/", "http://user:word@host.com/", "http://host.com./", "https://",
]  # fmt: skip


@pytest.fixture(scope="module")
def lists() -> Lists:
    return integrated()


def some_urls(lists: Lists, seed: int = 1) -> list[str]:
    """Listed domains and URLs, made-up ones from listed words, and odd ones."""
    draw = random.Random(seed)
    domains = lists.domains._block.decode().splitlines()
    urls = lists.urls._block.decode().splitlines()
    words = [*sorted(lists.words | lists.soft_words | set(lists.subwords)), "news", "analysis", "Cook", "the"]
    found = [
        f"{start}{draw.choice(domains)}/page"
        for start in ("https://", "http://www.", "http://a.b.")
        for _ in range(300)
    ]
    found += [f"{start}{draw.choice(urls)}" for start in ("", "http://") for _ in range(200)]
    for number in range(600):
        path = draw.choice("-_/.+").join(draw.sample(words, draw.randint(1, 4)))
        found.append(f"https://site{number}.example.org/{path if number % 2 else path.upper()}")
    return [*found, *ODD]


def test_decisions_equal_datatroves_reason_by_reason(
    lists: Lists, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """datatrove's block takes 10 s and 800 MB to load its sets, so it is given only what these URLs can meet."""
    import tldextract
    from datatrove.data import Document
    from datatrove.pipeline.filters import URLFilter

    urls = some_urls(lists)
    extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    names = {name for url in urls for name in (extract(url).top_domain_under_public_suffix, extract(url).fqdn)}
    peer = URLFilter(
        soft_word_threshold=2,
        extra_domains=[name for name in names if name and name in lists.domains],
        extra_urls=[url for url in urls if url in lists.urls],
        banned_words=lists.words,
        banned_subwords=lists.subwords,
        soft_banned_words=lists.soft_words,
        use_integrated_lists=False,
    )
    peer.tldextractor = extract
    ours = UrlFilter(lists, NOBODY, 2)
    decided = set()
    for url in urls:
        verdict = peer.filter(Document(text="", id="", metadata={"url": url}))
        theirs = "" if verdict is True else verdict[1]  # type: ignore[index]
        assert ours.judge(url, NO_RULES).reason == ("unreadable_url" if url in NO_HOST else theirs), url
        decided.add(theirs)
    wanted = {"", "domain", "subdomain", "url", "hard_blacklisted", "soft_blacklisted", "blacklisted_subword"}
    assert decided == wanted


def test_soft_words_are_counted_and_the_threshold_decides(lists: Lists) -> None:
    url = "https://site.example.org/playboy-lingerie"
    assert UrlFilter(lists, NOBODY, 2).judge(url, NO_RULES).reason == "soft_blacklisted"
    kept = UrlFilter(lists, NOBODY, 3).judge(url, NO_RULES)
    assert (kept.reason, kept.soft_words) == ("", 2)


def test_the_lists_are_sorted_as_the_search_needs_them(lists: Lists) -> None:
    for block in (lists.domains._block, lists.urls._block):
        lines = block.strip(b"\n").split(b"\n")
        assert all(one <= other for one, other in pairwise(lines))


def test_a_line_is_found_exactly() -> None:
    lines = SortedLines(b"a.example\nab.example\nb.example\nc.example\n")
    assert all(name in lines for name in ("a.example", "ab.example", "b.example", "c.example"))
    assert not any(name in lines for name in ("", "a", "example", "a.example\n", "d.example", "0"))


def test_own_lists_hold_domains_and_urls(tmp_path: Path, lists: Lists) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(
        "# mine\nblocked.example  # and what is below it\nBücher.example\n\nhttps://site.example/#top\n", "utf-8"
    )
    mine = UrlFilter(lists, own([str(path)]), 2)
    assert mine.judge("https://www.blocked.example/x", NO_RULES).reason == "block_list"
    assert mine.judge("https://www.xn--bcher-kva.example/x", NO_RULES).reason == "block_list"
    assert mine.judge("https://site.example/#top", NO_RULES).reason == "block_list"
    assert mine.judge("https://notblocked.example/x", NO_RULES).reason == ""


def test_a_line_that_is_neither_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("good.example\nnot a domain\n")
    with pytest.raises(StoreError, match=r"mine\.txt, line 2: 'not a domain'"):
        own([str(path)])


def test_a_list_that_is_not_utf8_names_key_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes("good.example\nbücher.example\n".encode("latin-1"))
    with pytest.raises(ListError, match=r"block_lists\[0\]: .*mine\.txt, line 2: found the byte 0xfc.* UTF-8 text"):
        own([str(path)])
