"""Redaction: what is replaced, what is not, and that hostile texts cost no more than others."""

from __future__ import annotations

import re
from pathlib import Path
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_dag.curation import pii
from llm_dag.tasks.splits import split_of
from tests.curation.chain import extracted, node, run, verdicts_for


def redacted(text: str, **changes: bool) -> str:
    return pii.redact(text, node("pii", **changes))[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jane.doe@mail.example.net.", "Write to email@example.com."),
        ("<jane+news@uni-bonn.de>, (j_d@a.co)", "<email@example.com>, (email@example.com)"),
        ("mailto:jane@site.org?subject=x", "mailto:email@example.com?subject=x"),
        ("a@b.com;c@d.org e@f.io", "email@example.com;email@example.com email@example.com"),
        ("jane@site.org.uk-based", "email@example.com-based"),
        ("jane@site.org4 rue", "email@example.com4 rue"),
        ("'jane@site.org'", "'email@example.com'"),
        ("Server 8.8.8.8 and 1.1.1.1:53.", "Server 192.0.2.1 and 192.0.2.1:53."),
        ("ip=8.8.4.4/24, http://93.184.216.34/x", "ip=192.0.2.1/24, http://192.0.2.1/x"),
        ("from 185.12.3.4.", "from 192.0.2.1."),
    ],
)
def test_personal_data_is_replaced(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "@property def f(): ...",
        "user@localhost and @handle and a@ b.com",
        "a @ b.com x@1.2 x@-a.com x@.com",
        "version 1.2.3.4 and v1.2.3.4 and V 8.8.8.8",
        "Version: 8.8.8.8, release 10.4.1.2, firmware (8.8.8.8)",
        "package==8.8.8.8 library-8.8.8.8.tar.gz lib>=8.8.8.8",
        "see section 8.1.2.3 or Sec. 8.8.8.8 or § 8.1.1.1 or Figure 12.1.1.1",
        "8.1.2.3 Scope of the rules",
        "intro\n 12.1.2.10 Terms\nmore",
        "private 10.0.0.1, 192.168.1.1, 127.0.0.1, 172.16.4.4, 169.254.1.1, 224.0.0.1, 0.0.0.0",
        "1.2.3.4.5 and 1.2.3 and 999.1.1.1 and 08.08.08.08 and 8.8.8.8a and x8.8.8.8",
        "oid 1.3.6.1.4.1.311, 3.14.15.92.65",
        "email@example.com and 192.0.2.1 stand for what was replaced",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert redacted(text) == text


def test_kinds_are_switched_one_by_one() -> None:
    text = "a@b.org 8.8.8.8"
    assert redacted(text, emails=False) == "a@b.org 192.0.2.1"
    assert redacted(text, ips=False) == "email@example.com 8.8.8.8"


def test_an_address_inside_an_email_goes_with_it() -> None:
    text, counts = pii.redact("8.8.8.8@host.org", node("pii"))
    assert (text, counts["emails"], counts["ips"]) == ("email@example.com", 1, 0)


PARTS = st.sampled_from(
    ["jane@site.org", "org", "8.8.8.8", "v1.2.3.4", " ", "\n", "@", ".", "a", "-", "email@example.com", "7"]
)


@given(st.lists(PARTS, max_size=15).map("".join))
@settings(deadline=None)
def test_replacements_do_not_depend_on_what_came_before(text: str) -> None:
    """A second pass finds nothing, and a document gives the same text alone and after others."""
    once, counts = pii.redact(text, node("pii"))
    assert pii.redact(once, node("pii"))[0] == once
    assert counts["emails"] + counts["ips"] >= (once != text)
    pii.redact("other@site.org 9.9.9.9", node("pii"))
    assert pii.redact(text, node("pii"))[0] == once


class TestHostileTexts:
    HOSTILE = (
        "a",
        "a.",
        "@",
        "a@",
        "a@a",
        "@a.",
        "1.",
        "1.1.1.1",
        "1.1.1.1.",
        "v",
        "!#$",
        ".@",
        "-@-",
        "section ",
        "8.8.8.8 ",
    )

    @pytest.mark.parametrize("pattern", [pii.LOCAL_REVERSED, pii.DOMAIN, pii.TOP_LEVEL, pii.ADDRESS, pii.NO_ADDRESS])
    def test_no_quantifier_is_unbounded(self, pattern: re.Pattern[str]) -> None:
        """So a match attempt at one place takes a bounded number of steps, and all of them together linear time."""

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

        assert longest(_parser.parse(pattern.pattern, pattern.flags)) <= pii.LONGEST_DOMAIN
        assert _parser.parse(pattern.pattern, pattern.flags).getwidth()[1] <= pii.LONGEST_DOMAIN

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

        monkeypatch.setattr(pii, "LOCAL_REVERSED", Counting(pii.LOCAL_REVERSED))
        monkeypatch.setattr(pii, "DOMAIN", Counting(pii.DOMAIN))
        pii.redact(text, node("pii"))
        assert looked_at <= (pii.LONGEST_LOCAL + pii.LONGEST_DOMAIN) * text.count("@")


def test_the_ledger_holds_counts_and_never_a_value(tmp_path: Path) -> None:
    text = extracted(
        tmp_path, [[("a", "Ask jane@site.org or 8.8.8.8, or jane@site.org."), ("b", "No data."), ("c", "")]]
    )
    text.asset = "c4_filtered"
    folder = text.folder / "text" / "00000.parquet"
    add_clusters(folder)
    judged = verdicts_for("custom_filtered", tmp_path, text, dropped=["c"])
    made = run(pii.build, "pii_redacted", node("pii"), [text, judged], tmp_path)
    first, second = made.rows()
    assert (first["emails"], first["ips"], first["characters_replaced"]) == (2, 1, 2 * 13 + 7)
    assert (second["emails"], second["ips"], second["characters_replaced"]) == (0, 0, 0)
    assert "jane" not in str(made.rows()) + str(made.rows("text"))
    assert made.metrics["emails"] == 2
    for row in made.rows("text"):
        assert row["split"] == split_of(
            f"key of {row['doc_id']}", node("pii").heldout_fraction, node("pii").heldout_seed
        )


def add_clusters(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    keys = pa.array([f"key of {doc_id}" for doc_id in table["doc_id"].to_pylist()], pa.string())
    pq.write_table(table.append_column("cluster", table["doc_id"]).append_column("split_key", keys), path)
