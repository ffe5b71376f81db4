"""All steps over a crawl, and what became of each of its pages.

python -m benchmarks.hostile_steps PROFILE SOURCE FILES STORE
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import child
from benchmarks.curation_steps import made
from llm_dag.assets.evaluation import CURATION


def main(profile: str, source: str, files: str, store: Path) -> None:
    """Make every artifact; report each URL with its fate, how many met it, and the steps that lost a page."""
    from llm_dag.curation import checks

    child.pin()
    artifacts: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    begun = child.processor_seconds()
    for name, artifact in made(profile, files, store, source):
        artifacts[name] = artifact
        seconds[name] = child.processor_seconds() - begun - sum(seconds.values())
    fates, urls = _fates(artifacts)
    conserved = {name: checks.conservation(artifacts[name]) for name in CURATION[1:]}
    child.report(
        steps=seconds,
        fates=[(urls[doc_id], fate) for doc_id, fate in fates.items()],
        counts=Counter(fates.values()),
        pages=len(urls),
        unkept=[f"{name}: {result.message}" for name, result in conserved.items() if not result.passed],
    )


def _fates(artifacts: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """By doc_id: `kept`, or the step and the reason that dropped the page; and its URL."""
    import pyarrow.parquet as pq

    fates: dict[str, str] = {}
    for step in CURATION:
        for name in artifacts[step].names("verdicts/"):
            table = pq.read_table(artifacts[step].path(name), columns=["doc_id", "reason"])
            for doc_id, reason in zip(table["doc_id"].to_pylist(), table["reason"].to_pylist(), strict=True):
                fates[doc_id] = f"{step}: {reason}" if reason else "kept"
    urls: dict[str, str] = {}
    for name in artifacts["raw_pages"].names("pages/"):
        table = pq.read_table(artifacts["raw_pages"].path(name), columns=["doc_id", "url"])
        urls |= zip(table["doc_id"].to_pylist(), table["url"].to_pylist(), strict=True)
    return fates, urls


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]))
