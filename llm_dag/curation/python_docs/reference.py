"""Running texts: the language reference inside Python, and the descriptions that distributions ship with."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import distribution

from llm_dag.curation.python_docs.pages import Article, text_articles
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
        yield from text_articles(f"/reference/{name}.html", title, content)


def description(name: str) -> list[Article]:
    """The README of an installed distribution; nothing if it ships none."""
    metadata = distribution(name).metadata.json
    text = str(metadata.get("description") or "")
    if not text.strip():
        return []
    if "markdown" in str(metadata.get("description_content_type") or ""):
        from markdown_it import MarkdownIt

        return [Article("/", name, MarkdownIt("commonmark").enable("table").render(text))]
    return text_articles("/", name, blocks(text))
