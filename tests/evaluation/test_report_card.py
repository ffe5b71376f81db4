"""The report card: everything in one file, nothing from elsewhere, nothing that a page wrote acts."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from llm_dag.config.compute import Compute
from llm_dag.config.evaluation import Report
from llm_dag.evaluation import report_card
from llm_dag.evaluation.scores import ANSWERS, DREAMS, SCORES, Score
from llm_dag.store.artifact import Artifact
from llm_dag.store.work import Work

HOSTILE = (
    "<script>alert('x')</script><img src=https://evil.example/p.png onerror=alert(1)>\u202egnirts\x00 & \"quoted\""
)
REPORT = Report(template="assets_data/report_card.html.jinja", title=f"Card {HOSTILE}", samples=3)


class Page(HTMLParser):
    """Tags, attributes and words of a page; complains about tags that are not closed in order."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def score(metric: str, model: str, value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return vars(Score(metric, model, value, low, high, 9, "bits per byte", f"note of {model} {HOSTILE}"))


def answer(label: str, number: int) -> dict[str, Any]:
    return {
        "id": f"{label} {number}",
        "subject": "s",
        "kind": HOSTILE,
        "label": label,
        "note": "",
        "question": f"question {number} {HOSTILE}",
        "reference": HOSTILE,
        "base_answer": HOSTILE,
        "sft_answer": HOSTILE,
        "bytes": 10,
        "base_bits": 20.0,
        "sft_bits": 10.0,
        "base_overlap": 0.1,
        "sft_overlap": 0.5,
    }


@pytest.fixture
def world(shelf: Any) -> dict[str, Artifact]:
    dump = "dump-1"
    listing = shelf.put("crawl_listing", {"listing.json": b"{}"}, partition=dump, config={"source": HOSTILE})
    counts = {"documents_in": 100, "documents_kept": 90, "documents_dropped": 10, f"dropped/{HOSTILE}": 10}
    raw = shelf.put("raw_pages", {}, (listing,), dump, metrics=counts, seconds=3.5)
    gopher = shelf.put(
        "gopher_filtered",
        {},
        (raw,),
        dump,
        metrics={"documents_in": 90, "documents_kept": 45, "documents_dropped": 44, "dropped/too_few_words": 44},
    )
    history = pa.table({"step": [0, 1, 2], "loss": [5.0, 4.0, float("nan")], "heldout_bits_per_byte": [3.0, None, 1.5]})
    base = shelf.put(
        "base_model", {"history.parquet": history}, (gopher,), metrics={"parameters": 5.7e6}, seconds=271.0
    )
    sft = shelf.put("sft_model", {"history.parquet": history}, (base,))
    rows = [
        score("heldout_bits_per_byte", "base", 1.5, 1.4, 1.6),
        score("heldout_bits_per_byte", "xz", 2.25),
        score("heldout_bits_per_byte", "xz_primed", 1.75),
        score("heldout_ratio_to_xz", "base", 0.667),
        *(
            score(metric, model, value, value - 0.1, value + 0.1)
            for metric in ("answer_bits_per_byte", "answer_overlap", "arithmetic_exact")
            for model, value in (("base", 0.5), ("sft", 0.25), ("gain", 0.25))
        ),
    ]
    answers = [answer(label, number) for label in ("held out", "taught", "asked") for number in range(5)]
    files = {
        "scores.parquet": pa.Table.from_pylist(rows, schema=SCORES),
        "answers.parquet": pa.Table.from_pylist(answers, schema=ANSWERS),
        "dreams.parquet": pa.Table.from_pylist([{"prompt": HOSTILE, "text": HOSTILE}], schema=DREAMS),
    }
    evaluations = shelf.put("evaluations", files, (base, sft))
    return {one.asset: one for one in (listing, raw, gopher, base, sft, evaluations)}


def rendered(world: dict[str, Artifact], **changes: Any) -> str:
    config = Report(**{**vars(REPORT), **changes})
    reported = report_card.facts(config, world["evaluations"], world["base_model"])
    return report_card.render(config, reported, world["base_model"], world["sft_model"], list(world.values()))


def test_hostile_text_is_shown_and_does_not_act(world: dict[str, Artifact]) -> None:
    html = rendered(world)
    page = Page(html)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert('x')</script>" in page.text
    assert "\x00" not in html
    assert "\u202e" not in html


def test_the_page_asks_for_nothing(world: dict[str, Artifact]) -> None:
    page = Page(rendered(world))
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    for tag, name, value in page.attributes:
        if name in ("src", "href", "srcset", "data", "action", "xlink:href", "poster"):
            assert value.startswith("#"), f"<{tag} {name}={value}>"
        if name == "style":
            assert "url(" not in value
    style = "".join(word for word in page.words if "--paper" in word)
    assert "url(" not in style
    assert "@import" not in style
    policy = [value for tag, name, value in page.attributes if tag == "meta" and "default-src" in value]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_every_plot_has_a_name_and_every_link_a_target(world: dict[str, Artifact]) -> None:
    html = rendered(world)
    page = Page(html)
    plots = [value for tag, name, value in page.attributes if tag == "svg" and name == "aria-label"]
    assert len(plots) >= 7
    assert all(plots)
    targets = {value for _, name, value in page.attributes if name == "id"}
    links = {value[1:] for _, name, value in page.attributes if name == "href"}
    assert links <= targets


def test_numbers_are_the_recorded_ones(world: dict[str, Artifact]) -> None:
    text = Page(rendered(world, title="Card")).text
    assert "A language model of 5.7 million parameters, made from 45 of 100 pages and trained in 4 min 31 s" in text
    assert "in 1.50 bits per byte where xz needs 2.25 (and 1.75 when it may look into the training text)" in text
    assert "too few words 44" in text
    assert "90 in, which is not kept and dropped together" in text
    for artifact in world.values():
        assert artifact.recipe in text
        assert artifact.digest in text


def test_a_step_that_two_lineages_know_is_counted_once(world: dict[str, Artifact], shelf: Any) -> None:
    """A held model's funnel is its own, also when a later version of a step stands beside it in the report."""
    newer = shelf.put(
        "gopher_filtered",
        {},
        (world["raw_pages"], world["crawl_listing"]),
        "dump-1",
        metrics={"documents_in": 90, "documents_kept": 80, "documents_dropped": 10, "dropped/stop_words": 10},
    )
    text = Page(rendered({**world, "newer": newer}, title="Card")).text
    assert "made from 45 of 100 pages" in text
    assert "stop words" not in text
    assert f"gopher_filtered · dump-1 · {newer.recipe[:6]}" in text
    assert newer.recipe in text


def test_what_is_missing_is_called_missing(shelf: Any) -> None:
    base = shelf.put("base_model", {})
    sft = shelf.put("sft_model", {}, (base,))
    empty = {
        "scores.parquet": SCORES.empty_table(),
        "answers.parquet": ANSWERS.empty_table(),
        "dreams.parquet": DREAMS.empty_table(),
    }
    evaluations = shelf.put("evaluations", empty, (base, sft))
    reported = report_card.facts(REPORT, evaluations, base)
    html = report_card.render(REPORT, reported, base, sft, [evaluations])
    text = Page(html).text
    for said in (
        "No step recorded how many documents it kept.",
        "The trainings recorded no history.",
        "No compression was measured.",
        "No questions were measured.",
        "No answers were recorded.",
        "No dreams were recorded.",
        "not recorded",
    ):
        assert said in text


def test_an_ancestor_that_is_gone_keeps_its_row(shelf: Any, world: dict[str, Artifact]) -> None:
    from llm_dag.store.errors import StoreError

    gone = world["crawl_listing"]

    def refuse(reference: Any) -> Artifact:
        raise StoreError(f"{reference.asset} is gone")

    world["raw_pages"]._open = refuse
    del world["crawl_listing"]
    text = Page(rendered(world)).text
    assert gone.recipe in text
    assert gone.digest in text


def test_no_clock_reaches_the_data(world: dict[str, Artifact], tmp_path: Path) -> None:
    """The page shows how long things took; what is reported is the same whenever it was made."""
    pages, told = [], []
    for folder, seconds in (("one", 12.0), ("two", 12.0), ("three", 9876.0)):
        for artifact in world.values():
            artifact.manifest = dataclasses.replace(artifact.manifest, seconds=seconds)
        work = Work(
            asset="report_card",
            partition=None,
            config=REPORT,
            compute=Compute(),
            input_artifacts={name: [artifact] for name, artifact in world.items()},
            folder=tmp_path / folder,
        )
        report_card.build(work)
        pages.append(work.record("report_card.html").read_bytes())
        told.append(work.data("report_card.json").read_bytes())
        assert work.metrics["page_bytes"] == len(pages[-1])
    assert pages[0] == pages[1] != pages[2]
    assert told[0] == told[1] == told[2]
    reported = json.loads(told[0])
    assert reported["title"] == REPORT.title
    assert {row["label"] for row in reported["answers"]} == set(report_card.LABELS)
    assert all(reported[part] for part in ("funnel", "scores", "dreams"))


def test_samples_limits_what_is_shown(world: dict[str, Artifact]) -> None:
    few, more = Page(rendered(world, samples=1)), Page(rendered(world, samples=4))
    assert few.tags.count("article") == 3
    assert more.tags.count("article") == 12


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"<p>\n{{ nobody }}</p>", "'nobody' is undefined; the page's names are .*title"),
        (b"<p>\n{{ title.nothing.at.all }}</p>", "has no attribute"),
        (b"<p>\n{{ 1 / 0 }}</p>", "ZeroDivisionError"),
        (b"<p>\n{% for %}</p>", "TemplateSyntaxError: .*a Jinja template is wanted"),
        (b"<p>\n{{ title | nofilter }}</p>", "No filter named 'nofilter'"),
        ("<p>\nü</p>".encode("latin-1"), "a template is UTF-8 text"),
    ],
)
def test_a_template_that_makes_no_page_is_named(
    world: dict[str, Artifact], tmp_path: Path, content: bytes, found: str
) -> None:
    path = tmp_path / "page.jinja"
    path.write_bytes(content)
    with pytest.raises(report_card.TemplateError, match=found) as caught:
        rendered(world, template=str(path))
    assert str(caught.value).startswith(f"evaluation.report.template={path}, line 2: ")
