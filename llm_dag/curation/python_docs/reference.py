"""Running texts: the language reference inside Python, and the descriptions that distributions ship with."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import distribution

from llm_dag.curation.python_docs.pages import Article, text_article
from llm_dag.curation.python_docs.prose import blocks


def topics() -> Iterator[Article]:
    """The language reference, one page for each topic of Python's own help, by name."""
    from pydoc_data.topics import topics as texts

    for name in sorted(texts):
        content = blocks(texts[name].replace('"', ""), examples_are_indented=True)
        if not content:
            continue
        title = name
        if content[0].kind == "heading":
            title, content = content[0].text, content[1:]
        yield text_article(f"/reference/{name}.html", title, content)


def description(name: str) -> Article | None:
    """The README of an installed distribution, or None if it ships none."""
    metadata = distribution(name).metadata
    text = metadata.get("Description") or str(metadata.get_payload() or "")
    if not text.strip():
        return None
    if "markdown" in (metadata.get("Description-Content-Type") or ""):
        from markdown_it import MarkdownIt

        return Article("/", name, MarkdownIt("commonmark").enable("table").render(text))
    return text_article("/", name, blocks(text))
