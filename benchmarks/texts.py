"""Texts that every machine has: pages of the embedded source, extracted as the graph extracts them."""

from __future__ import annotations


def documentation(count: int) -> list[str]:
    """The extracted text of so many pages of the standard library's documentation."""
    from llm_dag.curation import extraction
    from llm_dag.curation.python_docs import site

    extract = extraction.extractor("resiliparse")
    pages = site.pages([], ["os.path", "builtins"], count, ["https://stdlib.pydocs.example"])
    texts = [extract(page.content.decode()) for page in pages]
    return [text for text in texts if text]
