"""The steps over pages, before there is text: takedown rules, the URL filter, extraction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from omegaconf import MISSING

from llm_dag.config.fields import Problem, at_least, one_of, path, paths

EXTRACTORS = ("trafilatura", "resiliparse")
DIRECTIVES = (  # a word that is none of these would be looked for and never found
    *("noai", "noimageai", "noml", "notrain"),
    *("none", "noindex", "nofollow", "noarchive", "nocache", "nosnippet", "noimageindex", "notranslate"),
)
_WORD = re.compile(r"[\w-]+")  # the name of a crawler, as headers hold it


@dataclass
class Takedowns:
    """What was asked to be taken out."""

    rules: str = path()  # YAML list or JSON lines: url, domain or pattern, with reason, who, when


@dataclass
class Url:
    """FineWeb's URL filter, and block lists of one's own."""

    soft_word_threshold: int = MISSING  # soft-banned words in a URL that drop it
    block_lists: list[str] = paths()  # files, folders or globs: a domain or a URL a line, `#` starts a comment

    def problems(self) -> Iterator[Problem]:
        yield from at_least("soft_word_threshold", self.soft_word_threshold, 1)


@dataclass
class Extraction:
    """The main text of a page."""

    extractor: str = MISSING  # trafilatura (precision preferred), resiliparse (8 to 20 times as fast)
    max_html_bytes: int = MISSING  # larger pages and texts are dropped: they cost minutes and are mostly not prose
    timeout_seconds: float = MISSING  # processor time; a page that takes more is dropped
    opt_outs: list[str] = field(default_factory=list)  # directives for robots that drop a page which states one of them
    opt_out_agents: list[str] = field(default_factory=list)  # names of crawlers whose directives count, beside all's

    def problems(self) -> Iterator[Problem]:
        yield from one_of("extractor", self.extractor, EXTRACTORS)
        yield from at_least("max_html_bytes", self.max_html_bytes, 1)
        yield from at_least("timeout_seconds", self.timeout_seconds, 0.1)
        for word in self.opt_outs:
            yield from one_of("opt_outs", word.lower(), DIRECTIVES)
        for word in self.opt_out_agents:
            if not _WORD.fullmatch(word):
                yield Problem("opt_out_agents", word, "single words, as they stand in an X-Robots-Tag: ccbot")
