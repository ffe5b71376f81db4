"""Where pages come from: a crawl, a data set of ready text, or the documentation inside the running Python."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from omegaconf import MISSING

from llm_dag.config.fields import PATH, Problem, at_least, one_of, path, paths
from llm_dag.config.places import SHIPPED, is_url, resolve

_CRAWL = re.compile(r"CC-[A-Z]+(?:[-/]\d+)+")  # CC-MAIN-2024-22, CC-NEWS/2024/05
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # what the store takes as a partition


@dataclass
class Source:
    """What every source has."""

    kind: str = MISSING  # the option's own name: python_docs, warc, common_crawl, parquet, jsonl
    dump: str = MISSING  # the dump's name: the partition of everything made from this crawl
    shard_documents: int = MISSING  # pages in a shard: the unit of incremental work

    def problems(self) -> Iterator[Problem]:
        if not _FOLDER.fullmatch(self.dump):
            yield Problem(
                "dump",
                self.dump,
                "letters a to z, digits, '.', '_' and '-', a letter or digit first: it names folders and a partition",
            )
        yield from at_least("shard_documents", self.shard_documents, 1)


@dataclass
class PythonDocs(Source):
    """The documentation inside the running Python, rendered as a site."""

    distributions: list[str] = field(
        default_factory=list
    )  # installed distributions to document beside the standard library
    first: list[str] = field(
        default_factory=list
    )  # modules of the standard library that come first when pages are limited
    max_pages: int = MISSING  # at most so many pages, spread over the subjects; 0: all
    canaries: str = path()  # folder of canary pages and their fates, mixed in; empty: none

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from one_of("kind", self.kind, ("python_docs",))
        yield from at_least("max_pages", self.max_pages, 0)
        if blank := [name for name in self.distributions if not name.strip()]:
            yield Problem("distributions", blank[0], "names of installed distributions")

    def measured(self) -> dict[str, Any]:
        """The versions of what is documented: an upgrade is another source under the same configuration."""
        return {
            "python": platform.python_version(),
            "distributions": {name: _installed(name) for name in self.distributions},
        }


def _installed(name: str) -> str | None:
    """The version of an installed distribution; None where it is not installed, which the listing then refuses."""
    try:
        return version(name)
    except (PackageNotFoundError, ValueError):  # ValueError: a name that no distribution can have
        return None


@dataclass
class Warc(Source):
    """WARC files on disk or at URLs, plain or gzipped record by record."""

    files: list[str] = paths(urls=True)  # files, folders or globs, local or URLs, read in this order

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from one_of("kind", self.kind, ("warc",))
        if not self.files:
            yield Problem(
                "files", self.files, "at least one WARC file, folder or glob, e.g. source.files=[crawl/*.warc.gz]"
            )


@dataclass
class Rows(Source):
    """A data set whose text is ready, one document a row. A column inside another is named with a dot: metadata.url."""

    files: list[str] = paths()  # files, folders or globs, read in this order
    text: str = MISSING  # column of the text
    id: str = MISSING  # column of the row's own id; empty: rows are told apart by URL and text
    url: str = MISSING  # column of the URL; empty: rows get one below https://rows.invalid/, for rules to name them
    date: str = MISSING  # column of the day of the crawl; empty: none

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if not self.files:
            yield Problem("files", self.files, "at least one file, folder or glob, e.g. source.files=[rows/*.parquet]")
        if not self.text.strip():
            yield Problem("text", self.text, "the name of the column that holds the text")


@dataclass
class Parquet(Rows):
    """Parquet files, as FineWeb is published."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from one_of("kind", self.kind, ("parquet",))


@dataclass
class Jsonl(Rows):
    """Files of JSON lines, plain, gzipped or compressed with zstd."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from one_of("kind", self.kind, ("jsonl",))


@dataclass
class CommonCrawl(Source):
    """WARC files of one of Common Crawl's crawls, in the order of its own listing.

    A crawl that was published does not change, so nothing is measured: its name and the range say which files are
    meant. Where they are read from is `compute.common_crawl`.
    """

    crawl: str = MISSING  # the crawl's name, CC-MAIN-2024-22
    first_file: int = MISSING  # the first file of the range, counted from 0 in the crawl's listing
    max_files: int = MISSING  # at most so many files from there on; 0: all

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from one_of("kind", self.kind, ("common_crawl",))
        if not _CRAWL.fullmatch(self.crawl):
            yield Problem("crawl", self.crawl, "the name of a crawl of Common Crawl, such as CC-MAIN-2024-22")
        yield from at_least("first_file", self.first_file, 0)
        yield from at_least("max_files", self.max_files, 0)


def located(source: Source) -> Source:
    """The source with paths and globs that say the same in every working folder. What is shipped, and a URL, stay.

    The store remembers the source of a dump: another run reads it from wherever it is started, and must find there what
    the run that was about the dump asked for.
    """

    def placed(path: str) -> str:
        return path if not path or path.startswith(SHIPPED) or is_url(path) else str(resolve(path))

    changed: dict[str, Any] = {}
    for one in fields(source):
        if one.metadata.get(PATH):
            value = getattr(source, one.name)
            changed[one.name] = placed(value) if isinstance(value, str) else [placed(path) for path in value]
    return replace(source, **changed)


SOURCES: dict[str, type[Source]] = {
    "python_docs": PythonDocs,
    "warc": Warc,
    "common_crawl": CommonCrawl,
    "parquet": Parquet,
    "jsonl": Jsonl,
}


def source_from(values: dict[str, Any]) -> Source:
    """A source node from plain values, such as the store keeps of every dump. Raises KeyError for another `kind`."""
    return SOURCES[values["kind"]](**values)
