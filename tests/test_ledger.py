"""The ledger: what is written is read back, and a verdict reaches only the document that it judges."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_dag import ledger

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
IDS = st.lists(st.text("0123456789abcdef", min_size=4, max_size=4), unique=True, max_size=12)
ANY_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write_texts(path: Path, ids: list[str]) -> None:
    writer = ledger.TextWriter()
    for doc_id in ids:
        writer.add(doc_id, f"https://example.org/{doc_id}", "2024-01-01", f"text of {doc_id}")
    writer.write(path)


def write_verdicts(path: Path, rows: list[tuple[str, int, bool]]) -> None:
    writer = ledger.VerdictWriter({})
    for doc_id, row, kept in rows:
        writer.add(doc_id, row, reason="" if kept else "test")
    writer.write(path)


class TestDocumentId:
    def test_is_32_hex_digits_and_depends_on_every_part(self) -> None:
        one = ledger.document_id("dump", "<urn:uuid:1>")
        assert len(one) == 32
        assert int(one, 16) >= 0
        assert one == ledger.document_id("dump", "<urn:uuid:1>")
        assert one != ledger.document_id("dump2", "<urn:uuid:1>")

    @given(st.lists(TEXTS, min_size=1, max_size=4), st.lists(TEXTS, min_size=1, max_size=4))
    def test_parts_are_not_run_together(self, one: list[str], other: list[str]) -> None:
        assert (ledger.document_id(*one) == ledger.document_id(*other)) == (one == other)

    def test_does_not_depend_on_the_hash_seed(self) -> None:
        code = "from llm_dag.ledger import document_id; print(document_id('dump', 'digest', 7))"
        found = {
            subprocess.run(
                [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
            ).stdout
            for seed in ("1", "2")
        }
        assert len(found) == 1

    def test_takes_an_id_that_is_no_valid_unicode(self) -> None:
        assert ledger.document_id("\ud800") != ledger.document_id("?")


class TestVerdicts:
    def test_counts_add_up_and_name_each_reason(self, tmp_path: Path) -> None:
        writer = ledger.VerdictWriter({"score": pa.float32()})
        writer.add("a", 0, score=0.5)
        writer.add("b", 1, reason="short", score=0.1)
        writer.add("c", 2, reason="short")
        counts = writer.write(tmp_path / "v.parquet")
        assert counts == {"documents_in": 3, "documents_kept": 1, "documents_dropped": 2, "dropped/short": 2}
        rows = ledger.read_verdicts(tmp_path / "v.parquet").to_pylist()
        assert [row["kept"] for row in rows] == [True, False, False]
        assert [row["reason"] for row in rows] == ["", "short", "short"]
        assert rows[2]["score"] is None  # not measured

    def test_an_undeclared_score_is_an_error(self) -> None:
        with pytest.raises(KeyError, match=r"undeclared scores \['scroe'\]; declared are \['score'\]"):
            ledger.VerdictWriter({"score": pa.float32()}).add("a", 0, scroe=1.0)

    def test_a_score_cannot_take_the_name_of_a_ledger_column(self) -> None:
        with pytest.raises(ValueError, match="kept"):
            ledger.VerdictWriter({"kept": pa.bool_()})
        with pytest.raises(ValueError, match="text"):
            ledger.TextWriter({"text": pa.string()})

    def test_an_empty_shard_has_its_schema(self, tmp_path: Path) -> None:
        write_texts(tmp_path / "t.parquet", [])
        write_verdicts(tmp_path / "v.parquet", [])
        assert list(ledger.documents(tmp_path / "t.parquet", tmp_path / "v.parquet")) == []
        assert ledger.read_kept(tmp_path / "t.parquet").schema.names[-1] == "row"
        assert ledger.read_verdicts(tmp_path / "v.parquet", ["kept"]).schema.names == ["kept"]

    def test_all_columns_of_a_later_document_survive(self, tmp_path: Path) -> None:
        writer = ledger.VerdictWriter({"late": pa.string()})
        writer.add("a", 0)
        writer.add("b", 1, late="value")
        writer.write(tmp_path / "v.parquet")
        assert ledger.read_verdicts(tmp_path / "v.parquet")["late"].to_pylist() == [None, "value"]


class TestTexts:
    def test_extra_columns_come_back_as_extra(self, tmp_path: Path) -> None:
        writer = ledger.TextWriter({"cluster": pa.string()})
        writer.add("a", "u", "d", "some text", cluster="c")
        writer.write(tmp_path / "t.parquet")
        (document,) = ledger.documents(tmp_path / "t.parquet")
        assert (document.doc_id, document.row, document.text) == ("a", 0, "some text")
        assert document.extra == {"cluster": "c"}
        assert writer.characters == len("some text")

    @pytest.mark.parametrize("extra", [{}, {"cluster": "c", "other": 1}])
    def test_missing_and_undeclared_columns_are_errors(self, extra: dict[str, object]) -> None:
        with pytest.raises(KeyError, match="wanted"):
            ledger.TextWriter({"cluster": pa.string()}).add("a", "u", "d", "t", **extra)

    @given(st.lists(TEXTS, max_size=20))
    @ANY_FOLDER
    def test_any_text_comes_back(self, tmp_path: Path, texts: list[str]) -> None:
        writer = ledger.TextWriter()
        for number, text in enumerate(texts):
            writer.add(str(number), text, text, text)
        writer.write(tmp_path / "t.parquet")
        assert [document.text for document in ledger.documents(tmp_path / "t.parquet")] == texts


class TestFiles:
    def test_equal_rows_give_equal_bytes(self, tmp_path: Path) -> None:
        for name in ("one", "other"):
            write_texts(tmp_path / name, [f"{number:04x}" for number in range(6_000)])
        assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()

    def test_a_failed_write_leaves_the_old_file_and_no_other(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "t.parquet"
        write_texts(path, ["aaaa"])
        before = path.read_bytes()

        def fail(table: pa.Table, where: Path, **options: object) -> None:
            Path(where).write_bytes(b"half of a fi")
            raise OSError("No space left on device")

        monkeypatch.setattr(pq, "write_table", fail)
        with pytest.raises(OSError, match="No space"):
            write_texts(path, ["bbbb"])
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


class TestAVerdictReachesOnlyItsDocument:
    @given(IDS, st.data())
    @ANY_FOLDER
    def test_true_verdicts_select_exactly_the_kept_documents(
        self, tmp_path: Path, ids: list[str], data: st.DataObject
    ) -> None:
        kept = [data.draw(st.booleans()) for _ in ids]
        write_texts(tmp_path / "t.parquet", ids)
        write_verdicts(tmp_path / "v.parquet", [(doc_id, row, kept[row]) for row, doc_id in enumerate(ids)])
        found = [(one.doc_id, one.row) for one in ledger.documents(tmp_path / "t.parquet", tmp_path / "v.parquet")]
        assert found == [(doc_id, row) for row, doc_id in enumerate(ids) if kept[row]]

    @given(IDS.filter(bool), st.data())
    @ANY_FOLDER
    def test_any_other_verdicts_are_refused(self, tmp_path: Path, ids: list[str], data: st.DataObject) -> None:
        """Whatever rows verdicts claim: either every text read belongs to the judged doc_id, or reading fails."""
        names = st.sampled_from(ids) | st.just("ffff0")
        claims = data.draw(st.lists(st.tuples(names, st.integers(-2, len(ids) + 1), st.booleans()), max_size=8))
        write_texts(tmp_path / "t.parquet", ids)
        write_verdicts(tmp_path / "v.parquet", claims)
        true = all(0 <= row < len(ids) and ids[row] == doc_id for doc_id, row, _ in claims)
        if true:
            found = ledger.documents(tmp_path / "t.parquet", tmp_path / "v.parquet")
            assert [(one.doc_id, one.text) for one in found] == [(i, f"text of {i}") for i, _, kept in claims if kept]
        else:
            with pytest.raises(ledger.LedgerError):
                list(ledger.documents(tmp_path / "t.parquet", tmp_path / "v.parquet"))

    def test_one_document_more_in_front_is_noticed(self, tmp_path: Path) -> None:
        """Matching by row number alone would delete the wrong documents without a word."""
        write_texts(tmp_path / "t.parquet", ["0000", "aaaa", "bbbb"])
        write_verdicts(tmp_path / "v.parquet", [("aaaa", 0, True), ("bbbb", 1, False)])
        with pytest.raises(ledger.LedgerError, match="verdict 0 judges aaaa, but row 0 holds 0000"):
            list(ledger.documents(tmp_path / "t.parquet", tmp_path / "v.parquet"))

    @pytest.mark.parametrize("row", [-1, 2])
    def test_a_row_outside_the_shard_is_named(self, tmp_path: Path, row: int) -> None:
        write_texts(tmp_path / "t.parquet", ["aaaa", "bbbb"])
        write_verdicts(tmp_path / "v.parquet", [("aaaa", 0, True), ("bbbb", row, True)])
        with pytest.raises(ledger.LedgerError, match=f"row {row} of a shard with 2"):
            list(ledger.documents(tmp_path / "t.parquet", tmp_path / "v.parquet"))
