"""Curation beside plain datatrove: pages a second, memory, seconds by step, and the same decisions.

Three sides work on the same WARC files, each in a process of its own on one core, in turns: datatrove's blocks in its
executor, `curation=fineweb` and `curation=fast`. The order of a round is turned for the next one. Seconds are those of
the processor (user and system, child processes too), so that another program on the machine changes little; those of
the clock stand beside them.

Start-up (interpreter, imports, URL lists, models, executors, the store) is what the same command takes for a crawl of
one page that goes through every step. Rates are given on both bases: `further` pages for further seconds, which is what
a crawl of millions sees, and `all in` (all pages for all seconds). The gates are on `further`.

From text: without WARC, URLs and extraction. datatrove reads the very texts that `fineweb` extracted, from its Parquet
file; ours is the sum of the steps behind `extracted_text` in the whole run. No faster than `bound` can a chain be that
calls the same extractor as datatrove: datatrove's seconds by those that its extraction takes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import child, curation_decisions, inputs
from benchmarks.curation_steps import FROM_TEXT

PROFILES = ("fineweb", "fast")
ROUNDS = 3
PAGES = 1_500  # embedded ones
GATES = {("fineweb", "whole"): 1.4, ("fineweb", "text"): 3.0, ("fast", "whole"): 4.5}
MOST_MEGABYTES = 500
Report = dict[str, Any]


@dataclass
class Side:
    """The reports of one side: of the whole crawl, one for each round, and of one page."""

    whole: list[Report] = field(default_factory=list)
    one: list[Report] = field(default_factory=list)

    def seconds(self, what: str) -> tuple[float, float]:
        """The mean seconds of a crawl, and of one page alone."""
        key = {"whole": "processor", "text": "text"}[what]
        return tuple(sum(report[key] for report in reports) / len(reports) for reports in (self.whole, self.one))  # type: ignore[return-value]

    @property
    def peak(self) -> float:
        """The most memory of any run."""
        return max(report["peak_mb"] for report in self.whole)


def main() -> Report:
    """Measure every crawl there is. Raises AssertionError for a decision that differs without a known cause."""
    results = {}
    with tempfile.TemporaryDirectory() as made:
        for name, warc in inputs.crawls(Path(made), PAGES).items():
            results[name] = measure(name, warc, Path(made) / name)
            shutil.rmtree(Path(made) / name)
    unexplained = {name: result["decisions"].get(curation_decisions.UNEXPLAINED, 0) for name, result in results.items()}
    if any(unexplained.values()):
        raise AssertionError(f"decisions that differ from datatrove's without a known cause: {unexplained}")
    return results


def measure(name: str, warc: Path, folder: Path) -> Report:
    """Run all sides over a crawl, print what they took, and return it."""
    home = folder / "home"
    first = steps("fineweb", warc, folder / "first", home)  # fills the caches of files, and finds a page that is kept
    fates = curation_decisions.of_steps("fineweb", warc, folder / "first")
    text = next((folder / "first").glob("extracted_text/*/*/data/text/*.parquet"))
    single, single_text = one_page(folder, warc, text, {key for key, fate in fates.items() if fate.outcome == "kept"})
    sides: defaultdict[str, Side] = defaultdict(Side)
    for number in range(ROUNDS):
        order = ("datatrove", *PROFILES)
        for side in order if number % 2 == 0 else order[::-1]:
            place = folder / f"{side}{number}"
            sides[side].one.append(run(side, single, single_text, place / "one", home))
            sides[side].whole.append(run(side, warc, text, place / "whole", home))
    pages = first["kept"]["raw_pages"]
    theirs = curation_decisions.of_datatrove(folder / "datatrove0" / "whole")
    result = {
        "pages": pages,
        "texts": first["kept"]["extracted_text"],
        "kept": first["kept"]["pii_redacted"],
        "decisions": curation_decisions.differences(fates, theirs),
        **{side: summary(found, pages, first["kept"]["extracted_text"]) for side, found in sides.items()},
    }
    for line in lines(name, result):
        print(line)
    return result


def run(side: str, warc: Path, text: Path, folder: Path, home: Path) -> Report:
    """One side over one crawl."""
    if side != "datatrove":
        return steps(side, warc, folder, home)
    whole = child.run("benchmarks.curation_datatrove", "crawl", warc, folder, home=home)
    texts = child.run("benchmarks.curation_datatrove", "texts", text, folder / "texts", home=home)
    return {**whole, "text": texts["work"], "text_steps": texts["steps"]}


def steps(profile: str, warc: Path, store: Path, home: Path) -> Report:
    """This project's steps over one crawl."""
    report = child.run("benchmarks.curation_steps", profile, warc, store, home=home)
    return {**report, "text": sum(report["steps"][step] for step in FROM_TEXT)}


def one_page(folder: Path, warc: Path, text: Path, kept: set[str]) -> tuple[Path, Path]:
    """A WARC file and a Parquet file of one page that goes through every step."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from llm_dag.curation import warc as reader
    from llm_dag.ledger import document_id

    capture = next(capture for capture in reader.captures(warc) if capture.record_id in kept)
    single = folder / "one.warc.gz"
    with warc.open("rb") as stream:
        stream.seek(capture.offset)
        single.write_bytes(stream.read(capture.length))
    table = pq.read_table(text)
    row = table.filter(pc.equal(table["doc_id"], document_id("local-crawl", capture.record_id)))
    pq.write_table(row, folder / "one.parquet")
    return single, folder / "one.parquet"


def summary(side: Side, pages: int, texts: int) -> Report:
    """Rates on both bases, memory, and the seconds of each step beyond start-up."""
    found: Report = {"peak_mb": side.peak, "wall": [report["wall"] for report in side.whole]}
    found["processor"] = [report["processor"] for report in side.whole]
    for what, count in (("whole", pages), ("text", texts)):
        seconds, start = side.seconds(what)
        found[what] = {
            "seconds": seconds,
            "start_up": start,
            "further": (count - 1) / (seconds - start),
            "all_in": count / seconds,
        }
    names = dict.fromkeys(name for report in side.whole for name in report["steps"])
    found["steps"] = {name: _mean(side.whole, name) - _mean(side.one, name) for name in names}
    return found


def _mean(reports: list[Report], step: str) -> float:
    return sum(float(report["steps"].get(step, 0.0)) for report in reports) / len(reports)


def lines(name: str, result: Report) -> Iterator[str]:
    """The result in words."""
    peer = result["datatrove"]
    yield f"{name}: {result['pages']} pages, {result['texts']} with text, {result['kept']} kept at the end"
    for side in ("datatrove", *PROFILES):
        found = result[side]
        for what, label in (("whole", "from WARC"), ("text", "from text")):
            rate = found[what]
            line = f"  {side:9} {label}: {rate['further']:7.1f} pages/s further, {rate['all_in']:7.1f} all in"
            line += f" ({rate['seconds']:.1f} s, start-up {rate['start_up']:.1f} s)"
            if side != "datatrove":
                ratios = [rate[basis] / peer[what][basis] for basis in ("further", "all_in")]
                line += f"; {ratios[0]:.2f} times datatrove, {ratios[1]:.2f} all in"
                if gate := GATES.get((side, what)):
                    line += f" (wanted: {gate}: {_met(ratios[0] >= gate)})"
            yield line
        slowest = sorted(found["steps"].items(), key=lambda step: -step[1])[:6]
        named = ", ".join(f"{step} {seconds:.2f}" for step, seconds in slowest)
        clock = ", ".join(f"{seconds:.1f}" for seconds in found["wall"])
        yield f"  {side:9} peak memory {found['peak_mb']:.0f} MB; by the clock {clock} s; seconds by step: {named}"
    most = max(result[profile]["peak_mb"] for profile in PROFILES)
    yield f"  memory of a worker: {most:.0f} MB (wanted: under {MOST_MEGABYTES}: {_met(most < MOST_MEGABYTES)})"
    decided = ", ".join(f"{count} {cause}" for cause, count in result["decisions"].items())
    yield f"  decisions, fineweb beside datatrove: {decided}"


def _met(is_met: bool) -> str:
    return "met" if is_met else "NOT MET"
