"""What a filter of the configuration may do: real ones of datatrove, and classes of one's own that misbehave."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter

from llm_dag.curation.user_filters import JUDGED_AGAIN, REASONS, FilterError, UserFilter, user_filters
from llm_dag.ledger import Document as Judged
from tests.curation.chain import eval_sets, extracted, node, run
from tests.curation.test_gopher import PROSE
from tests.curation.test_quality import made_up, spam, trained
from tests.knobs.pages import about

DATATROVE = "datatrove.pipeline.filters."


def document(name: str, text: str = PROSE) -> Judged:
    return Judged(name, 0, f"https://example.org/{name}", "", text, {})


def one(**block: Any) -> UserFilter:
    files = block.pop("files", [])
    block["_target_"] = DATATROVE + block["_target_"]
    return user_filters(node("custom", filters=[block], files=files))[0]


def own(tmp: Path, body: str) -> UserFilter:
    path = tmp / "house_rules.py"
    path.write_text(f"class Rule:\n    def __init__(self): self.seen = set()\n    def filter(self, document):\n{body}")
    return user_filters(node("custom", filters=[{"_target_": "house_rules.Rule"}], modules=[str(path)]))[0]


class TestDatatrove:
    @pytest.mark.parametrize(
        ("block", "twin"),
        [
            ({"_target_": "GopherQualityFilter", "min_doc_words": 200}, GopherQualityFilter(min_doc_words=200)),
            ({"_target_": "GopherRepetitionFilter"}, GopherRepetitionFilter()),
        ],
    )
    def test_a_filter_decides_as_it_does_by_itself(self, block: dict[str, Any], twin: Any) -> None:
        made = one(**block)
        for text in (PROSE, "\n\n".join([PROSE] * 4), about("long", 40), "too short"):
            verdict = twin.filter(Document(text=text, id="1"))
            kept, why = verdict if isinstance(verdict, tuple) else (verdict, "")
            assert (made(document("1", text)) == "") == kept
            assert made(document("1", text)).endswith(why or "")

    def test_a_sample_is_drawn_by_document_whatever_the_order(self) -> None:
        names = [f"{number:03d}" for number in range(400)]
        drawn = [
            {name: one(_target_="SamplerFilter", rate=0.3, seed=seed)(document(name)) for name in names}
            for seed in (1, 2)
        ]
        together = one(_target_="SamplerFilter", rate=0.3, seed=1)
        assert {name: together(document(name)) for name in reversed(names)} == drawn[0]
        together.end_shard()
        assert drawn[0] != drawn[1]
        assert set(drawn[0].values()) == {"", "sampler_filter"}
        assert 80 < list(drawn[0].values()).count("") < 160

    def test_fasttext_reads_the_file_itself_and_not_a_copy_in_a_cache(self, tmp_path: Path) -> None:
        path = tmp_path / "quality.bin"
        verdicts = []
        for swapped in (False, True):
            labels = [(text, abs(label - swapped)) for text, label in made_up()]
            path.write_bytes(trained(tmp_path / str(swapped), labels).path("model.bin").read_bytes())
            made = one(
                _target_="FastTextClassifierFilter",
                model_url=str(path),
                keep_labels=[["good", 0.5]],
                newline_replacement=" ",
                files=[str(path)],
            )
            texts = (about("new", 6).lower(), spam(50).lower())
            verdicts.append([made(document("1", text)) == "" for text in texts])
        assert verdicts == [[True, False], [False, True]]

    @pytest.mark.parametrize(
        ("block", "message"),
        [
            (
                {"_target_": "LambdaFilter", "filter_function": "len"},
                r"function, which YAML cannot hold; write a class",
            ),
            (
                {"_target_": "C4BadWordsFilter"},
                "fetches its list of words from the network; put the words into a Regex",
            ),
            ({"_target_": "UnigramLogProbFilter"}, "fetches its table"),
            ({"_target_": "LanguageFilter", "languages": "en"}, r"curation\.language is this filter"),
            ({"_target_": "url_filter.URLFilter"}, r"curation\.url is this filter, with url\.block_lists"),
            (
                {"_target_": "RegexFilter", "regex_exp": "x", "exclusion_writer": {"_target_": "JsonlWriter"}},
                r"filters\[0\]\.exclusion_writer: not taken; what a filter drops stands in the verdicts",
            ),
            (
                {"_target_": "FastTextClassifierFilter", "model_url": "https://example.org/model.bin"},
                r"model_url=https://example\.org/model\.bin: wanted: a file that curation\.custom\.files names",
            ),
        ],
    )
    def test_what_cannot_be_had_says_what_can(self, block: dict[str, Any], message: str) -> None:
        with pytest.raises(FilterError, match=message):
            one(**block)

    def test_unknown_labels_and_files_that_are_no_models_are_named(self, tmp_path: Path) -> None:
        path = tmp_path / "model.bin"
        block = {"_target_": "FastTextClassifierFilter", "model_url": str(path), "files": [str(path)]}
        path.write_text("no model")
        with pytest.raises(FilterError, match=r"model\.bin: not a fastText model"):
            one(**block)
        path.write_bytes(trained(tmp_path / "q", made_up()).path("model.bin").read_bytes())
        with pytest.raises(FilterError, match=r"remove_labels: \['spam'\] are not among the model's labels"):
            one(**block, remove_labels=[["spam", 0.5]])


class TestOwnClasses:
    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("        return None", "gave a NoneType for 000; wanted: true"),
            ("        return (False, 'a', 'b')", "gave a tuple"),
            ("        return 'yes'", "gave a str"),
            ("        document.text += '.'; return True", "changed the text of 000"),
            ("        raise ValueError(document.text)", r"failed on 000: ValueError in .*house_rules\.py, line 4"),
            ("        return (False, document.text)", r"reason of \d+ characters for 000"),
        ],
    )
    def test_what_is_no_verdict_stops_and_never_tells_page_text(self, tmp_path: Path, body: str, message: str) -> None:
        with pytest.raises(FilterError, match=message) as caught:
            own(tmp_path, body)(document("000"))
        assert caught.value.__cause__ is None
        assert PROSE[:30] not in str(caught.value)

    def test_reasons_are_names_of_rules(self, tmp_path: Path) -> None:
        rule = own(tmp_path, "        return (False, 'scored ' + document.id)")
        for number in range(REASONS):
            rule(document(f"{number:03d}"))
        with pytest.raises(FilterError, match=f"more than {REASONS} different reasons"):
            rule(document("999"))

    @pytest.mark.parametrize(
        "body",
        [
            "        new = document.text not in self.seen; self.seen.add(document.text); return new",
            "        self.seen.add(document.id); return len(self.seen) > 3",
            "        import random; return random.random() < 0.5",  # the generator of the whole process
        ],
    )
    def test_a_verdict_that_depends_on_other_documents_or_chance_stops(self, tmp_path: Path, body: str) -> None:
        rule = own(tmp_path, body)
        random.seed(1)
        for number in range(JUDGED_AGAIN + 20):
            rule(document(f"{number:03d}", f"{PROSE} {number}"))
        with pytest.raises(FilterError, match="judges each document by itself"):
            rule.end_shard()

    def test_shards_are_judged_again_too(self, tmp_path: Path) -> None:
        module = tmp_path / "house_rules.py"
        module.write_text(
            "class Once:\n    seen = False\n    def filter(self, document):\n"
            "        first, self.seen = not self.seen, True\n        return first\n"
        )
        pages = extracted(tmp_path, [[("a", PROSE), ("b", PROSE)]])
        pages.asset = "c4_filtered"
        from llm_dag.curation import custom

        config = node("custom", filters=[{"_target_": "house_rules.Once"}], modules=[str(module)])
        with pytest.raises(FilterError, match=r"Once says once of a, and said keep before"):
            run(custom.build, "custom_filtered", config, [pages, eval_sets(tmp_path)], tmp_path)

    def test_a_file_that_is_not_listed_is_refused(self, tmp_path: Path) -> None:
        words = tmp_path / "words.txt"
        words.write_text("ferry")
        with pytest.raises(
            FilterError, match=r"filters\[0\]\.regex_exp=.*words\.txt: a file that curation\.custom\.files"
        ):
            one(_target_="RegexFilter", regex_exp=str(words))

    def test_a_filter_is_made_anew_in_another_process(self, tmp_path: Path) -> None:
        rule = own(tmp_path, "        return (False, 'River') if 'river' in document.text else True")
        again = pickle.loads(pickle.dumps(rule))  # noqa: S301
        for made in (rule, again):
            assert [made(document("1", text)) for text in ("a river", "a sea")] == ["rule_river", ""]
