"""The shipped canaries are well formed and stand among the pages; malformed ones are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_dag.config.places import resolve
from llm_dag.curation.canaries import CanaryError, fates, mixed, read
from llm_dag.curation.python_docs.site import Page


def test_the_shipped_canaries_cover_the_chain() -> None:
    known = read(resolve("assets_data/canaries"))
    table = fates(known, "dump").to_pylist()
    steps = {row["step"] for row in table}
    assert {
        "", "raw_pages", "url_filtered", "extracted_text", "language_filtered", "gopher_filtered", "minhash_deduped",
        "c4_filtered", "custom_filtered",
    } == steps  # fmt: skip
    assert len({row["doc_id"] for row in table}) == len(known)
    assert any(row["must_not_contain"] for row in table if not row["step"])


def test_canaries_are_spread_among_the_pages() -> None:
    known = read(resolve("assets_data/canaries"))
    pages = [Page(f"https://a.example/{number}", b"") for number in range(500)]
    together = mixed(pages, known)
    assert [page for page in together if page in pages] == pages
    places = [together.index(one.page) for one in known]
    assert len(together) == len(pages) + len(known)
    assert max(later - before for before, later in zip([0, *places], [*places, len(together)], strict=True)) < 40


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("url: x", "a list of canaries"),
        ("- {url: 'https://a.example/', file: a.html}", "step"),
        ("- {url: 'https://a.example/', file: gone.html, step: ''}", r"gone\.html is missing"),
        ("- {url: 'https://a.example/', file: a.html, step: gopher_filtered}", "has a reason"),
        ("- {url: 'https://a.example/', file: a.html, step: ''}\n" * 2, "twice"),
    ],
)
def test_a_malformed_canary_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.html").write_text("<p>x</p>")
    (tmp_path / "canaries.yaml").write_text(text)
    with pytest.raises(CanaryError, match=words) as caught:
        read(tmp_path)
    assert "canaries.yaml" in str(caught.value)
