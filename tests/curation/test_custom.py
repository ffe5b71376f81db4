"""FineWeb's rules, benchmark overlap and the user's filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import FineWebQualityFilter
from hypothesis import given, settings

from llm_dag.config.compose import ConfigError
from llm_dag.config.targets import instantiate
from llm_dag.curation import custom
from llm_dag.curation.user_filters import FilterError, user_filters
from llm_dag.curation.words import Splitter
from llm_dag.store.errors import StoreError
from tests.curation.chain import Made, eval_sets, extracted, node, run
from tests.curation.test_gopher import PROSE
from tests.curation.webtext import texts

QUESTION = "Which of the two trains, leaving at the same time from towns ninety miles apart, arrives first in York?"


@pytest.fixture(scope="module")
def splitter() -> Splitter:
    return Splitter()


def c4_filtered(tmp: Path, *pages: str) -> Made:
    made = extracted(tmp, [[(f"{number:02d}", text) for number, text in enumerate(pages)]])
    made.asset = "c4_filtered"
    return made


def judged(tmp: Path, pages: list[str], benchmarks: Made | None = None, **changes: Any) -> list[dict[str, Any]]:
    inputs = [c4_filtered(tmp, *pages), benchmarks or eval_sets(tmp)]
    return run(custom.build, "custom_filtered", node("custom", **changes), inputs, tmp).rows()


@given(text=texts())
@settings(deadline=None, max_examples=75)
def test_decisions_and_reasons_are_those_of_datatrove(splitter: Splitter, text: str) -> None:
    result = FineWebQualityFilter().filter(Document(text=text, id="1"))
    scores = custom.measure(text, splitter.words(text), node("custom"))
    assert custom.decide(scores, node("custom")) == ("" if result is True else result[1])


@pytest.mark.parametrize(
    ("reason", "text", "lenient"),
    [
        ("empty", " \n ", {}),
        ("line_punct_ratio", "\n".join([f"{PROSE[:90]} {number}" for number in range(9)]), {"line_punct_ratio": 0.0}),
        ("short_line_ratio", "\n".join([PROSE, *(f"Line {n}." for n in range(4))]), {"short_line_ratio": 1.0}),
        ("char_dup_ratio", "\n".join([PROSE, PROSE]), {"char_dup_ratio": 1.0}),
        ("list_ratio", "\n".join([*(f"{'x' * 40}{n}." for n in range(9))]), {"list_ratio": 9.0}),
        ("", PROSE, {"short_line_length": 10_000}),
    ],
)
def test_each_rule_drops_a_page_and_its_key_decides(
    tmp_path: Path, reason: str, text: str, lenient: dict[str, float]
) -> None:
    (row,) = judged(tmp_path / "1", [text])
    assert row["reason"] == reason
    assert all(row[rule] is not None for rule in custom.RULES)
    if lenient:
        (row,) = judged(tmp_path / "2", [text], **lenient)
        assert row["reason"] != reason


def test_the_ledger_alone_replays_any_thresholds(tmp_path: Path) -> None:
    pages = [PROSE, "\n".join([PROSE, "One.", "Two.", "Two."]), "\n".join([PROSE, PROSE])]
    wanted = node("custom", char_dup_ratio=0.6, short_line_ratio=0.5)
    rows = judged(tmp_path / "1", pages)
    again = judged(tmp_path / "2", pages, char_dup_ratio=0.6, short_line_ratio=0.5)
    assert [custom.decide(row, wanted) for row in rows] == [row["reason"] for row in again]
    assert [row["reason"] for row in rows] != [row["reason"] for row in again]


class TestBenchmarkOverlap:
    def items(self, tmp: Path) -> Made:
        return eval_sets(tmp, [("trains", "7", QUESTION + "\nThe slow one"), ("short", "1", "too few words")])

    def test_a_page_with_a_question_is_dropped_and_the_match_is_named(self, tmp_path: Path) -> None:
        pages = [f"{PROSE}\n{QUESTION.upper()} {PROSE}", PROSE + " Too few words."]
        rows = judged(tmp_path, pages, self.items(tmp_path))
        assert [row["reason"] for row in rows] == ["evaluation_overlap", ""]
        assert (rows[0]["overlap_task"], rows[0]["overlap_item"]) == ("trains", "7")
        assert rows[0]["overlap_ngram"].startswith("which of the two trains leaving")
        assert len(rows[0]["overlap_ngram"].split()) == 13
        assert rows[1]["overlap_task"] is None

    def test_twelve_words_are_no_overlap_but_n_decides(self, tmp_path: Path) -> None:
        twelve = " ".join(QUESTION.split()[:12])
        pages = [f"{PROSE} {twelve}. {PROSE[:50]}."]
        assert judged(tmp_path / "1", pages, self.items(tmp_path))[0]["reason"] == ""
        assert (
            judged(tmp_path / "2", pages, self.items(tmp_path), overlap_ngram=12)[0]["reason"] == "evaluation_overlap"
        )

    def test_a_page_dropped_for_its_lines_still_shows_its_overlap(self, tmp_path: Path) -> None:
        (row,) = judged(tmp_path, [f"{PROSE}\n{PROSE}\n{QUESTION}"], self.items(tmp_path))
        assert (row["reason"], row["overlap_task"]) == ("char_dup_ratio", "trains")

    def test_the_shard_key_knows_the_benchmarks(self, tmp_path: Path) -> None:
        seen = []
        for number, items in enumerate([[], [("a", "1", QUESTION)], [("a", "1", QUESTION)]]):
            inputs = {
                "c4_filtered": c4_filtered(tmp_path, PROSE),
                "eval_sets": eval_sets(tmp_path / str(number), items),
                "quality_classifier": Made("quality_classifier", tmp_path / "none"),
            }

            class Keys:
                config = node("custom")

                def __init__(self) -> None:
                    self.metrics: dict[str, float] = {}

                def input(self, name: str, inputs: dict[str, Made] = inputs) -> Made:
                    return inputs[name]

                def map_shards(self, judge: Any, reads: Any, extra: Any, tools: Any) -> None:
                    seen.append(extra("00000"))

            custom.build(Keys())  # type: ignore[arg-type]
        assert seen[0] != seen[1] == seen[2]


REGEX = {"_target_": "datatrove.pipeline.filters.RegexFilter", "regex_exp": "coffee"}


class TestUserFilters:
    def test_a_real_filter_of_datatrove_judges(self, tmp_path: Path) -> None:
        pages = [PROSE, PROSE.replace("coffee", "tea")]
        rows = judged(tmp_path, pages, filters=[REGEX])
        assert [row["reason"] for row in rows] == ["regex_filter", ""]

    def test_our_own_reason_comes_first(self, tmp_path: Path) -> None:
        (row,) = judged(tmp_path, [f"{PROSE}\n{PROSE}"], filters=[REGEX])
        assert row["reason"] == "char_dup_ratio"

    def test_a_class_of_a_listed_file_judges_with_its_reason(self, tmp_path: Path) -> None:
        module = tmp_path / "house_rules.py"
        module.write_text(
            "class NoRivers:\n"
            "    def __init__(self, word): self.word = word\n"
            "    def filter(self, document):\n"
            "        return (False, 'Has a ' + self.word) if self.word in document.text else True\n"
        )
        blocks = [{"_target_": "house_rules.NoRivers", "word": "river"}]
        (row,) = judged(tmp_path, [PROSE], filters=blocks, modules=[str(module)])
        assert row["reason"] == "no_rivers_has_a_river"

    def test_a_filter_that_changes_text_is_refused(self, tmp_path: Path) -> None:
        blocks = [{"_target_": "datatrove.pipeline.filters.C4QualityFilter", "min_num_sentences": 1}]
        page = PROSE.replace(". ", ".\n") + "\nmore of it"
        with pytest.raises(
            FilterError, match=r"curation\.custom\.filters\[0\]: C4QualityFilter changed the text of 00"
        ):
            judged(tmp_path, [page], filters=blocks, short_line_ratio=1.0)

    @pytest.mark.parametrize(
        ("block", "message"),
        [
            ({"_target_": "os.system"}, r"filters\[0\]\._target_=os\.system: not allowed; allowed .*datatrove"),
            ({"_target_": "subprocess.Popen", "args": "true"}, "not allowed"),
            ({"_target_": "datatrove.pipeline.filters.NoSuch"}, "defines no class NoSuch"),
            ({"_target_": "datatrove.pipeline.nowhere.Filter"}, "No module named"),
            ({"_target_": "datatrove.utils.logging.logger"}, "defines no class"),
            ({"_target_": "datatrove.io.Path"}, "defines no class"),
            ({"_target_": "datatrove.data.Document", "text": "", "id": ""}, r"no method filter\(document\)"),
            ({"_target_": "datatrove.pipeline.filters.RegexFilter"}, "does not take these arguments.*regex_exp"),
            (REGEX | {"regex_exp": "("}, r"RegexFilter does not take these arguments: \w*[eE]rror: missing \)"),
            ({"regex_exp": "x"}, "wanted a dotted name"),
        ],
    )
    def test_everything_else_is_refused_with_its_key(self, block: dict[str, str], message: str) -> None:
        with pytest.raises(FilterError, match=message) as caught:
            user_filters(node("custom", filters=[block]))
        assert isinstance(caught.value, StoreError)  # the command tells it in words
        assert "curation.custom.filters[0]" in str(caught.value)

    @pytest.mark.parametrize("text", ["def filter(:", "import nowhere_at_all", "1 / 0"])
    def test_a_file_that_python_cannot_run_is_named(self, tmp_path: Path, text: str) -> None:
        module = tmp_path / "house_rules.py"
        module.write_text(text + "\n")
        config = node("custom", filters=[{"_target_": "house_rules.NoRivers"}], modules=[str(module)])
        with pytest.raises(FilterError, match=r"\[0\]\._target_=house_rules.NoRivers: .*house_rules\.py"):
            user_filters(config)

    def test_a_target_is_an_error_of_the_configuration(self) -> None:
        with pytest.raises(ConfigError, match="not allowed"):
            instantiate({"_target_": "os.system"}, "key", [])
