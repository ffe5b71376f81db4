"""What a page asks of robots: the X-Robots-Tag of its response, and its robots meta elements.

A header is `noai, noindex`, or `otherbot: noindex` for one crawler; what follows a crawler's name in a header is said
to that crawler. A meta element says the same with its name: `<meta name="robots" content="noai">`. Comments, scripts
and styles of a page say nothing. Only directives that are looked for count, and only where they are said to all, or to
an agent that is looked for. Cost: a search for meta elements, and one pass over a page where one has such a word; tags
longer than `LONGEST` are passed over.
Sources: Google's "Robots meta tag and X-Robots-Tag specifications"; DeviantArt's `noai` and `noimageai` (2022).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

LONGEST = 4096  # characters of a meta element
ALL = frozenset({"", "*", "robots"})
IMPLIED = {"none": ("noindex", "nofollow")}
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_PREFIX = re.compile(r"\s*([\w.*-]+)\s*:(.*)", re.DOTALL)
_WORDS = re.compile(r"[\w-]+")
_META = re.compile(rf"<meta\b([^<>]{{0,{LONGEST}}})>", re.IGNORECASE)
_OPENED = re.compile(rf"<(?:(!--)|(script|style)\b|meta\b([^<>]{{0,{LONGEST}}})>)", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""(?<![\w:-])([a-z][\w:-]*+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)


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
        written = " ".join(_META.findall(html)).lower()  # in comments and scripts too, but that is quick
        if not any(word in written for word in self._directives):
            return ""
        for element in _meta_elements(html.lower()):
            attributes = {name: first or second or third for name, first, second, third in _ATTRIBUTE.findall(element)}
            if attributes.get("name", "-").strip() in self._agents and (
                found := self._among(attributes.get("content", ""))
            ):
                return found
        return ""

    def _among(self, said: str) -> str:
        return next((word for word in _WORDS.findall(said) if word in self._directives), "")


def _meta_elements(html: str) -> Iterator[str]:
    """The attributes of each meta element that is no part of a comment, a script or a style; `html` in lower case."""
    position = 0
    while opened := _OPENED.search(html, position):
        comment, block, attributes = opened.groups()
        position = opened.end()
        if attributes is not None:
            yield attributes
            continue
        end = "-->" if comment else f"</{block}"
        position = html.find(end, position)
        if position < 0:
            return
