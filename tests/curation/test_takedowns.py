"""Takedown rules: what they match, how they are read, and that they touch only the shards they name."""

from __future__ import annotations

import random
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag import ledger
from llm_dag.config.curation_pages import Url
from llm_dag.curation import checks, checks_crawl, takedowns, url_filter
from llm_dag.curation.addresses import Address, address
from llm_dag.curation.takedowns import Rule, RuleError, Rules, read_rules

from .chain import Made, run
from .crawling import build, from_files, numbered, rows, write_warc
from .spelling import spellings

TOLD = "reason: asked for\n  who: someone\n  when: 2024-05-01"


def rule(kind: str, value: str) -> Rule:
    return Rule(kind, value, "asked for", "someone", "2024-05-01")


def named(one: Rule, url: str) -> bool:
    """What the check says of a page that was kept."""
    return checks_crawl._named_by(one)(*checks_crawl.plain(url))


@pytest.mark.parametrize(
    ("kind", "value", "url", "matches"),
    [
        ("url", "https://a.example/x", "https://a.example/x", True),
        ("url", "https://a.example/x", "http://A.example:80/x#part", True),
        ("url", "https://a.example/x", "https://a.example/x?page=2", False),
        ("domain", "a.example", "https://www.a.example/x", True),
        ("domain", "a.example", "https://a.example:8080/", True),
        ("domain", "a.example", "https://not-a.example/", False),
        ("pattern", "https://a.example/drafts/*", "https://a.example/drafts/1/2", True),
        ("pattern", "https://*.a.example/*.pdf", "https://b.a.example/x.pdf", True),
        ("pattern", "https://a.example/drafts/*", "https://a.example/posts/1", False),
        ("domain", "a.example", "https://a.example.b.example/", False),
        ("domain", "a.example", "https://a.example@b.example/", False),
        ("domain", "a.example", "https://b.example/?https://a.example/", False),
        ("domain", "bücher.example", "https://www.xn--bcher-kva.example./x", True),
        ("domain", "xn--bcher-kva.example", "http://me@B%C3%BCcher.example:443/x", True),
        ("url", "https://a.example", "https://a.example/#part", True),
        ("url", "https://a.example/~me/€", "https://a.example/%7eme/%E2%82%AC", True),
        ("url", "a.example:8080/x", "https://a.example/x", False),
        ("pattern", "*://a.example/x*", "http://a.example/x", True),
        ("pattern", "http*://a.example/*", "https://a.example", True),
        ("pattern", "*.a.example*", "https://www.a.example:8080/x", True),
        ("pattern", "https://bücher.example/%7E*", "https://XN--bcher-kva.example/~me", True),
        ("pattern", "https://a.example/a+b.c*", "https://a.example/aab.c", False),
    ],
)
def test_what_a_rule_names(kind: str, value: str, url: str, matches: bool) -> None:
    found = address(url)
    assert found is not None
    assert (Rules([rule(kind, value)]).naming(found) is not None) is matches
    if matches:
        assert named(rule(kind, value), url)  # the check never sees less than the filter


def test_the_first_rule_of_the_file_counts() -> None:
    rules = [rule("pattern", "*/x"), rule("url", "https://a.example/y"), rule("domain", "a.example")]
    found = [Rules(order).naming(Address("a.example", "", "/x")) for order in (rules, rules[::-1])]
    assert found == [rules[0], rules[2]]
    assert Rules(rules).naming(Address("a.example", "", "/y")) == rules[1]
    assert Rules([]).naming(Address("a.example", "", "/y")) is None


@given(
    st.sampled_from(["a.example", "bücher.example", "例え.jp"]),
    st.sampled_from(["/", "/x/~y", "/ü?q=ü"]),
    st.integers(),
)
def test_every_spelling_of_a_page_is_named(host: str, rest: str, seed: int) -> None:
    rules = [rule("domain", host), rule("url", f"https://{host}{rest}"), rule("pattern", f"*://{host}{rest[0]}*")]
    for url in spellings(f"www.{host}" if seed % 2 else host, rest, random.Random(seed), 5):
        found = address(url)
        assert found is not None
        for one in rules[: 1 if seed % 2 else 3]:
            assert Rules([one]).naming(found) == one, url
        assert named(rules[0], url), url


def test_both_forms_of_a_rules_file_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(f"# a comment\n- url: https://a.example/x\n  {TOLD}\n")
    (tmp_path / "rules.jsonl").write_text(
        '{"url": "https://a.example/x", "reason": "asked for", "who": "someone", "when": "2024-05-01"}\n'
    )
    assert list(read_rules(tmp_path / "rules.yaml")) == list(read_rules(tmp_path / "rules.jsonl"))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (f"- url: https://a.example/x\n  {TOLD}\n- domain: a.example\n  who: someone\n", 5, "reason is None"),
        (f"- url: https://a.example/x\n  domain: a.example\n  {TOLD}\n", 1, "exactly one of url, domain, pattern"),
        (f"- domain: https://a.example/\n  {TOLD}\n", 1, "a host is wanted"),
        ("- url: https://a.example/x\n  reason: r\n  who: w\n  when: last week\n", 1, "YYYY-MM-DD"),
        (f"- domain: 'a b'\n  {TOLD}\n", 1, "a host is wanted"),
        (f"- url: /x\n  {TOLD}\n", 1, "a URL with a host is wanted"),
        (f"- url: https:///\n  {TOLD}\n", 1, "a URL with a host is wanted"),
        (f"- pattern: https://bü*.example/\n  {TOLD}\n", 1, "in ASCII"),
        ("- just words\n", 1, "a mapping"),
        ("url: https://a.example/x\n", 1, "a list of rules is wanted"),
        ("- [unclosed\n", 2, "not YAML"),
    ],
)
def test_a_malformed_rule_names_file_line_and_what_is_wanted(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(RuleError, match=words) as caught:
        list(read_rules(path))
    assert f"{path}, line {line}" in str(caught.value)


@pytest.mark.parametrize("name", ["rules.yaml", "rules.jsonl"])
@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("ü".encode("latin-1"), "found the byte 0xfc, which is not UTF-8; rules are UTF-8 text"),
        (b"\x07", r"found the control character '\x07'; rules are text without any"),
    ],
)
def test_a_rules_file_with_other_bytes_than_text_names_file_and_line(
    tmp_path: Path, name: str, bad: bytes, words: str
) -> None:
    path = tmp_path / name
    told = b'"reason": "r", "who": "w", "when": "2024-05-01"}\n'
    dash = b"- " if path.suffix == ".yaml" else b""
    lines = [b'{"url": "https://a.example/x", ', b'{"url": "https://a.example/' + bad + b'", ']
    path.write_bytes(b"".join(dash + line + told for line in lines))
    with pytest.raises(RuleError) as caught:
        list(read_rules(path))
    assert str(caught.value) == f"{path}, line 2: {words}"


def test_json_lines_end_where_a_file_has_an_end_of_line(tmp_path: Path) -> None:
    path = tmp_path / "rules.jsonl"
    text = '{"url": "https://a.example/x", "reason": "a\u2028b", "who": "w", "when": "2024-05-01"}\r\n'
    path.write_bytes(text.encode())
    assert [one.reason for one in read_rules(path)] == ["a\u2028b"]


def test_a_rule_takes_its_page_out_and_touches_its_shard_only(tmp_path: Path) -> None:
    path = write_warc(tmp_path / "a.warc.gz", [numbered(number) for number in range(6)])
    rules = tmp_path / "rules.yaml"
    rules.write_text("[]\n")
    overrides = [*from_files(path, documents=2), f"curation.takedowns.rules={rules}"]
    build(tmp_path / "store", *overrides)
    rules.write_text(f"- url: https://site.example/3\n  {TOLD}\n- domain: elsewhere.example\n  {TOLD}\n")
    made = build(tmp_path / "store", *overrides)
    dropped = [row for row in rows(made["url_filtered"], "verdicts") if not row["kept"]]
    assert [(row["reason"], row["matched"]) for row in dropped] == [("takedown", "https://site.example/3")]
    assert made["url_filtered"].metrics["shards_reused"] == 2
    assert made["extracted_text"].metrics["shards_reused"] == 2
    assert "https://site.example/3" not in [row["url"] for row in rows(made["extracted_text"], "text")]
    assert checks_crawl.takedowns_honoured(made["url_filtered"]).passed
    assert [one.asset for one in checks.chain(made["extracted_text"])] == [
        "raw_pages",
        "url_filtered",
        "extracted_text",
    ]
    assert checks.conservation(made["extracted_text"]).passed


def filtered(tmp_path: Path, rules: list[Rule], urls: list[str]) -> Made:
    """`url_filtered` of pages with these URLs."""
    judged, verdicts = ledger.TextWriter(), ledger.VerdictWriter({})
    for row, url in enumerate(urls):
        judged.add(str(row), url, "", "")
        verdicts.add(str(row), row)
    judged.write(tmp_path / "raw_pages" / "pages" / "00000.parquet")
    verdicts.write(tmp_path / "raw_pages" / "verdicts" / "00000.parquet")
    table = pa.Table.from_pylist([vars(one) for one in rules], schema=takedowns.SCHEMA)
    ledger.write_table(table, tmp_path / "takedowns" / "rules.parquet")
    inputs = [Made(name, tmp_path / name) for name in ("raw_pages", "takedowns")]
    return run(url_filter.build, "url_filtered", Url(soft_word_threshold=2, block_lists=[]), inputs, tmp_path)


NAMED = [
    "https://WWW.bücher.example/1",
    "https://xn--bcher-kva.example./2",
    "https://b%C3%BCcher.example/3",
    "https://me@bücher.example:443/4",
    "https://b\u00adücher。example/5",
    "https:\\\\bücher.example\\6",
    "https://a.example/%7eme/€#part",
    "http://A.example:80/~me/%e2%82%ac",
    "http://a.example./dr%61fts/1",
]
OTHERS = [
    "https://archive.example/https://bücher.example/",
    "https://notbücher.example/",
    "https://bücher.example@b.example/",
    "https://a.example/~ME/€",
    "https://a.example/~me/",
]
RULES = [
    rule("domain", "bücher.example"),
    rule("url", "https://a.example/~me/€"),
    rule("pattern", "*://a.example/drafts/*"),
]


def test_all_pages_that_are_named_go_and_no_others(tmp_path: Path) -> None:
    made = filtered(tmp_path, RULES, NAMED + OTHERS + ["https://a b/", "https://"])
    reasons = [row["reason"] for row in made.rows()]
    assert reasons == ["takedown"] * len(NAMED) + [""] * len(OTHERS) + ["unreadable_url"] * 2
    result = checks_crawl.takedowns_honoured(made)  # type: ignore[arg-type]
    assert (result.passed, result.numbers) == (True, {"rules": 3, "pages_left": 0}), result.message


def as_written(self: Rules, page: Address) -> Rule | None:
    """A matcher that compares only what is written in one way."""
    texts = {one: urlsplit(one.value if "//" in one.value else f"//{one.value}") for one in self._rules}
    return next((one for one, parts in texts.items() if (parts.netloc, parts.path) == (page.host, page.rest)), None)


@pytest.mark.parametrize("url", NAMED)
def test_a_spelling_that_the_filter_misses_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(Rules, "naming", as_written)
    made = filtered(tmp_path, RULES, [url, *OTHERS])
    assert made.kept() == [str(row) for row in range(len(OTHERS) + 1)]
    result = checks_crawl.takedowns_honoured(made)  # type: ignore[arg-type]
    assert not result.passed
    assert result.message == f"3 rules, 1 pages kept that they name; first: {url}"


def test_a_kept_page_without_a_host_fails_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_filter, "address", lambda url: Address("b.example", "", "/"))
    made = filtered(tmp_path, RULES, ["https:///#bücher.example"])
    assert made.kept()
    assert not checks_crawl.takedowns_honoured(made).passed  # type: ignore[arg-type]
