"""Twice the pages cost twice the time: all steps over n, 2n, 5n and 10n pages, drawn from the same embedded pages.

The pages are shuffled once, so every crawl has the same mixture. Seconds are those of the processor without start-up
(what a crawl of one page takes). The exponent is the slope of a line through log(pages), log(seconds): 1 is linear.
"""

from __future__ import annotations

import math
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import child
from benchmarks.inputs import FIRST, HOSTS, write_crawl

LARGEST = 5_000
PARTS = (10, 5, 2, 1)
PROFILE = "fast"


def main() -> dict[str, Any]:
    """Run the crawls, and print seconds for each page and the exponent."""
    from llm_dag.curation.python_docs import site

    pages = site.pages([], FIRST, 0, HOSTS)
    random.Random(1).shuffle(pages)
    pages = pages[:LARGEST]
    sizes = [len(pages) // part for part in PARTS]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        reports = {}
        for size in (1, *sizes):
            write_crawl(folder / f"{size}.warc.gz", ((page.url, page.content) for page in pages[:size]))
            reports[size] = child.run(
                "benchmarks.curation_steps", PROFILE, folder / f"{size}.warc.gz", folder / str(size), home=folder
            )
    start = reports[1]["processor"]
    seconds = {size: reports[size]["processor"] - start for size in sizes}
    slope = exponent(seconds)
    print(f"scaling, curation={PROFILE}, embedded pages; start-up {start:.1f} s")
    for size in sizes:
        print(
            f"  {size:6} pages: {seconds[size]:6.1f} s, {1000 * seconds[size] / size:6.2f} ms a page, "
            f"peak memory {reports[size]['peak_mb']:.0f} MB"
        )
    print(f"  seconds grow as pages to the power of {slope:.3f}")
    steps = {
        name: exponent({size: max(1e-3, reports[size]["steps"][name] - reports[1]["steps"][name]) for size in sizes})
        for name in reports[1]["steps"]
    }
    peaks = {size: reports[size]["peak_mb"] for size in sizes}
    return {"seconds": seconds, "exponent": slope, "exponent_by_step": steps, "peak_mb": peaks}


def exponent(seconds: dict[int, float]) -> float:
    """The slope of the line through the logarithms."""
    fit = statistics.linear_regression(list(map(math.log, seconds)), list(map(math.log, seconds.values())))
    return float(fit.slope)
