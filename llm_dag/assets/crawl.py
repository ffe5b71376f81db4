"""Group crawl: which pages there are."""

from llm_dag.assets import checks
from llm_dag.assets.declare import step
from llm_dag.store.work import Work


@step(group="crawl", node="source", kinds=("parquet",))
def crawl_listing(work: Work) -> None:
    """Which dump is crawled and which files it has; registers the dump's partition."""
    from llm_dag.curation import listing

    listing.build(work)


@step(
    group="crawl",
    node="source",
    inputs=("crawl_listing",),
    partitioned=True,
    checks=(checks.pages_indexed, checks.records_found_again),
    kinds=("warc", "parquet"),
)
def raw_pages(work: Work) -> None:
    """The dump's WARC files (or references to them) and the index of their pages.

    Records that are no page (redirects, errors, revisits, other types, broken members) get a verdict, never silence.
    """
    from llm_dag.curation import raw_pages

    raw_pages.build(work)


@step(group="crawl", node="curation.takedowns", kinds=("parquet",))
def takedowns(work: Work) -> None:
    """The rules of what was asked to be taken down: URL, domain or pattern; who, when, why."""
    from llm_dag.curation import takedowns

    takedowns.build(work)
