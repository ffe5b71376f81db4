"""Takedown rules: what they match, how they are read, and that they touch only the shards they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_dag.curation import checks_crawl
from llm_dag.curation.takedowns import Rule, RuleError, read_rules

from .crawling import build, from_files, numbered, rows, write_warc

TOLD = "reason: asked for\n  who: someone\n  when: 2024-05-01"


def rule(kind: str, value: str) -> Rule:
    return Rule(kind, value, "asked for", "someone", "2024-05-01")


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
        ("domain", "a.example", "not a url", False),
    ],
)
def test_what_a_rule_matches(kind: str, value: str, url: str, matches: bool) -> None:
    assert rule(kind, value).matches(url) is matches


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
