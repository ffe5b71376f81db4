"""The step: e-mail and IPv4 addresses as FineWeb replaces them, switches, and what the ledger says of a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_dag import ledger
from llm_dag.curation import pii
from llm_dag.curation.personal_data.redaction import KINDS
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


ONE_OF_EACH = {
    "emails": "a@b.org",
    "ibans": "DE89 3704 0044 0532 0130 00",
    "credit_cards": "4111 1111 1111 1111",
    "ipv6": "2606:4700:4700::1111",
    "ipv4": "8.8.8.8",
    "ssns": "123-45-6789",
    "phones": "(212) 345-6789",
}


@pytest.mark.parametrize("switch", ONE_OF_EACH)
def test_kinds_are_switched_one_by_one(switch: str) -> None:
    """One on, the others off: its example goes, and every other stays; and the other way round."""
    text = "; ".join(ONE_OF_EACH.values())
    placeholders = {kind.switch: kind.placeholder for kind in KINDS}
    assert set(placeholders) == set(ONE_OF_EACH)
    for on in (True, False):
        expected = [placeholders[name] if (name == switch) is on else piece for name, piece in ONE_OF_EACH.items()]
        assert redacted(text, **{name: (name == switch) is on for name in ONE_OF_EACH}) == "; ".join(expected)


def test_a_kind_that_is_off_has_no_count() -> None:
    counts = pii.redact("nothing", node("pii", emails=False))[1]
    assert (counts.get("emails"), counts["ipv4"], counts["spans"]) == (None, 0, [])


def test_an_address_inside_an_email_goes_with_it() -> None:
    text, counts = pii.redact("8.8.8.8@host.org", node("pii"))
    assert (text, counts["emails"], counts["ipv4"]) == ("email@example.com", 1, 0)


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
    assert (first["emails"], first["ipv4"], first["characters_replaced"]) == (2, 1, 2 * 13 + 7)
    assert (second["emails"], second["ipv4"], second["characters_replaced"]) == (0, 0, 0)
    assert (first["phones"], second["phones"]) == (None, None)  # off, as in FineWeb: not looked for
    assert "jane" not in str(made.rows()) + str(made.rows("text"))
    assert (made.metrics["emails"], made.metrics["ipv4"]) == (2, 1)
    assert "phones" not in made.metrics
    for row in made.rows("text"):
        assert row["split"] == split_of(
            f"key of {row['doc_id']}", node("pii").heldout_fraction, node("pii").heldout_seed
        )


def test_spans_point_into_the_text_that_was_judged(tmp_path: Path) -> None:
    """The ledger alone leads back to every value, by the shard of `c4_filtered`, and holds none of them."""
    line = "Grüße — " + ", ".join(ONE_OF_EACH.values())
    text = extracted(tmp_path, [[("a", line), ("b", "Nothing here."), ("c", f"Twice: {line}; {line}")]])
    text.asset = "c4_filtered"
    add_clusters(text.folder / "text" / "00000.parquet")
    judged = verdicts_for("custom_filtered", tmp_path, text)
    made = run(pii.build, "pii_redacted", node("pii", **dict.fromkeys(ONE_OF_EACH, True)), [text, judged], tmp_path)
    names = {kind.name: kind.switch for kind in KINDS}
    judged_texts = {one.doc_id: one.text for one in ledger.documents(text.folder / "text" / "00000.parquet")}
    for row in made.rows():
        found = [
            (names[span["kind"]], judged_texts[row["doc_id"]][span["start"] : span["end"]]) for span in row["spans"]
        ]
        assert found == list(ONE_OF_EACH.items()) * {"a": 1, "b": 0, "c": 2}[row["doc_id"]]
        assert all(row[switch] == [name for name, _ in found].count(switch) for switch in ONE_OF_EACH)
        assert row["characters_replaced"] == sum(len(piece) for _, piece in found)
    written = b"".join(path.read_bytes() for path in (made.folder / "verdicts").iterdir())
    assert not any(piece in str(made.rows()) + str(made.metrics) for piece in ONE_OF_EACH.values())
    assert not any(piece.encode() in written for piece in ONE_OF_EACH.values())


def add_clusters(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    keys = pa.array([f"key of {doc_id}" for doc_id in table["doc_id"].to_pylist()], pa.string())
    pq.write_table(table.append_column("cluster", table["doc_id"]).append_column("split_key", keys), path)
