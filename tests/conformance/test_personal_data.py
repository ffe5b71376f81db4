"""Personal data in real texts and in labelled sentences: recall of each kind, no false finds, stable placeholders."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.pii import everything, recall
from llm_dag.config.curation import Pii
from llm_dag.curation.personal_data.redaction import find, replace
from tests.conformance.test_curation_decisions import REAL, records

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL}")


@pytest.fixture(scope="module")
def config() -> Pii:
    return everything()


def test_labelled_pieces_are_found(config: Pii) -> None:
    """Telephones without a word before them are missed where they are neither international nor North American."""
    labelled, covered, wrong = recall(config)
    assert wrong.total() == 0
    for kind, least in {"email": 1.0, "iban": 1.0, "ssn": 1.0, "ip": 1.0, "credit_card": 0.99, "phone": 0.65}.items():
        assert covered[kind] >= least * labelled[kind] > 10, kind


def test_an_encyclopaedia_holds_no_personal_numbers(config: Pii) -> None:
    """Dates, ISBNs, measures, coordinates and tables of numbers."""
    text = gzip.decompress(Path(REAL / "text/wikipedia_sample/wiki_demo.txt.gz").read_bytes()).decode()
    assert [text[start:end] for start, end, _ in find(text, config)] == []


def test_redacted_pages_are_redacted_for_good(config: Pii) -> None:
    kinds: Counter[str] = Counter()
    for record in records("quality_filter/datatrove_reference_decisions/decisions.jsonl.zst"):
        spans = find(record["text"], config)
        kinds.update(span.kind.name for span in spans)
        assert find(replace(record["text"], spans), config) == [], record["id"]
    assert kinds["phone"] > 100
    assert kinds["iban"] > 0
