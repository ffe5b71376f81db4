"""What a page asks of robots: the X-Robots-Tag of its response, and its robots meta elements.

A header is `noai, noindex`, or `otherbot: noindex` for one crawler; what follows a crawler's name in a header is said
to that crawler. A meta element says the same with its name: `<meta name="robots" content="noai">`. Comments, scripts
and titles of a page say nothing; tags are read as a parser reads them. Only directives that are looked for count, and
only where they are said to all, or to an agent that is looked for. Cost: a search for meta elements, and one pass over
the tags of a page where one has such a word.
Sources: Google's "Robots meta tag and X-Robots-Tag specifications"; DeviantArt's `noai` and `noimageai` (2022).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import unescape

from llm_dag.curation import nesting

ALL = frozenset({"", "*", "robots"})
IMPLIED = {"none": ("noindex", "nofollow")}
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_PREFIX = re.compile(r"\s*([\w.*-]+)\s*:(.*)", re.DOTALL)
_WORDS = re.compile(r"[\w-]+")
_META = re.compile("<meta", re.IGNORECASE)


class OptOuts:
    """The directives that count, and to whom they are said."""

    def __init__(self, directives: Iterable[str], agents: Iterable[str]) -> None:
        wanted = {word.lower() for word in directives}
        self._directives = wanted | {word for word, meant in IMPLIED.items() if wanted.intersection(meant)}
        self._agents = ALL | {agent.lower() for agent in agents}

    def in_headers(self, headers: str) -> str:
        """The first directive of X-Robots-Tag headers, one a line, that counts; empty: none."""
        for header in headers.splitlines():
            agent = ""
            for part in header.lower().split(","):
                named = _PREFIX.fullmatch(part)
                if named and named[1] in _VALUED:
                    continue
                agent, said = (named[1], named[2]) if named else (agent, part)
                if agent in self._agents and (found := self._among(said)):
                    return found
        return ""

    def in_page(self, html: str) -> str:
        """The first directive of a page's robots meta elements that counts; empty: none."""
        if not self._directives:
            return ""
        said = (
            nesting.TAG.match(html, meta.start()) for meta in _META.finditer(html)
        )  # in comments too: this is quick
        if not any(word in unescape(tag[0]).lower() for tag in said if tag for word in self._directives):
            return ""
        for name, attributes in nesting.opened(html):
            if name != "meta":
                continue
            said_to = {agent.strip() for agent in attributes.get("name", "-").lower().split(",")}
            if said_to & self._agents and (found := self._among(attributes.get("content", "").lower())):
                return found
        return ""

    def _among(self, said: str) -> str:
        return next((word for word in _WORDS.findall(said) if word in self._directives), "")
