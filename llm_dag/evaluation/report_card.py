"""The asset `report_card`: one self-contained page about what was made, from what, and how good it is.

data/report_card.json    what it reports: the funnel, the scores, samples of answers and dreams
record/report_card.html  the page, which also shows clocks and names recipes: times, sizes, lineage, configurations

The page needs no network and no script: styles and plots are inline. It shows what its inputs recorded and computes no
score of its own; a number that is missing is called missing. Everything that a page, a model or a file name contributed
is escaped: the template engine escapes by default, and plots escape what they are given.
"""

from __future__ import annotations

import dataclasses
import json
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pyarrow.parquet as pq
from markupsafe import Markup

from llm_dag.config.evaluation import Report
from llm_dag.config.places import resolve
from llm_dag.evaluation.page import curves, funnel, headline, lineage, scores, wording
from llm_dag.evaluation.plots import ROW
from llm_dag.evaluation.scores import Score, read_scores
from llm_dag.store.artifact import Artifact
from llm_dag.store.errors import StoreError
from llm_dag.store.work import Work

LABELS = ("asked", "held out", "taught")


def build(work: Work) -> None:
    """Gather what the inputs recorded and write the page."""
    config: Report = work.config
    reported = facts(config, work.input("evaluations"), work.input("base_model"))
    told = json.dumps(dataclasses.asdict(reported), indent=1, sort_keys=True, ensure_ascii=False)
    work.data("report_card.json").write_text(told + "\n", encoding="utf-8")
    roots = [artifact for name in sorted(work.input_artifacts) for artifact in work.inputs(name)]
    html = render(config, reported, work.input("base_model"), work.input("sft_model"), roots)
    work.record("report_card.html").write_text(html, encoding="utf-8")
    work.metrics["page_bytes"] = len(html.encode("utf-8"))


@dataclass(frozen=True)
class Facts:
    """What the page reports that no clock decides."""

    title: str
    funnel: list[funnel.Stage]
    scores: list[Score]
    kinds: list[dict[str, Any]]  # of held-out questions: how many, and the measures of both models
    answers: list[dict[str, Any]]  # rows of evaluations, the first of each label
    dreams: list[dict[str, Any]]


def facts(config: Report, evaluations: Artifact, base_model: Artifact) -> Facts:
    """The funnel of the pages that the base model was made from, the scores, and samples."""
    answers = read_rows(evaluations.path("answers.parquet"))
    return Facts(
        title=config.title,
        funnel=funnel.funnel(lineage.trace([base_model])),
        scores=list(read_scores(evaluations.path("scores.parquet")).values()),
        kinds=scores.by_kind(answers),
        answers=[row for label in LABELS for row in _first(answers, label, config.samples)],
        dreams=read_rows(evaluations.path("dreams.parquet"))[: config.samples],
    )


def render(config: Report, reported: Facts, base_model: Artifact, sft_model: Artifact, roots: list[Artifact]) -> str:
    """The page as HTML."""
    nodes, stages = lineage.trace(roots), reported.funnel
    found = {(one.metric, one.model): one for one in reported.scores}
    context = {
        "title": reported.title,
        "sentence": headline.sentence(nodes, stages, found),
        "figures": headline.figures(nodes, stages, found),
        "stages": stages,
        "plots": [*_learning(base_model, "base model"), *_learning(sft_model, "SFT model")],
        "compressors": scores.compressors(found),
        "compression_plot": scores.compression_plot(found),
        "whole": found.get(("heldout_all_bits_per_byte", "base")),
        "comparisons": scores.comparisons(found),
        "taught": found.get(("taught_overlap", "sft")),
        "kinds": reported.kinds,
        "answers": reported.answers,
        "dreams": reported.dreams,
        "nodes": nodes,
        "graph": lineage.graph(nodes),
        "row_height": ROW,
        "times": lineage.time_and_space(nodes),
        "configs": [(node, lineage.settings(node.artifact.config)) for node in nodes if node.artifact is not None],
    }
    path = resolve(config.template)
    page = template(path)
    try:
        return page.render(**context)
    except Exception as error:  # a template calls what it likes
        steps = traceback.extract_tb(error.__traceback__)
        lines = [step.lineno for step in steps if step.filename == page.filename]
        raise _bad(
            path, lines[-1] if lines else 1, error, f"the page's names are {', '.join(sorted(context))}"
        ) from error


class TemplateError(StoreError):
    """A template that makes no page: the message names key, file, line, what was found and what is allowed."""


def template(path: Path) -> jinja2.Template:
    """The page's template, with escaping on and an error for a name that it uses and nobody gave.

    Raises:
        TemplateError: it is missing, not UTF-8, or not Jinja.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_harmless
    )
    environment.filters |= {
        "count": wording.count,
        "size": wording.size,
        "duration": wording.duration,
        "percent": wording.percent,
        "decimal": wording.decimal,
        "phrase": wording.phrase,
        "interval": scores.interval,
    }
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TemplateError(f"evaluation.report.template={path}: cannot be read ({error})") from error
    try:
        code = environment.compile(content.decode("utf-8"), filename=str(path))
    except UnicodeDecodeError as error:
        raise _bad(path, content.count(b"\n", 0, error.start) + 1, error, "a template is UTF-8 text") from None
    except jinja2.TemplateSyntaxError as error:
        raise _bad(path, error.lineno, error, "a Jinja template is wanted") from None
    return jinja2.Template.from_code(environment, code, environment.make_globals(None))


def _bad(path: Path, line: int | None, error: Exception, allowed: str) -> TemplateError:
    return TemplateError(f"evaluation.report.template={path}, line {line}: {type(error).__name__}: {error}; {allowed}")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """A small Parquet table as rows."""
    rows: list[dict[str, Any]] = pq.read_table(path, partitioning=None).to_pylist()
    return rows


def _harmless(value: Any) -> Any:
    """A value of the page without characters that act; escaping comes after."""
    if isinstance(value, Markup):
        return Markup(wording.visible(value))
    return wording.visible(value) if isinstance(value, str) else value


def _first(answers: list[dict[str, Any]], label: str, count: int) -> list[dict[str, Any]]:
    return [row for row in answers if row["label"] == label][:count]


def _learning(model: Artifact, whose: str) -> list[curves.Plot]:
    return curves.learning(model.path("history.parquet"), whose) if "history.parquet" in model.names() else []
