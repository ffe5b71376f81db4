"""Group curation: FineWeb's eight steps, from pages to clean text."""

from llm_dag.assets import checks
from llm_dag.assets.declare import step
from llm_dag.store.step import EarlierDumps
from llm_dag.store.work import Work

GROUP = "curation"
KINDS = ("datatrove", "parquet")


@step(
    group=GROUP,
    node="curation.url",
    inputs=("raw_pages", "takedowns"),
    partitioned=True,
    checks=(checks.conservation, checks.retention, checks.takedowns_honoured),
    kinds=KINDS,
)
def url_filtered(work: Work) -> None:
    """Verdicts by URL: adult, illegal, blocked, taken down."""
    from llm_dag.curation import url_filter

    url_filter.build(work)


@step(
    group=GROUP,
    node="curation.extraction",
    inputs=("raw_pages", "url_filtered"),
    partitioned=True,
    checks=(checks.conservation, checks.retention),
    kinds=("html", "parquet"),
)
def extracted_text(work: Work) -> None:
    """The main text of each page, without navigation and boilerplate."""
    from llm_dag.curation import extraction

    extraction.build(work)


@step(
    group=GROUP,
    node="curation.language",
    inputs=("extracted_text",),
    partitioned=True,
    checks=(checks.conservation, checks.retention),
    kinds=("fasttext", "parquet"),
)
def language_filtered(work: Work) -> None:
    """Verdicts by language, with the score that fastText gives."""
    from llm_dag.curation import language

    language.build(work)


@step(
    group=GROUP,
    node="curation.gopher",
    inputs=("extracted_text", "language_filtered"),
    partitioned=True,
    checks=(checks.conservation, checks.retention),
    kinds=KINDS,
)
def gopher_filtered(work: Work) -> None:
    """Verdicts of Gopher's repetition and quality rules, with every measured score."""
    from llm_dag.curation import gopher

    gopher.build(work)


@step(
    group=GROUP,
    node="curation.minhash.signatures",
    inputs=("extracted_text", "gopher_filtered"),
    partitioned=True,
    kinds=("numpy", "parquet"),
)
def minhash_signatures(work: Work) -> None:
    """MinHash band hashes of each page, by doc_id: shard by shard, so that a new page costs one shard."""
    from llm_dag.curation import minhash_signatures

    minhash_signatures.build(work)


@step(
    group=GROUP,
    node="curation.minhash",
    inputs=("minhash_signatures", "extracted_text", "gopher_filtered"),
    partitioned=True,
    earlier=EarlierDumps("against", ("minhash_signatures", "extracted_text", "minhash_deduped")),
    checks=(checks.conservation, checks.retention),
    kinds=("numpy", "parquet"),
)
def minhash_deduped(work: Work) -> None:
    """Verdicts of near-duplicate removal: cluster, winner, and the true Jaccard similarity with it."""
    from llm_dag.curation import minhash

    minhash.build(work)


@step(
    group=GROUP,
    node="curation.c4",
    inputs=("extracted_text", "minhash_deduped"),
    partitioned=True,
    checks=(checks.conservation, checks.retention),
    kinds=KINDS,
)
def c4_filtered(work: Work) -> None:
    """Text after C4's line rules, and verdicts of its page rules, with counts per rule."""
    from llm_dag.curation import c4

    c4.build(work)


@step(
    group=GROUP,
    node="curation.quality",
    checks=(checks.beats_majority,),
    kinds=("fasttext", "parquet"),
)
def quality_classifier(work: Work) -> None:
    """fastText trained on labelled texts of the user's, for custom_filtered; without labels there is none."""
    from llm_dag.curation import quality

    quality.build(work)


@step(
    group=GROUP,
    node="curation.custom",
    inputs=("c4_filtered", "eval_sets", "quality_classifier"),
    partitioned=True,
    checks=(checks.conservation, checks.retention),
    kinds=KINDS,
)
def custom_filtered(work: Work) -> None:
    """Verdicts of FineWeb's own rules, of benchmark overlap, of learned quality, and of the user's filters."""
    from llm_dag.curation import custom

    custom.build(work)


@step(
    group=GROUP,
    node="curation.pii",
    inputs=("c4_filtered", "custom_filtered"),
    partitioned=True,
    checks=(
        checks.conservation,
        checks.canaries_met_their_fate,
        checks.no_benchmark_text,
        checks.heldout_disjoint,
    ),
    kinds=("parquet",),
)
def pii_redacted(work: Work) -> None:
    """The clean text: personal data replaced, and each page's split (train or held out) decided."""
    from llm_dag.curation import pii

    pii.build(work)
