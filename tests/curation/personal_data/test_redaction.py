"""Redaction of all kinds together: stable placeholders, no overlaps, hostile texts that cost no more than others."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_dag.curation.personal_data import cards, emails, ibans, ip_addresses, numbers, phones, ssns
from llm_dag.curation.personal_data.redaction import KINDS, find, replace
from tests.curation.chain import node

MODULES = (cards, emails, ibans, ip_addresses, numbers, phones, ssns)
ALL = {kind.switch: True for kind in KINDS}
FINDS = (
    *("jane@site.org", "1a@b.co", "DE89 3704 0044 0532 0130 00", "gb82west12345698765432", "4111 1111 1111 1111"),
    *("371449635398431", "2606:4700:4700::1111", "2001:4860:4860::abcd", "8.8.8.8", "200.1.2.3", "123-45-6789"),
    *("123456789", "212-345-6789", "(212) 345-6789 x12", "+49 89 1234567", "+1 212 345 6789", "020 7946 0958"),
)
WORDS = ("tel ", "call us at ", "SSN: ", "card ", "version ", "\nsection ", "or ", "org", "v", "x", "ext. 5")
MARKS = (" ", " ", "\n", "@", ".", ",", ":", "-", "+", "(", ")", "/", "a", "7", "00", "12/27", "1 ", "\u00a0", "\u2013")
PARTS = st.sampled_from([*FINDS, *WORDS, *MARKS, *(kind.placeholder for kind in KINDS)])


@given(st.lists(PARTS, max_size=14).map("".join), st.sets(st.sampled_from(sorted(ALL))))
@settings(deadline=None, max_examples=400)
def test_a_second_pass_changes_nothing(text: str, off: set[str]) -> None:
    """With any kinds switched off; and a text gives the same alone and after others."""
    config = node("pii", **(ALL | dict.fromkeys(off, False)))
    spans = find(text, config)
    once = replace(text, spans)
    assert find(once, config) == []
    find("other@site.org 9.9.9.9 tel 020 7946 0958", config)
    assert find(text, config) == spans


@pytest.mark.parametrize(
    "text",
    [
        ",+49 89 12345671 8.8.8.8",  # a word beside an address changes with what is replaced in it
        "4111 1111 1111 11110000 0000 0000 0000:200.1.2.3- 8.8.8.8",
        "tel 8.8.8.8 2606:4700:4700::1111or 8.8.8.8",
        "+1 212 345 6789@+49 89 1234567.SSN",  # a placeholder would complete an e-mail address
        f"jane@site.org{'gb82west12345698765432' * 3}jane@site.org",  # local parts and labels of any length
        "jane@site.orgjane@site.org",
    ],
)
def test_a_second_pass_over_these_changes_nothing(text: str) -> None:
    """Each was found to be replaced further by a second pass."""
    once = replace(text, find(text, node("pii", **ALL)))
    assert find(once, node("pii", **ALL)) == []


@given(st.lists(PARTS, max_size=14).map("".join))
def test_spans_are_in_order_and_apart(text: str) -> None:
    spans = find(text, node("pii", **ALL))
    assert all(one.end <= other.start for one, other in itertools.pairwise(spans))
    assert all(0 <= span.start < span.end <= len(text) for span in spans)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_kind_finds_a_placeholder(kind: Any) -> None:
    for before in ("", "tel ", "card: ", "SSN ", "call +1 ", "(212) ", "+49 "):
        text = f"{before}{kind.placeholder}"
        assert find(text, node("pii", **ALL)) == [], text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8.8.8.8@host.org", "email@example.com"),
        ("212-345-6789@host.org", "email@example.com"),
        ("DE89 3704 0044 0532 0130 00", "XX00 0000 0000 0000 0000"),
        ("tel +49 89 1234567, 4111 1111 1111 1111", "tel 555-0100, 0000 0000 0000 0000"),
        ("SSN 123-45-6789 tel 123-45-6789", "SSN 000-00-0000 tel 000-00-0000"),
        ("::ffff:8.8.8.8, 2606:4700:4700::8.8.8.8", "::ffff:192.0.2.1, 2001:db8::1"),
    ],
)
def test_a_piece_is_found_once(text: str, expected: str) -> None:
    assert replace(text, find(text, node("pii", **ALL))) == expected


def patterns() -> Iterator[tuple[ModuleType, str, re.Pattern[str]]]:
    for module in MODULES:
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield module, name, value


class TestHostileTexts:
    HOSTILE = (
        *("@", "a@", "a@a.", ".@", "-@-", "!#$", "v", "section "),
        *("1", "1.", "1-", "1 ", "1,", "(1", "1)", "1.1.1.1.", "8.8.8.8 ", "1\n", "((1)", "0 1"),
        *(":", "::", "1:", "a:", ":a:", "2001:", "::1 ", "2606:4700:4700::1111", "2606:4700:4700::1111 "),
        *(
            "+",
            "+1",
            "+1 ",
            "+49 ",
            "+49",
            "212-",
            "(212) ",
            "212-345-6789",
            "212-345-6789 ",
            "tel 1 ",
            "tel 1234567 ",
            "tel",
        ),
        *("4111", "4111 ", "4111-", "4111 1111 1111 1111 ", "card 411111111111 ", "123-45-", "123-45-6789 ", "SSN "),
        *("DE89", "DE89 ", "DE89370400440532013000", "de12", "AB12CD34", "x1 ", "1x"),
    )

    @pytest.mark.parametrize("name", [f"{module.__name__.rpartition('.')[2]}.{name}" for module, name, _ in patterns()])
    def test_no_quantifier_is_unbounded(self, name: str) -> None:
        """So an attempt at one place takes a bounded number of steps."""
        pattern = {f"{one.__name__.rpartition('.')[2]}.{key}": value for one, key, value in patterns()}[name]

        def longest(tree: Any) -> int:
            """The largest repeat count anywhere in a parsed pattern."""
            found = 1
            for item in tree:
                if isinstance(item, tuple):
                    if item and item[0] in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
                        found = max(found, int(item[1][1]))
                    found = max(found, longest(item))
                elif isinstance(item, _parser.SubPattern | list):
                    found = max(found, longest(item))
            return found

        parsed = _parser.parse(pattern.pattern, pattern.flags)
        assert longest(parsed) <= emails.LONGEST_DOMAIN
        assert parsed.getwidth()[1] <= emails.LONGEST_DOMAIN

    @pytest.mark.parametrize("unit", HOSTILE)
    def test_attempts_grow_as_the_text_does(self, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Counted, not timed: attempts at a pattern and matches, over a text and over its double; each is bounded."""
        attempts = 0

        class Counting:
            def __init__(self, pattern: re.Pattern[str]) -> None:
                self.pattern = pattern

            def finditer(self, *arguments: Any) -> Iterator[re.Match[str]]:
                nonlocal attempts
                for match in self.pattern.finditer(*arguments):
                    attempts += 1
                    yield match

            def __getattr__(self, name: str) -> Any:
                nonlocal attempts
                attempts += 1
                return getattr(self.pattern, name)

        for module, name, pattern in patterns():
            monkeypatch.setattr(module, name, Counting(pattern))
        counted = []
        for size in (2_000, 4_000):
            attempts = 0
            find(unit * (size // len(unit)), node("pii", **ALL))
            counted.append(attempts)
        assert counted[1] <= 2.1 * counted[0] + 50
        assert counted[1] <= 8 * 4_000

    @pytest.mark.parametrize("unit", HOSTILE)
    def test_a_large_text_ends(self, unit: str) -> None:
        """A quadratic scan of it would take hours."""
        text = unit * (200_000 // len(unit))
        config = node("pii", **ALL)
        assert len(replace(text, find(text, config))) > 0

    @pytest.mark.parametrize("unit", HOSTILE)
    def test_each_at_sign_looks_at_a_bounded_window(self, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Counted over 100 kB: characters handed to the two patterns, at most 64 + 255 for each `@`."""
        text = unit * (100_000 // len(unit))
        looked_at = 0

        class Counting:
            def __init__(self, pattern: re.Pattern[str]) -> None:
                self.pattern = pattern

            def match(self, string: str, start: int = 0, end: int | None = None) -> re.Match[str] | None:
                nonlocal looked_at
                stop = len(string) if end is None else min(end, len(string))
                looked_at += stop - start
                return self.pattern.match(string, start, stop)

        monkeypatch.setattr(emails, "LOCAL_REVERSED", Counting(emails.LOCAL_REVERSED))
        monkeypatch.setattr(emails, "DOMAIN", Counting(emails.DOMAIN))
        list(emails.find(text))
        assert looked_at <= (emails.LONGEST_LOCAL + emails.LONGEST_DOMAIN) * text.count("@")
