"""The site: which pages there are, in which order, and each as HTML.

Subjects are the standard library, the language reference, and each distribution; each has its own host. When pages are
limited the standard library gets every second turn and the others share the rest, page by page, so a small site is
spread as a large one is; modules are read only when their turn comes. Pages are then ordered by subject and path.
Dates and record ids come from the URL alone.
"""

from __future__ import annotations

import hashlib
import itertools
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from llm_dag.curation.python_docs import html
from llm_dag.curation.python_docs.catalog import Catalog, installed, standard_library
from llm_dag.curation.python_docs.pages import Article, module_articles
from llm_dag.curation.python_docs.reference import description, topics

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 28  # within which all pages are dated
SIBLINGS = 40  # links in the sidebar


@dataclass(frozen=True)
class Page:
    """One page as the crawl sees it."""

    url: str
    content: bytes
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    location: str = ""  # where a redirect leads

    @property
    def record_id(self) -> str:
        return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, self.url)}"

    @property
    def date(self) -> str:
        drawn = int.from_bytes(hashlib.blake2b(self.url.encode(), digest_size=4).digest(), "big")
        return (EPOCH + timedelta(seconds=drawn % (DAYS * 86_400))).strftime("%Y-%m-%dT%H:%M:%SZ")


def pages(distributions: Sequence[str], first: Sequence[str], limit: int, origins: Sequence[str]) -> list[Page]:
    """The site's pages. `origins` names each subject's version: the standard library's, then each distribution's."""
    library = standard_library()
    subjects: list[tuple[str, str, Iterator[Article]]] = [
        ("stdlib", origins[0], _modules(library, first)),
        ("reference", origins[0], topics()),
    ]
    subjects += [(name, origin, _distribution(name)) for name, origin in zip(distributions, origins[1:], strict=True)]
    chosen = _choose([articles for _, _, articles in subjects], limit)
    return [
        page
        for (subject, origin, _), articles in zip(subjects, chosen, strict=True)
        for page in _framed(subject, origin, sorted(articles, key=lambda article: article.path))
    ]


def _modules(catalog: Catalog, first: Sequence[str] = ()) -> Iterator[Article]:
    others = {target: alias for alias, target in catalog.aliases.items()}
    for name in dict.fromkeys([*first, *catalog.public()]):
        module = catalog.module(name)
        if module is not None:
            also = catalog.aliases.get(name, "")
            yield from module_articles(module, also if others.get(also) == name else "")


def _distribution(name: str) -> Iterator[Article]:
    yield from description(name)
    yield from _modules(installed(name))


def _choose(subjects: Sequence[Iterator[Article]], limit: int) -> list[list[Article]]:
    """At most `limit` articles (0: all), taken in turns: the first subject gets every second turn."""
    chosen: list[list[Article]] = [[] for _ in subjects]
    seen: list[set[str]] = [set() for _ in subjects]
    left = list(range(len(subjects)))
    turns = _turns(len(subjects))
    while left and (not limit or sum(map(len, chosen)) < limit):
        turn = next(turns)
        if turn not in left:
            continue
        article = next((one for one in subjects[turn] if one.path not in seen[turn]), None)
        if article is None:
            left.remove(turn)
        else:
            seen[turn].add(article.path)
            chosen[turn].append(article)
    return chosen


def _turns(subjects: int) -> Iterator[int]:
    for other in itertools.cycle(range(1, subjects) if subjects > 1 else [0]):
        yield 0
        yield other


def _framed(subject: str, origin: str, articles: Sequence[Article]) -> list[Page]:
    host = f"https://{'stdlib' if subject == 'reference' else subject.lower().replace('_', '-')}.pydocs.example"
    links = [html.Link(article.title, article.path) for article in articles]
    made = []
    for index, article in enumerate(articles):
        start = max(0, min(index - SIBLINGS // 2, len(links) - SIBLINGS))
        frame = html.Frame(
            site=f"{subject} documentation",
            title=article.title,
            trail=[html.Link(subject, "/"), html.Link(article.title.rpartition(".")[0] or subject, article.path)],
            siblings=links[start : start + SIBLINGS],
            before=links[index - 1] if index else None,
            after=links[index + 1] if index + 1 < len(links) else None,
            origin=origin,
            signature=article.signature,
        )
        made.append(Page(host + article.path, html.document(frame, article.body)))
    return made
