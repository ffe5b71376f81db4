"""All steps behind extraction together, and the checks over what they made."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from llm_dag import ledger
from llm_dag.assets.evaluation import CURATION
from llm_dag.assets.graph import graph
from llm_dag.curation import checks
from tests.curation.chain import Made, chain, eval_sets, extracted, node
from tests.curation.test_custom import QUESTION
from tests.curation.test_gopher import PROSE
from tests.curation.test_language import GERMAN

NOUNS = "library bridge garden engine market harbour museum kitchen forest station theatre orchard window letter"
VERBS = "crossed painted remembered described measured carried followed answered repaired visited opened studied"
MANNERS = "slowly carefully twice quietly again gladly often yesterday seldom together early without delay"
STEPS = CURATION[3:]  # behind extraction


def page(number: int) -> str:
    """English sentences of its own: enough of them, and of words, for every rule."""
    draw = random.Random(number)
    nouns, verbs, manners = NOUNS.split(), VERBS.split(), MANNERS.split()

    def thing() -> str:
        return f"{draw.choice(['the', 'a', 'that', 'every', 'their'])} {draw.choice(nouns)}"

    def clause() -> str:
        return f"{thing()} {draw.choice(verbs)} {thing()} {draw.choice(manners)}"

    joints = [" and ", ", but ", " because ", ", which is why ", " while ", " with "]
    return " ".join(f"{clause()}{draw.choice(joints)}{clause()}.".capitalize() for _ in range(10))


def fates(number: int) -> str:
    """A page, now and then one that a certain step drops."""
    special = {
        5: GERMAN * 3,
        15: "A short page.",
        25: page(24) + " It ends here.",
        35: PROSE + " And more of it. " + page(35) + "\nfunction() { return }",
        45: "\n".join([page(450), QUESTION[:70] + ".", page(451), page(452), QUESTION[:70] + ".", page(453)]),
        55: f"{page(55)} {QUESTION} {page(56)}",
        65: f"{page(65)} Write to jane.doe@mail.example.net about it.",
    }
    return special.get(number, page(number))


PAGES = [(f"{number:03d}", fates(number)) for number in range(300)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    tmp = tmp_path_factory.mktemp("chain")
    benchmarks = eval_sets(tmp, [("trains", "7", QUESTION)])
    pii = node("pii", heldout_fraction=0.1)
    found = chain(tmp, extracted(tmp, [PAGES[0::2], PAGES[1::2]]), benchmarks, pii=pii)
    found["custom_filtered"].config = {"overlap_ngram": 13}  # type: ignore[attr-defined]
    found["pii_redacted"].config = {"heldout_fraction": 0.1}  # type: ignore[attr-defined]
    return found


def copy(made: Made, tmp: Path, above: list[Made] | None = None) -> Made:
    shutil.copytree(made.folder, tmp / made.asset)
    other = Made(made.asset, tmp / made.asset, made.above if above is None else above)
    other.config = getattr(made, "config", {})  # type: ignore[attr-defined]
    return other


def rewrite(made: Made, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    path = made.path(name)
    table = change(pq.read_table(path))
    path.unlink()
    ledger.write_table(table, path)


def test_each_page_meets_its_fate(made: dict[str, Made]) -> None:
    found = {name: reason for step in STEPS for name, reason in made[step].reasons().items() if reason}
    expected = {
        "005": "language",
        "025": "",
        "024": "duplicate",
        "035": "curly_bracket",
        "045": "char_dup_ratio",
        "055": "evaluation_overlap",
        "065": "",
    }
    assert found.pop("015") in ("language_score", "gopher_short_doc")
    assert {name: found.get(name, "") for name in expected} == expected
    assert set(found) == {name for name, reason in expected.items() if reason}
    texts = {row["doc_id"]: row for row in made["pii_redacted"].rows("text")}
    assert "Write to email@example.com about it." in texts["065"]["text"]
    assert texts["025"]["cluster"] == "024"


def test_nothing_is_lost_between_steps(made: dict[str, Made]) -> None:
    for step in STEPS:
        result = checks.conservation(made[step])
        assert result.passed, (step, result.message)
        metrics = made[step].metrics
        assert result.numbers == {name: metrics[name] for name in result.numbers}
        assert metrics["documents_in"] == metrics["documents_kept"] + metrics["documents_dropped"]


def test_the_same_bytes_come_out_again(made: dict[str, Made], tmp_path: Path) -> None:
    benchmarks = eval_sets(tmp_path, [("trains", "7", QUESTION)])
    again = chain(
        tmp_path, extracted(tmp_path, [PAGES[0::2], PAGES[1::2]]), benchmarks, pii=node("pii", heldout_fraction=0.1)
    )
    for step in (*STEPS, "minhash_signatures"):
        assert again[step].names() == made[step].names()
        for name in again[step].names():
            assert again[step].path(name).read_bytes() == made[step].path(name).read_bytes(), (step, name)


def test_the_chain_is_found_in_what_each_step_was_made_from(made: dict[str, Made]) -> None:
    found = checks.chain(made["pii_redacted"])  # type: ignore[arg-type]
    assert [one.asset for one in found] == ["extracted_text", *STEPS]
    for number, step in enumerate(STEPS):
        reordered = Made(step, made[step].folder, made[step].above[::-1])
        assert checks.chain(reordered)[:-1] == found[: number + 1]  # type: ignore[arg-type]


def test_the_declared_steps_make_one_chain(tmp_path: Path) -> None:
    """What each judges is the step before it in the funnel of the report."""
    declared = graph()
    made: dict[str, Made] = {}
    for name in CURATION:
        folder = tmp_path / name
        (folder / "verdicts").mkdir(parents=True)
        (folder / "verdicts" / "00000.parquet").touch()
        made[name] = Made(name, folder, [made[one.asset] for one in declared[name].inputs if one.asset in made])
    assert [one.asset for one in checks.chain(made[CURATION[-1]])] == list(CURATION)  # type: ignore[arg-type]


class TestConservation:
    def broken(self, made: dict[str, Made], tmp: Path, change: Callable[[pa.Table], pa.Table]) -> str:
        other = copy(made["gopher_filtered"], tmp)
        rewrite(other, "verdicts/00000.parquet", change)
        result = checks.conservation(other)
        assert not result.passed
        return result.message

    def test_a_lost_document(self, made: dict[str, Made], tmp_path: Path) -> None:
        assert "1 documents that language_filtered kept are missing" in self.broken(
            made, tmp_path, lambda t: t.slice(1)
        )

    def test_a_document_judged_twice(self, made: dict[str, Made], tmp_path: Path) -> None:
        message = self.broken(made, tmp_path, lambda table: pa.concat_tables([table, table.slice(0, 1)]))
        assert "0 documents that language_filtered kept are missing, 1 are too many or twice" in message

    def test_another_order(self, made: dict[str, Made], tmp_path: Path) -> None:
        assert "another order" in self.broken(
            made, tmp_path, lambda table: table.take(pa.array(range(len(table) - 1, -1, -1)))
        )

    def test_a_reason_on_a_kept_document(self, made: dict[str, Made], tmp_path: Path) -> None:
        def change(table: pa.Table) -> pa.Table:
            return table.set_column(3, table.schema.field(3), pa.array(["x"] * len(table), pa.string()))

        assert "a reason on a kept document" in self.broken(made, tmp_path, change)

    def test_a_missing_shard(self, made: dict[str, Made], tmp_path: Path) -> None:
        other = copy(made["gopher_filtered"], tmp_path)
        other.path("verdicts/00001.parquet").unlink()
        result = checks.conservation(other)
        assert (result.passed, "verdicts of 1 shards" in result.message) == (False, True)

    def test_a_text_that_is_not_there(self, made: dict[str, Made], tmp_path: Path) -> None:
        other = copy(made["c4_filtered"], tmp_path)
        rewrite(other, "text/00001.parquet", lambda table: table.slice(1))
        result = checks.conservation(other)
        assert (result.passed, "1 texts of kept documents are missing" in result.message) == (False, True)

    def test_a_shard_without_text(self, made: dict[str, Made], tmp_path: Path) -> None:
        other = copy(made["c4_filtered"], tmp_path)
        other.path("text/00001.parquet").unlink()
        result = checks.conservation(other)
        assert (result.passed, "texts of 1 shards, verdicts of 2" in result.message) == (False, True)

    def test_the_documents_of_the_step_before_are_wanted(self, made: dict[str, Made], tmp_path: Path) -> None:
        """Not those of an earlier one whose text is read."""
        result = checks.conservation(copy(made["c4_filtered"], tmp_path, made["minhash_deduped"].above))
        assert (result.passed, "documents that gopher_filtered kept" in result.message) == (False, True)


class TestRetention:
    def test_passes_on_a_healthy_chain(self, made: dict[str, Made]) -> None:
        for step in STEPS:
            result = checks.retention(made[step])
            assert result.passed, (step, result.message)
            assert 0.9 < result.numbers["retention"] <= 1

    def test_fails_where_almost_nothing_is_kept(self, made: dict[str, Made], tmp_path: Path) -> None:
        other = copy(made["language_filtered"], tmp_path)
        for name in other.names("verdicts/"):
            rewrite(other, name, lambda t: t.set_column(2, t.schema.field(2), pa.array([False] * len(t))))
        result = checks.retention(other)
        assert (result.passed, result.message) == (False, "0 of 300 kept (0.0%); wanted: 2% to 100%")

    def test_says_nothing_about_few_documents(self, made: dict[str, Made], tmp_path: Path) -> None:
        other = copy(made["language_filtered"], tmp_path)
        for name in other.names("verdicts/"):
            rewrite(other, name, lambda table: table.slice(0, 10))
        assert checks.retention(other).passed


class TestCanaries:
    def judged(self, made: dict[str, Made], tmp: Path, rows: list[dict[str, Any]] | None) -> Any:
        """The check over the chain below a `raw_pages` with these canaries."""
        above: list[Made] = []
        for name in ("raw_pages", "url_filtered"):
            folder = tmp / name
            shutil.copytree(made["extracted_text"].folder / "verdicts", folder / "verdicts")
            above.append(Made(name, folder, above))

        def below(one: Made) -> Made:
            return Made(one.asset, one.folder, above if one.asset == "extracted_text" else map(below, one.above))

        if rows is not None:
            kinds = [(name, pa.string()) for name in ("doc_id", "url", "step", "reason")]
            kinds += [(name, pa.list_(pa.string())) for name in ("must_contain", "must_not_contain")]
            full = [
                {"url": f"https://canary/{row['doc_id']}", "must_contain": [], "must_not_contain": [], **row}
                for row in rows
            ]
            ledger.write_table(
                pa.Table.from_pylist(full, schema=pa.schema(kinds)), above[0].folder / "canaries.parquet"
            )
        return checks.canaries_met_their_fate(below(made["pii_redacted"]))  # type: ignore[arg-type]

    GOOD = (
        {"doc_id": "005", "step": "language_filtered", "reason": "language"},
        {"doc_id": "024", "step": "minhash_deduped", "reason": "duplicate"},
        {"doc_id": "055", "step": "custom_filtered", "reason": "evaluation_overlap"},
        {
            "doc_id": "065",
            "step": "",
            "reason": "",
            "must_contain": ["email@example.com"],
            "must_not_contain": ["jane.doe"],
        },
    )

    def test_pass_where_every_fate_is_met(self, made: dict[str, Made], tmp_path: Path) -> None:
        result = self.judged(made, tmp_path, list(self.GOOD))
        assert (result.passed, result.message) == (True, "4 of 4 canaries met their fate")

    def test_pass_without_canaries(self, made: dict[str, Made], tmp_path: Path) -> None:
        assert self.judged(made, tmp_path, None).message == "no canaries in this source"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"doc_id": "005", "step": "", "reason": ""},
                "dropped by language_filtered as language; wanted: kept to the end",
            ),
            (
                {"doc_id": "007", "step": "c4_filtered", "reason": "x"},
                "kept to the end; wanted: dropped by c4_filtered as x",
            ),
            ({"doc_id": "005", "step": "gopher_filtered", "reason": "language"}, "wanted: dropped by gopher_filtered"),
            ({"doc_id": "999", "step": "", "reason": ""}, "no step has judged it"),
            ({"doc_id": "065", "step": "", "reason": "", "must_contain": ["jane.doe"]}, "lacks what it must contain"),
            ({"doc_id": "065", "step": "", "reason": "", "must_not_contain": ["@"]}, "holds what it must not contain"),
        ],
    )
    def test_fail_and_name_the_page(
        self, made: dict[str, Made], tmp_path: Path, change: dict[str, Any], message: str
    ) -> None:
        result = self.judged(made, tmp_path, [*self.GOOD, change])
        assert not result.passed
        assert "of 5 canaries met their fate" in result.message
        assert f"https://canary/{change['doc_id']}: " in result.message
        assert message in result.message
        assert "jane.doe" not in result.message  # never page text


UNSEEN = "Which of these nine planets would an astronomer of the fifteenth century not have known?"


class TestCleanText:
    def test_holds_no_benchmark_text(self, made: dict[str, Made]) -> None:
        result = checks.no_benchmark_text(made["pii_redacted"])
        assert result.passed
        assert result.numbers == {"overlapping": 0, "benchmark_items": 1, "benchmark_items_too_short": 0}
        metrics = made["custom_filtered"].metrics
        assert (metrics["benchmark_items"], metrics["benchmark_items_too_short"]) == (1, 0)

    @pytest.mark.parametrize(
        ("texts", "message"),
        [
            ([], "nothing was looked for: there are no benchmark items (tasks.files)"),
            (["two words"], "nothing was looked for; 1 items have too few telling words to be looked for"),
            (
                ["two words", "", UNSEEN],
                "0 of {} documents share 13 words in a row, and 0.0% of its words, with one of 1 benchmark items; "
                "wanted: 0; 2 items have too few telling words to be looked for",
            ),
        ],
    )
    def test_what_cannot_be_looked_for_is_told(
        self, made: dict[str, Made], tmp_path: Path, texts: list[str], message: str
    ) -> None:
        items = eval_sets(tmp_path, [("task", str(number), text) for number, text in enumerate(texts)])
        custom = copy(made["custom_filtered"], tmp_path, [made["c4_filtered"], items])
        result = checks.no_benchmark_text(copy(made["pii_redacted"], tmp_path, [made["c4_filtered"], custom]))  # type: ignore[arg-type]
        assert result.message == message.format(len(made["pii_redacted"].rows("text")))
        short = len(texts) - (UNSEEN in texts)
        assert result.numbers == {"overlapping": 0, "benchmark_items": len(texts), "benchmark_items_too_short": short}

    def test_with_a_question_in_it_fails(self, made: dict[str, Made], tmp_path: Path) -> None:
        other = copy(made["pii_redacted"], tmp_path)

        def change(table: pa.Table) -> pa.Table:
            place = table.schema.get_field_index("text")
            return table.set_column(
                place, table.schema.field(place), pc.binary_join_element_wise(table["text"], QUESTION, " ")
            )

        rewrite(other, "text/00000.parquet", change)
        result = checks.no_benchmark_text(other)
        assert not result.passed
        assert "with item 7 of trains" in result.message

    def test_splits_are_by_whole_clusters(self, made: dict[str, Made]) -> None:
        result = checks.heldout_disjoint(made["pii_redacted"])
        assert result.passed, result.message
        assert result.numbers["heldout"] > 10

    def test_a_page_crawled_again_stays_on_its_side(self, made: dict[str, Made], tmp_path: Path) -> None:
        """Its doc_id is new, and with it the order of all pages and the names of all clusters."""
        remade = chain(
            tmp_path, extracted(tmp_path, [PAGES[::-1]], crawl="later-"), pii=node("pii", heldout_fraction=0.1)
        )
        again = remade["pii_redacted"]
        first = {row["url"]: row for row in made["pii_redacted"].rows("text")}
        second = {row["url"]: row for row in again.rows("text")}
        assert not {row["cluster"] for row in first.values()} & {row["cluster"] for row in second.values()}
        both = first.keys() & second.keys()
        assert len(both) > 200
        assert {url: first[url]["split"] for url in both} == {url: second[url]["split"] for url in both}
        assert sum(first[url]["split"] == "heldout" for url in both) > 10

    def test_a_cluster_in_both_splits_fails(self, made: dict[str, Made], tmp_path: Path) -> None:
        other = copy(made["pii_redacted"], tmp_path)

        def change(table: pa.Table) -> pa.Table:
            place = table.schema.get_field_index("cluster")
            return table.set_column(place, table.schema.field(place), pa.array(["same"] * len(table), pa.string()))

        rewrite(other, "text/00000.parquet", change)
        result = checks.heldout_disjoint(other)
        assert (result.passed, "1 clusters are in both, same first" in result.message) == (False, True)

    def test_an_empty_side_fails(self, made: dict[str, Made], tmp_path: Path) -> None:
        other = copy(made["pii_redacted"], tmp_path)
        for name in other.names("text/"):
            rewrite(other, name, lambda table: table.filter(pc.equal(table["split"], "train")))
        result = checks.heldout_disjoint(other)
        assert (result.passed, "0 held out; wanted: some on both sides" in result.message) == (False, True)
