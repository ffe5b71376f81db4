"""A classifier of quality: from labels to dropped pages."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.curation import custom, quality
from llm_dag.curation.checks_quality import FEW, beats_majority
from llm_dag.curation.quality_scores import Classifier, one_line
from llm_dag.curation.ranking import area, gain
from llm_dag.curation.user_filters import FilterError
from llm_dag.store.errors import StoreError
from tests.curation.chain import Made, eval_sets, extracted, node, run
from tests.curation.test_gopher import PROSE
from tests.knobs.pages import about

SPAM = ("casino", "bonus", "jackpot", "free", "click", "winner", "loan", "cheap", "pills", "offer", "deal", "crypto")


def spam(number: int) -> str:
    """Sentences of words that only bad texts have; each starts with a capital and ends with a full stop."""
    said = [" ".join(SPAM[(number * 7 + at * at + place) % len(SPAM)] for place in range(9)) for at in range(8)]
    return " ".join(f"{one.capitalize()} number {number} for the best of you." for one in said)


def made_up(good: int = FEW, bad: int = FEW) -> list[tuple[str, float]]:
    return [(about(f"good {at}", 5), 1) for at in range(good)] + [(spam(at), 0) for at in range(bad)]


def written(path: Path, labels: Iterable[tuple[Any, Any]]) -> list[str]:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in labels))
    return [str(path)]


def trained(tmp: Path, labels: Iterable[tuple[Any, Any]], **changes: Any) -> Made:
    tmp.mkdir(exist_ok=True, parents=True)
    config = node("quality", labels=written(tmp / "labels.jsonl", labels), **changes)
    return run(quality.build, "quality_classifier", config, [], tmp)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return trained(tmp_path_factory.mktemp("quality"), made_up())


class TestFromLabelsToDroppedPages:
    def judged(self, tmp: Path, learned: Made | None, **changes: Any) -> list[dict[str, Any]]:
        pages = extracted(tmp, [[("prose", about("a new page", 9)), ("spam", spam(99))]])
        pages.asset = "c4_filtered"
        inputs = [pages, eval_sets(tmp), *([learned] if learned else [])]
        return run(custom.build, "custom_filtered", node("custom", char_dup_ratio=1.0, **changes), inputs, tmp).rows()

    def test_pages_that_resemble_bad_texts_are_dropped(self, classifier: Made, tmp_path: Path) -> None:
        prose, bad = self.judged(tmp_path, classifier, min_quality=0.5)
        assert (prose["reason"], bad["reason"]) == ("", "low_quality")
        assert bad["quality"] < 0.5 <= prose["quality"]

    def test_scores_are_recorded_before_any_page_is_dropped_for_them(self, classifier: Made, tmp_path: Path) -> None:
        rows = self.judged(tmp_path, classifier)
        assert [row["reason"] for row in rows] == ["", ""]
        replayed = [custom.decide(row, node("custom", char_dup_ratio=1.0, min_quality=0.5)) for row in rows]
        assert replayed == ["", "low_quality"]

    def test_without_labels_nothing_is_made_and_no_byte_changes(self, tmp_path: Path) -> None:
        empty = run(quality.build, "quality_classifier", node("quality"), [], tmp_path)
        assert (empty.names(), empty.rows("heldout") if empty.shards else []) == (["heldout.parquet"], [])
        assert beats_majority(empty).passed  # type: ignore[arg-type]
        (row, _) = self.judged(tmp_path, empty)
        assert "quality" not in row

    def test_a_score_without_a_classifier_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(FilterError, match=r"min_quality=0\.5: there is no classifier"):
            self.judged(tmp_path, None, min_quality=0.5)


class TestTraining:
    def test_equal_labels_in_any_order_give_equal_bytes(self, classifier: Made, tmp_path: Path) -> None:
        again = trained(tmp_path, reversed(made_up()))
        assert again.entry("model.bin").digest == classifier.entry("model.bin").digest
        assert {name.rpartition(".")[2] for name in again.names()} == {"bin", "parquet"}

    def test_copies_are_one_text_with_the_mean_of_their_labels(self, tmp_path: Path) -> None:
        text = about("twice")
        path = written(tmp_path / "labels.jsonl", [(text, 1), (text.upper().replace(" ", "\n"), 0), (text, 1)])
        (one,) = quality.read_labels(path, 0.6)
        assert (one.line, one.good, one.text) == (1, True, one_line(text))
        assert one.label == pytest.approx(2 / 3)
        assert not quality.read_labels(path, 0.7)[0].good

    def test_each_fold_has_as_much_of_each_side(self, tmp_path: Path) -> None:
        path = written(tmp_path / "labels.jsonl", made_up(30, 12))
        order = quality.in_order(quality.read_labels(path, 0.5), 1)
        for fold in range(5):
            sides = [one.good for one in order[fold::5]]
            assert sides.count(False) in (1, 2, 3, 4)

    def test_every_label_is_held_out_once(self, classifier: Made) -> None:
        import pyarrow.parquet as pq

        rows = pq.read_table(classifier.path("heldout.parquet")).to_pylist()
        assert sorted(row["line"] for row in rows) == list(range(1, 2 * FEW + 1))
        assert {row["fold"] for row in rows} == set(range(5))

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([("a", 1)], "1 texts are good .* and 0 bad; wanted: at least 5 of each"),
            ([("a", "good")], r"labels\.jsonl:1: found \"label\": 'good'; wanted a number"),
            ([("a", 1), ("", 1)], r"labels\.jsonl:2: found \"text\": str; wanted a text"),
            ([(7, 1)], r"labels\.jsonl:1: found \"text\": int"),
            ([("a", float("nan"))], r"labels\.jsonl:1: found \"label\": nan"),
        ],
    )
    def test_labels_that_teach_nothing_are_an_error(self, tmp_path: Path, labels: Any, message: str) -> None:
        with pytest.raises(StoreError, match=message):
            trained(tmp_path, labels)

    def test_a_text_cannot_name_a_label(self, classifier: Made) -> None:
        model = Classifier(classifier.path("model.bin"))
        assert model.score("__label__good " + spam(3)) == model.score("label good " + spam(3))

    def test_a_classifier_goes_to_another_process(self, classifier: Made) -> None:
        model = Classifier(classifier.path("model.bin"))
        before = model.score(PROSE)
        assert pickle.loads(pickle.dumps(model)).score(PROSE) == before  # noqa: S301


class TestCheck:
    def test_passes_where_good_and_bad_are_told_apart(self, classifier: Made) -> None:
        result = beats_majority(classifier)  # type: ignore[arg-type]
        assert result.passed, result.message
        assert result.numbers["auc"] > 0.95

    def test_fails_where_labels_are_chance(self, tmp_path: Path) -> None:
        texts = [about(f"any {at}", 5) for at in range(2 * FEW)]
        result = beats_majority(trained(tmp_path, [(text, at % 2) for at, text in enumerate(texts)]))  # type: ignore[arg-type]
        assert not result.passed
        assert "wanted: an interval above 0.5" in result.message

    def test_fails_where_there_are_too_few_to_say(self, tmp_path: Path) -> None:
        result = beats_majority(trained(tmp_path, made_up(FEW, 6)))  # type: ignore[arg-type]
        assert not result.passed
        assert "6 labels on one side are too few" in result.message


SIDES = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=4, max_size=30).filter(
    lambda pairs: 2 <= sum(side for _, side in pairs) <= len(pairs) - 2
)


class TestRanking:
    @given(SIDES)
    def test_the_area_is_the_share_of_pairs_in_order(self, pairs: list[tuple[int, bool]]) -> None:
        above, below = ([value for value, side in pairs if side is wanted] for wanted in (True, False))
        wins = sum((a > b) + (a == b) / 2 for a in above for b in below)
        found = area([value for value, _ in pairs], [side for _, side in pairs])
        assert found.value == pytest.approx(wins / (len(above) * len(below)))
        assert 0 <= found.low <= found.value <= found.high <= 1

    def test_the_interval_is_that_of_delong(self) -> None:
        """By hand: components 1, 1, 2/3 of the good and 1, 1, 2/3 of the bad; variance (1/27) / 3 of each."""
        found = area([5, 4, 2, 3, 1, 0], [True, True, True, False, False, False])
        assert found.value == pytest.approx(8 / 9)
        assert found.value - found.low == pytest.approx(1.959964 * (2 * (1 / 27) / 3) ** 0.5)

    def test_a_constant_has_one_half(self) -> None:
        assert area([1] * 8, [True] * 5 + [False] * 3).value == 0.5

    def test_gain_over_a_baseline(self) -> None:
        found = gain([True, True, False, True], [True, False, False, False])
        assert found.value == 0.5
        assert found.low < 0 < found.high
