"""The shipped canaries meet their fate under every profile; there is one for each reason; malformed ones are named."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_dag.assets.evaluation import CURATION
from llm_dag.assets.graph import graph
from llm_dag.config.compose import compose
from llm_dag.config.places import resolve
from llm_dag.curation import (
    c4,
    checks,
    custom,
    decoding,
    extraction,
    gopher,
    language,
    minhash,
    nesting,
    raw_pages,
    url_filter,
    warc,
    warc_writer,
)
from llm_dag.curation.canaries import CanaryError, fates, mixed, read, without
from llm_dag.curation.python_docs.site import Page
from llm_dag.ledger import document_id
from llm_dag.progress import Silent
from llm_dag.store.artifact import Artifact
from llm_dag.store.build import materialize
from llm_dag.store.code_identity import identify
from llm_dag.store.resolve import Resolver
from llm_dag.store.store import Store

SHIPPED = resolve("assets_data/canaries")
PROFILES = ("documentation", "fast", "fineweb")
ABOVE = {"crawl_listing", "takedowns", "eval_sets", "minhash_signatures", "quality_classifier"}


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Artifact]:
    """The clean text of a small site under a profile, made by the real steps."""
    store, steps, code = str(tmp_path_factory.mktemp("store")), graph(), functools.cache(identify)

    @functools.cache
    def made(profile: str) -> Artifact:
        small = ("scale=ci", "source.max_pages=6", "source.distributions=[]", f"compute.store={store}")
        config = compose([*small, f"curation={profile}"])
        for name in [name for name in steps if name in ABOVE | set(CURATION)]:
            dump = config.identity.source.dump if steps[name].partitioned else None
            outcome = materialize(
                Resolver(Store(store), steps, config.identity, code), name, dump, config.compute, Silent()
            )
        return outcome.artifact

    return made


class TestFates:
    @pytest.mark.parametrize("profile", PROFILES)
    def test_every_canary_meets_its_fate(self, cleaned: Callable[[str], Artifact], profile: str) -> None:
        planted = len(read(SHIPPED))
        found = checks.canaries_met_their_fate(cleaned(profile))
        assert found.message == f"{planted} of {planted} canaries met their fate"

    @pytest.mark.parametrize("profile", PROFILES)
    def test_nothing_is_lost(self, cleaned: Callable[[str], Artifact], profile: str) -> None:
        for step in checks.chain(cleaned(profile))[1:]:
            result = checks.conservation(step)
            assert result.passed, (step.asset, result.message)

    def test_only_the_two_that_are_meant_to_be_are_alike(self, cleaned: Callable[[str], Artifact]) -> None:
        """Two canaries that were near-duplicates by accident would hide what they are for."""
        judged = cleaned("documentation").ancestor("minhash_deduped")
        ids = [document_id("python-docs", one.page.record_id) for one in read(SHIPPED)]
        rows = [row for name in judged.names("verdicts/") for row in pq.read_table(judged.path(name)).to_pylist()]
        assert sum(row["cluster_size"] > 1 for row in rows if row["doc_id"] in ids) == 2

    def test_a_filter_that_sleeps_is_noticed(self, cleaned: Callable[[str], Artifact]) -> None:
        """Each dropping canary is needed: with its verdict taken away, the check fails and names it."""
        pages = cleaned("documentation").ancestor("raw_pages")
        steps = checks.chain(cleaned("documentation"))
        rows = pq.read_table(pages.path("canaries.parquet")).to_pylist()
        ids = pa.array([row["doc_id"] for row in rows])
        met, texts = checks._fates(steps, ids), checks._texts(steps, ids)
        for row in rows:
            assert list(checks._problems(row, met, texts)) == []
            other = {**met, row["doc_id"]: ("", "") if row["reason"] else ("gopher_filtered", "gopher_short_doc")}
            assert [url for url, _ in checks._problems(row, other, texts)] == [row["url"]]


class TestReasons:
    def test_each_reason_has_a_canary_or_says_why_not(self) -> None:
        shown = {(one.step, one.reason) for one in read(SHIPPED) if one.step}
        excused = without(SHIPPED)
        known = {(step, reason) for step, reasons in all_reasons().items() for reason in reasons}
        assert known - shown - excused.keys() == set(), "write a canary, or an entry with `without`"
        assert shown - known == set(), "no step gives these reasons"
        assert excused.keys() - known == set(), "no step gives these reasons"
        assert excused.keys() & shown == set(), "these have a canary after all"

    def test_reasons_are_found_in_the_code(self) -> None:
        """What the test above compares with is not empty by mistake."""
        found = all_reasons()
        assert set(found) == set(CURATION) - {"pii_redacted"}
        assert {"clipped", "corrupt_gzip", "corrupt_http", "http_status", "revisit"} <= found["raw_pages"]
        assert {"html_too_deep", "no_text", "undecodable_body"} <= found["extracted_text"]
        assert {"unreadable_url", "takedown", "subdomain"} <= found["url_filtered"]
        assert found["c4_filtered"] == {"lorem_ipsum", "curly_bracket", "too_few_sentences"}
        assert len(found["gopher_filtered"]) == 1 + len(gopher.REPETITION) + len(gopher.QUALITY)


def all_reasons() -> dict[str, set[str]]:
    """Every reason of every step, from its tables and from the texts that its code returns."""
    return {
        "raw_pages": texts_of(returns(raw_pages, "reason")) | problems(warc),
        "url_filtered": texts_of(returns(url_filter, "_reason")),
        "extracted_text": texts_of(returns(extraction, "_extracted"))
        | texts_of(returns(nesting, "refusal"))
        | texts_of(calls(decoding, "BodyError")),
        "language_filtered": texts_of(returns(language, "decide")),
        "gopher_filtered": texts_of(returns(gopher, "decide"))
        | set(gopher.REPETITION)
        | {reason for _, _, _, reason in gopher.QUALITY},
        "minhash_deduped": {minhash.REASON},
        "c4_filtered": {
            text
            for text in texts_of(returns(c4, "judge_line")) | texts_of(assigned(c4, "reason"))
            if not text.startswith("cut_")
        },
        "custom_filtered": texts_of(returns(custom, "decide")) | set(custom.RULES),
    }


def nodes(module: ModuleType) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(Path(str(module.__file__)).read_text("utf-8")))


def returns(module: ModuleType, function: str) -> Iterator[ast.AST]:
    """What a function returns."""
    for node in nodes(module):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            yield from (inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return) and inner.value)


def calls(module: ModuleType, function: str) -> Iterator[ast.AST]:
    """What a function is called with."""
    for node in nodes(module):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == function:
            yield from [*node.args, *(keyword.value for keyword in node.keywords)]


def assigned(module: ModuleType, name: str) -> Iterator[ast.AST]:
    """What a name or an attribute is set to."""
    for node in nodes(module):
        if isinstance(node, ast.Assign):
            targets = [part for target in node.targets for part in getattr(target, "elts", [target])]
            if any(name in (getattr(target, "id", ""), getattr(target, "attr", "")) for target in targets):
                yield node.value


def problems(module: ModuleType) -> set[str]:
    """The problems of damaged records."""
    keywords = (
        keyword.value
        for node in nodes(module)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "problem"
    )
    return texts_of([*keywords, *calls(module, "_Piece"), *assigned(module, "problem")])


def texts_of(found: Any) -> set[str]:
    """The short snake_case texts that expressions may have as values; what they compare with does not count."""
    texts: set[str] = set()
    stack = list(found)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[a-z0-9_]+", node.value):
            texts.add(node.value)
        elif not isinstance(node, ast.Compare | ast.Call | ast.Subscript):
            stack += [part for part in ast.iter_child_nodes(node) if part is not getattr(node, "test", None)]
    return texts


class TestWriting:
    def test_equal_canaries_give_equal_bytes(self, tmp_path: Path) -> None:
        pages = [one.page for one in read(SHIPPED)]
        places = [warc_writer.write_pages(tmp_path / str(number) / "a.warc.gz", pages) for number in range(2)]
        assert places[0] == places[1]
        first, second = ((tmp_path / str(number) / "a.warc.gz").read_bytes() for number in range(2))
        assert first == second

    def test_places_are_where_readers_find_the_records(self, tmp_path: Path) -> None:
        pages = [one.page for one in read(SHIPPED)]
        places = warc_writer.write_pages(tmp_path / "a.warc.gz", pages)
        found = list(warc.captures(tmp_path / "a.warc.gz"))
        assert [one.offset for one in found[1:]] == list(places.values())
        for page, capture in zip(pages, found[1:], strict=True):
            hidden = page.damage in warc_writer.NAMELESS
            assert (capture.record_id, capture.url) == (("", "") if hidden else (page.record_id, page.url))

    def test_a_damage_costs_its_record_alone(self, tmp_path: Path) -> None:
        def page(name: str, damage: str = "") -> warc_writer.Planted:
            return warc_writer.Planted(
                f"https://a.example/{name}", b"<html><p>Some words.</p></html>" * 20, damage=damage
            )

        for damage in warc_writer.DAMAGES:
            pages = [page("before"), page("damaged", damage), page("after")]
            warc_writer.write_pages(tmp_path / f"{damage}.warc.gz", pages)
            _, before, damaged, after = warc.captures(tmp_path / f"{damage}.warc.gz")
            assert (raw_pages.reason(before), raw_pages.reason(after)) == ("", "")
            assert damaged.problem
            assert before.payload == after.payload == pages[0].content


def test_canaries_are_spread_among_the_pages() -> None:
    known = read(SHIPPED)
    pages = [Page(f"https://a.example/{number}", b"") for number in range(500)]
    together = mixed(pages, known)
    assert [page for page in together if page in pages] == pages
    places = [together.index(one.page) for one in known]
    assert len(together) == len(pages) + len(known)
    assert max(later - before for before, later in zip([0, *places], [*places, len(together)], strict=True)) < 40


def test_a_record_without_an_id_is_known_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>x</p>")
    (tmp_path / "canaries.yaml").write_text(
        "- {url: 'https://a.example/', file: a.html, step: raw_pages, reason: corrupt_gzip, damage: member}"
    )
    (row,) = fates(read(tmp_path), "dump", {"https://a.example/": ("digest", 7)}).to_pylist()
    assert row["doc_id"] == document_id("dump", "digest", 7)


def test_repeated_and_coded_bodies(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>a</p><!-- repeated --><p>{n}</p><!-- again --><p>z</p>")
    common = "url: 'https://a.example/{}', file: a.html, step: ''"
    entries = [
        f"- {{{common.format(number)}, repeat: 3{more}}}"
        for number, more in enumerate(["", ", encoding: 'chunked, gzip'"])
    ]
    (tmp_path / "canaries.yaml").write_text("\n".join(entries))
    plain, packed = (one.page for one in read(tmp_path))
    assert plain.content == b"<p>a</p><p>1</p><p>2</p><p>3</p><p>z</p>"
    assert dict(packed.headers) == {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
    assert decoding.decoded(packed.content, "chunked, gzip", 1000) == plain.content


ENTRY = "url: 'https://a.example/', file: a.html, step: ''"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("url: x", "a list of canaries"),
        ("- {url: 'https://a.example/', file: a.html}", "step"),
        ("- {url: 'https://a.example/', file: gone.html, step: ''}", r"gone\.html is missing"),
        ("- {url: 'https://a.example/', file: a.html, step: gopher_filtered}", "has a reason"),
        ("- {url: 'https://a.example/', file: a.html, step: ''}\n" * 2, "twice"),
        ("- a.html", "a mapping"),
        ("- {why: because: of}", "no YAML"),
        (f"- {{{ENTRY}, status: 99}}", "status: 99 is not one of"),
        (f"- {{{ENTRY}, record: request}}", "record: 'request' is not one of"),
        (f"- {{{ENTRY}, damage: flood}}", "damage: 'flood' is not one of"),
        (f"- {{{ENTRY}, encoding: br}}", "encoding: 'br' is not one of"),
        (f"- {{{ENTRY}, body: broken}}", "an encoding is wanted"),
        (f"- {{{ENTRY}, repeat: 2}}", "repeat: 2; a whole number, and"),
        ("- {step: gopher_filtered, reason: empty, without: ''}", "each with some text"),
        ("- {step: gopher_filtered, without: because}", "exactly the keys"),
    ],
)
def test_a_malformed_canary_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.html").write_text("<p>x</p>")
    (tmp_path / "canaries.yaml").write_text(text)
    with pytest.raises(CanaryError, match=words) as caught:
        read(tmp_path)
    assert "canaries.yaml" in str(caught.value)
