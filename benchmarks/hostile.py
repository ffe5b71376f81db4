"""Crawls made to break a pipeline, through all steps: what became of each page, memory and time.

`python -m benchmarks hostile`. A page whose fate is not the one that was to be, and a step that lost or doubled a
page, are named, and end the run with an error.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import child, hostile_pages, inputs
from benchmarks.hostile_pages import DROPPED, SITE

BURNT = ("extraction_timeout", "extraction_failed")  # what a page must not come to, whatever it holds
NO_WARC = {"bad.arc", "example.arc.gz", "example-bad.warc.gz.bad"}  # refused as a whole, with their names


def main() -> dict[str, Any]:
    """Run every crawl under both profiles. Raises AssertionError for a fate that was not to be."""
    results = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name, (source, files, wanted) in crawls(folder).items():
            for profile in ("fast", "fineweb"):
                report = run(folder, profile, source, files, f"{name}-{profile}")
                problems = wrong(report, wanted)
                steps = sorted(report["steps"].items(), key=lambda step: -step[1])[:3]
                slowest = ", ".join(f"{step} {took:.1f} s" for step, took in steps)
                print(
                    f"{name}, {profile}: {report['pages']} pages, {report['processor']:.0f} s, peak memory "
                    f"{report['peak_mb']:.0f} MB; {slowest}"
                )
                for fate, count in sorted(report["counts"].items()):
                    print(f"  {count:6} {fate}")
                if problems:
                    raise AssertionError("\n".join(problems))
                results[f"{name}/{profile}"] = {key: report[key] for key in ("processor", "peak_mb", "counts")}
    return results


def crawls(folder: Path) -> dict[str, tuple[str, str, Mapping[str, str]]]:
    """By name: the kind of source, its files, and what has to become of its pages."""
    bombs, rows, lines = folder / "bombs.warc.gz", folder / "rows.jsonl", folder / "lines.warc.gz"
    found: dict[str, tuple[str, str, Mapping[str, str]]] = {
        "bombs": ("warc", f"'{bombs}'", hostile_pages.bombs(bombs)),
        "rows": ("jsonl", f"'{rows}'", hostile_pages.rows(rows)),
        "one-line pages": ("warc", f"'{lines}'", hostile_pages.one_line_pages(lines)),
    }
    real = inputs.real_data()
    if real is not None and (edge := real / "web/warc_edge_cases").is_dir():
        files = [path for path in sorted(edge.glob("*arc*")) if path.name not in NO_WARC]
        found["edge cases"] = ("warc", ",".join(f"'{path}'" for path in files), {})
    return found


def run(folder: Path, profile: str, source: str, files: str, name: str) -> dict[str, Any]:
    """What became of the pages of a crawl."""
    return child.run("benchmarks.hostile_steps", profile, source, files, folder / name, home=folder / f"{name}-home")


def wrong(report: Mapping[str, Any], wanted: Mapping[str, str]) -> list[str]:
    """Pages with another fate than the wanted one, wanted pages that are not there, and steps that lost a page."""
    fates = {url.removeprefix(SITE): fate for url, fate in report["fates"]}
    nameless = Counter(fate for url, fate in report["fates"] if not url)  # rows of which nothing could be read
    problems = list(report["unkept"])
    problems += [f"{url}: {fate}" for url, fate in report["fates"] if fate.endswith(BURNT)]
    for name, fate in wanted.items():
        if name not in fates and nameless[fate]:
            nameless[fate] -= 1
            continue
        found = fates.get(name, "not there")
        if not (found.startswith(fate) or (fate == DROPPED and ": " in found)):
            problems.append(f"{name}: {found}; wanted: {fate}")
    return problems
