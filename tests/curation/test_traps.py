"""Traps of the field's blocks: shown in the installed datatrove, and absent here. docs/curation.md lists all fourteen.

Where a test fails because datatrove no longer falls into its trap, that is good news: drop the half that shows it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import GopherQualityFilter, LanguageFilter
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.lid import FT176LID
from datatrove.utils.text import TextNormConfig, simplify_text
from datatrove.utils.typeshelper import Languages

from llm_dag.config.places import resolve
from llm_dag.curation import extraction, language, pii
from llm_dag.curation.shingles import Shingler, jaccard
from llm_dag.curation.url_lists import integrated
from llm_dag.ledger import VerdictWriter, read_verdicts
from tests.curation.chain import chain, extracted, node
from tests.curation.test_chain import page

from .crawling import PROSE, build, from_files, numbered, rows, write_warc

SOURCES = Path(extraction.__file__).parents[1]
GERMAN = "Der Ausschuss traf sich am Dienstag, um über die neue Bücherei zu sprechen, und die meisten waren dafür."
MORE = "Another paragraph says something else, at some length, so that an extractor takes it for a part of the text."


@pytest.fixture
def forgotten() -> Iterator[None]:
    """trafilatura's memory of what it has seen, emptied before and after."""
    deduplication = pytest.importorskip("trafilatura.deduplication")
    deduplication.LRU_TEST.clear()
    yield
    deduplication.LRU_TEST.clear()


def test_1_no_language_is_wanted_by_default_and_english_is_en(monkeypatch: pytest.MonkeyPatch) -> None:
    model = language.load_model(resolve(node("language").model))
    monkeypatch.setattr(FT176LID, "model", model)
    assert LanguageFilter().filter(Document(text=GERMAN, id="1")) is True
    found = language.identify(model, GERMAN)
    assert language.decide(*found, node("language", languages=[])) == "language"
    assert Languages.english not in {label.removeprefix(language.LABEL) for label in model.get_labels()}
    assert node("language").languages == ["en"]


def test_2_the_text_of_a_page_does_not_depend_on_the_pages_before_it(forgotten: None) -> None:
    html = f"<html><body><article><p>{PROSE}</p><p>{PROSE}</p><p>{MORE}</p></article></body></html>"
    theirs, ours = Trafilatura(), extraction.extractor("trafilatura")
    assert len({theirs.extract(html) for _ in range(3)}) > 1
    assert {ours(html) for _ in range(4)} == {f"{PROSE}\n{PROSE}\n{MORE}"}


def test_2_the_first_page_of_a_worker_does_not_pay_for_imports() -> None:
    """An extractor is called before a page's time begins, in the process that will use it."""
    page = f"<html><body><article><p>{PROSE}</p><p>{MORE}</p></article></body></html>"
    code = (
        "import sys; from llm_dag.curation.extraction import extractor; extract = extractor('trafilatura'); "
        f"before = set(sys.modules); extract({page!r}); print(*sorted(set(sys.modules) - before))"
    )
    assert _python(code) == ""


def test_5_pages_that_differ_in_numbers_alone_stay_different() -> None:
    march, april = ("; ".join(f"item {k} costs {k * factor} dollars" for k in range(40)) for factor in (13, 17))
    made_equal = TextNormConfig(norm_numbers=True)
    assert simplify_text(march, made_equal) == simplify_text(april, made_equal)
    shingler = Shingler(5)
    assert jaccard(shingler.shingles(march), shingler.shingles(april)) < node("minhash").threshold


def test_6_7_14_no_executor_reader_or_tokenizer_of_datatrove_is_used() -> None:
    """They know a shard by its number, write truncated files under final names, and return normally after a failure."""
    used = {name for module in SOURCES.rglob("*.py") for name in _imported(module) if name.startswith("datatrove")}
    assert used >= {"datatrove.utils.text.TERMINAL_PUNCTUATION"}
    parts = {part for name in used for part in name.split(".")}
    assert not parts & {"executor", "dedup", "readers", "writers", "tokens", "dataset", "pipeline"}


def test_8_a_page_is_decoded_by_its_headers_and_keeps_its_place(tmp_path: Path) -> None:
    text = f"{PROSE} Crème brûlée is served at noon, and the café is open to every visitor until four o'clock."
    html = f"<html><body><article><p>{text}</p><p>{MORE}</p></article></body></html>"
    records = [
        numbered(1, body=html.encode("cp1252"), headers=("Content-Type: text/html; charset=windows-1252",)),
        numbered(2, body="<html><body>Nothing is here.</body></html>", status="404 Not Found"),
        numbered(3, body=b"\x89PNG", headers=("Content-Type: image/png",)),
    ]
    path = write_warc(tmp_path / "a.warc.gz", records)
    made = build(tmp_path / "store", *from_files(path), "curation=fast")
    found = rows(made["raw_pages"], "pages")
    assert [row["status"] for row in found] == [200, 404, 200]
    assert [row["reason"] for row in rows(made["raw_pages"], "verdicts")] == ["", "http_status", "not_html"]
    assert [row["offset"] for row in found] == sorted({row["offset"] for row in found})
    assert len({row["payload_digest"] for row in found}) == 3
    assert rows(made["extracted_text"], "text")[0]["text"].startswith(text)
    assert [row["encoding"] for row in rows(made["extracted_text"], "verdicts")] == ["cp1252"]


def test_9_versions_stay_and_replacements_have_no_memory() -> None:
    block, text = PIIFormatter(), "Version v8.8.4.4 is out; the server is 8.8.4.4, or ask 2001:4860:4860::8888."
    assert block.format(text) != block.format(text)
    assert "v8.8.4.4" not in block.format(text)
    redacted = {pii.redact(text, node("pii", ipv6=True))[0] for _ in range(3)}
    assert redacted == {"Version v8.8.4.4 is out; the server is 192.0.2.1, or ask 2001:db8::1."}


def test_10_a_score_that_the_first_document_lacks_is_kept(tmp_path: Path) -> None:
    with ParquetWriter(str(tmp_path / "theirs")) as writer:
        writer.write(Document(text="a", id="1"))
        writer.write(Document(text="b", id="2", metadata={"score": 0.5}))
    (theirs,) = (tmp_path / "theirs").glob("*.parquet")
    assert pq.read_table(theirs).to_pylist() == [{"text": "a", "id": "1"}, {"text": "b", "id": "2"}]
    ours = VerdictWriter({"score": pa.float64()})
    ours.add("1", 0)
    ours.add("2", 1, score=0.5)
    ours.write(tmp_path / "ours.parquet")
    assert read_verdicts(tmp_path / "ours.parquet")["score"].to_pylist() == [None, 0.5]
    with pytest.raises(KeyError, match="undeclared scores"):
        ours.add("3", 2, other=1)


def test_11_lists_are_held_as_bytes() -> None:
    """Two blocks: 124 MB for 4.6 million domains, and answers that are exact. A set of strings takes 820 MB."""
    lists = integrated()
    held = [lists.domains._block, lists.urls._block]
    assert all(type(block) is bytes for block in held)
    assert sum(map(len, held)) < 130e6


def test_12_what_was_dropped_keeps_its_scores_and_its_winner(tmp_path: Path) -> None:
    spam = "buy the best coffee now and save on all of that " * 40
    pages = [("spam", spam), ("a", f"{page(1)} It ends here."), ("b", page(1))]
    made = chain(tmp_path, extracted(tmp_path, [pages]))
    theirs = GopherQualityFilter().filter(Document(text="of the", id="1"))
    assert theirs == (False, "gopher_short_doc")  # no value, no threshold
    dropped = next(row for row in made["gopher_filtered"].rows() if row["doc_id"] == "spam")
    assert dropped["reason"] == "dup_line_frac" or dropped["reason"].startswith(("top_", "duplicated_"))
    assert not [name for name, value in dropped.items() if value is None]
    copy = next(row for row in made["minhash_deduped"].rows() if not row["kept"])
    assert (copy["doc_id"], copy["winner"], copy["cluster_size"]) == ("b", "a", 2)
    assert 0.7 <= copy["jaccard"] < 1


def test_the_tests_that_the_document_names_are_there() -> None:
    project = SOURCES.parent
    document = (project / "docs/curation.md").read_text("utf-8")
    named = re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)(?:::([\w:]+))?`", document)
    assert len(named) > 25
    for file, test in named:
        assert (project / file).is_file(), file
        assert not test or test in _tests(project / file), f"{file}::{test}"
    rows = re.findall(r"^\| (\d+) \| .*::test_", document, re.MULTILINE)
    assert rows == [str(number) for number in range(1, 15)]


def _tests(file: Path) -> set[str]:
    """The functions of a file as pytest names them, those of classes with their class."""
    found = set()
    for item in ast.parse(file.read_text("utf-8")).body:
        if isinstance(item, ast.ClassDef):
            found |= {f"{item.name}::{inner.name}" for inner in item.body if isinstance(inner, ast.FunctionDef)}
        elif isinstance(item, ast.FunctionDef):
            found.add(item.name)
    return found


def _imported(module: Path) -> set[str]:
    found: set[str] = set()
    for item in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(item, ast.Import):
            found |= {alias.name for alias in item.names}
        elif isinstance(item, ast.ImportFrom):
            found |= {f"{item.module}.{alias.name}" for alias in item.names}
    return found


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()
