"""Plain datatrove over a crawl: its blocks in its executor, as its examples/fineweb.py has them, in our order.

    python -m benchmarks.curation_datatrove crawl WARC FOLDER    from WARC to redacted text
    python -m benchmarks.curation_datatrove texts PARQUET FOLDER from extracted text on

Nothing of a block is changed but what it needs to work without a network, and what makes its text independent of the
order of pages: Trafilatura without its memory of earlier pages, and with a timeout that does not cost the first page.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import child

BUCKETS = 14


def main(kind: str, source: Path, folder: Path) -> None:
    """Run the pipeline; report the processor seconds after the imports, and the seconds of each block by the clock."""
    child.pin()
    import trafilatura  # noqa: F401  the timeout of the first page would pay for it

    begun = child.processor_seconds()
    seconds: Counter[str] = Counter()
    for name, steps, tasks in stages(kind, source, folder):
        run(name, steps, tasks, folder, seconds)
    child.report(work=child.processor_seconds() - begun, steps=dict(seconds))


def stages(kind: str, source: Path, folder: Path) -> list[tuple[str, list[Any], int]]:
    """(name, blocks, tasks) of each executor that runs after the other."""
    from datatrove.pipeline import filters
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.formatters import PIIFormatter
    from datatrove.pipeline.readers import JsonlReader

    config = MinhashConfig(n_grams=5, num_buckets=BUCKETS, hashes_per_bucket=8)
    deduped = {name: str(folder / "minhash" / name) for name in ("signatures", "buckets", "remove_ids")}
    base = str(folder / "base")
    return [
        (
            "base",
            [
                *(crawl(source, folder) if kind == "crawl" else texts(source)),
                language_filter(writer(folder, "removed/language")),
                filters.GopherRepetitionFilter(exclusion_writer=writer(folder, "removed/gopher_repetition")),
                filters.GopherQualityFilter(exclusion_writer=writer(folder, "removed/gopher_quality")),
                writer(folder, "base"),
            ],
            1,
        ),
        ("minhash1", [JsonlReader(base), MinhashDedupSignature(deduped["signatures"], config)], 1),
        ("minhash2", [MinhashDedupBuckets(deduped["signatures"], deduped["buckets"], config=config)], BUCKETS),
        ("minhash3", [MinhashDedupCluster(deduped["buckets"], deduped["remove_ids"], config)], 1),
        (
            "minhash4",
            [
                JsonlReader(base),
                MinhashDedupFilter(deduped["remove_ids"], exclusion_writer=writer(folder, "removed/minhash")),
                filters.C4QualityFilter(filter_no_terminal_punct=False, exclusion_writer=writer(folder, "removed/c4")),
                filters.FineWebQualityFilter(exclusion_writer=writer(folder, "removed/fineweb")),
                PIIFormatter(),
                writer(folder, "kept"),
            ],
            1,
        ),
    ]


def crawl(warc: Path, folder: Path) -> list[Any]:
    """The blocks from WARC to text."""
    import tldextract
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.filters import URLFilter
    from datatrove.pipeline.readers import WarcReader

    urls = URLFilter(exclusion_writer=writer(folder, "removed/url"))
    urls.tldextractor = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    return [
        WarcReader(str(warc.parent), glob_pattern=warc.name),
        urls,
        Trafilatura(favour_precision=True, timeout=10, deduplicate=False),
    ]


def texts(parquet: Path) -> list[Any]:
    """The block that reads extracted texts."""
    from datatrove.pipeline.readers import ParquetReader

    return [ParquetReader(str(parquet.parent), glob_pattern=parquet.name, id_key="doc_id")]


def language_filter(exclusion_writer: Any) -> Any:
    """The language filter with the model that this project ships."""
    from datatrove.pipeline.filters import LanguageFilter
    from datatrove.utils.lid import FT176LID

    from llm_dag.config.places import resolve

    FT176LID.MODEL_URL = str(resolve("assets_data/language_id/lid.176.ftz"))
    return LanguageFilter(languages="en", exclusion_writer=exclusion_writer)


def writer(folder: Path, name: str) -> Any:
    """A writer into a folder of its own."""
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    return JsonlWriter(str(folder / name))


def run(name: str, steps: list[Any], tasks: int, folder: Path, seconds: Counter[str]) -> None:
    """Run one executor in this process, one task after the other. Raises RuntimeError if a task is missing."""
    from datatrove.executor import LocalPipelineExecutor

    executor = LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=str(folder / "logs" / name))
    stats = executor.run()
    if stats is None or list(executor.get_incomplete_ranks(skip_completed=True)):
        raise RuntimeError(f"datatrove: {name} did not finish")
    for block in stats.stats:
        seconds[block.name.partition(" - ")[2] or block.name] += block.time_stats.total


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
