"""This project's steps over a crawl, through a store, each as the graph runs it, with its checks.

python -m benchmarks.curation_steps PROFILE WARC STORE
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import child

CRAWL = ("crawl_listing", "raw_pages", "takedowns", "eval_sets", "quality_classifier", "url_filtered")
FROM_TEXT = (
    "language_filtered",
    "gopher_filtered",
    "minhash_signatures",
    "minhash_deduped",
    "c4_filtered",
    "custom_filtered",
    "pii_redacted",
)
STEPS = (*CRAWL, "extracted_text", *FROM_TEXT)


def main(profile: str, warc: Path, store: Path) -> None:
    """Make every artifact, and report the processor seconds of each step."""
    child.pin()
    begun = child.processor_seconds()
    steps: dict[str, float] = {}
    counts: dict[str, int] = {}
    peaks: dict[str, float] = {}
    for name, artifact in made(profile, f"'{warc}'", store):
        steps[name] = child.processor_seconds() - begun - sum(steps.values())
        peaks[name] = child.peak_megabytes()
        counts[name] = int(artifact.metrics.get("documents_kept", 0))
    child.report(steps=steps, kept=counts, peaks=peaks)


def made(profile: str, files: str | Path, store: Path, source: str = "warc") -> Iterator[tuple[str, Any]]:
    """Each step and its artifact; `files` are paths or globs with quotation marks, as in a list of YAML.

    A failed check is accepted: its bounds are for whole crawls, and this may be one page.
    """
    from llm_dag.assets.graph import graph
    from llm_dag.config.compose import compose
    from llm_dag.progress import Silent
    from llm_dag.store.build import materialize
    from llm_dag.store.resolve import Resolver
    from llm_dag.store.store import Store

    config = compose(
        [
            f"curation={profile}",
            f"source={source}",
            f"source.files=[{files}]",
            f"compute.store={store}",
            "compute.threads=1",
        ]
    )
    steps, opened = graph(), Store(str(store))
    for name in STEPS:
        dump = config.identity.source.dump if steps[name].partitioned else None
        outcome = materialize(Resolver(opened, steps, config.identity), name, dump, config.compute, Silent())
        for check, record in outcome.checks.items():
            if record.blocking and not record.passed:
                opened.accept(outcome.artifact, check, "a benchmark", "benchmarks")
        yield name, outcome.artifact


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
