"""Benchmark overlap on real pages: what fires, what planted items are found, and what it costs.

    python -m benchmarks.decontamination FOLDER [--show]

FOLDER holds evals/, text/, quality_filter/, extraction/, conversations/ and preferences/ with the files that `items`
and `pages` name; single files that are missing are left out. Installed Python code is searched too. Hits are counted by
kind of page; --show prints each, to be read: is it an item's text or a common phrase? Then 300 items of each task are
planted in real pages, one each: as they are, as a question alone, with lettered choices, with each 20th word replaced.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import sys
import sysconfig
import tarfile
import time
import tracemalloc
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from llm_dag.config.compose import compose
from llm_dag.curation.decontamination import Benchmarks, Item, words
from llm_dag.tasks.benchmarks import item_text

PLANTED = 300
LETTERS = "ABCDEFGHIJ"


class Asked(NamedTuple):
    """An item before it is one text."""

    task: str
    question: str
    choices: list[str]
    answer: str


def main() -> None:
    """Print what fires, what is found and what it costs; then one line of JSON."""
    folder, show = Path(sys.argv[1]), "--show" in sys.argv
    config = compose().identity.curation.custom
    asked = [one for one in items(folder) if one.question.strip()]
    texts = [item_text(one._asdict(), folder, number)[1] for number, one in enumerate(asked)]
    tracemalloc.start()
    begun = time.perf_counter()
    benchmarks = Benchmarks(
        (Item(one.task, str(number), texts[number]) for number, one in enumerate(asked)), config.overlap_ngram
    )
    built, held = time.perf_counter() - begun, tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    print(f"{benchmarks.items} items, {benchmarks.too_short} too short; {len(benchmarks)} runs of words")
    print(f"built in {built:.1f} s (while memory was traced), {held / len(benchmarks):.0f} bytes a run\n")
    real = {kind: list(found) for kind, found in pages(folder)}
    hits = fired(benchmarks, real, texts, config.overlap_share, show)
    found = planted(benchmarks, asked, real["text/c4_sample"], config.overlap_share)
    print(json.dumps({"what": "benchmark overlap", "runs": len(benchmarks), "hits": hits, "planted": found}))


def fired(
    benchmarks: Benchmarks, real: dict[str, list[str]], texts: list[str], least: float, show: bool
) -> dict[str, int]:
    """Pages that share a run with an item, and with which share of it."""
    hits: Counter[str] = Counter()
    print("pages    words  seconds  dropped  under the share  kind")
    for kind, found in real.items():
        begun = time.perf_counter()
        overlaps = [benchmarks.overlap(page) for page in found]
        seconds = time.perf_counter() - begun
        dropped = [one for one in overlaps if one and one.share >= least]
        under = [one for one in overlaps if one and one.share < least]
        hits += Counter({"pages": len(found), "dropped": len(dropped), "under": len(under)})
        count = sum(len(words(page)) for page in found)
        print(f"{len(found):5} {count:8} {seconds:8.2f} {len(dropped):8} {len(under):16}  {kind}")
        for one in (dropped + under) if show else []:
            print(f"    {one.task} {one.share:.2f}: {one.ngram}\n        {texts[int(one.item)][:160]!r}")
    print()
    return dict(hits)


def planted(benchmarks: Benchmarks, asked: list[Asked], real: list[str], least: float) -> dict[str, dict[str, float]]:
    """For each task and each form, the share of planted items whose page is dropped (for whatever item)."""
    draw = random.Random(1)
    by_task: defaultdict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        by_task[one.task].append(one)
    shares: dict[str, dict[str, float]] = {}
    print("planted  whole  question  lettered  edited  task")
    for task, every in by_task.items():
        sample = draw.sample(every, min(PLANTED, len(every)))
        found: Counter[str] = Counter()
        for one in sample:
            before, after = draw.choice(real), draw.choice(real)
            for form, text in forms(one, draw).items():
                overlap = benchmarks.overlap(f"{before}\n{text}\n{after}")
                found[form] += overlap is not None and overlap.share >= least
        shares[task] = {form: found[form] / len(sample) for form in ("whole", "question", "lettered", "edited")}
        print(f"{len(sample):7} " + "".join(f"{value:8.3f} " for value in shares[task].values()) + f" {task}")
    print()
    return shares


def forms(one: Asked, draw: random.Random) -> dict[str, str]:
    """The ways in which a page may hold an item."""
    lettered = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, one.choices, strict=False)]
    whole = "\n".join([one.question, *one.choices, *([one.answer] if one.answer not in one.choices else [])])
    edited = whole.split(" ")
    for at in range(draw.randrange(20), len(edited), 20):
        edited[at] = "something"
    return {
        "whole": whole,
        "question": one.question,
        "lettered": "\n".join([one.question, *(lettered or [one.answer])]),
        "edited": " ".join(edited),
    }


def items(folder: Path) -> Iterator[Asked]:
    """The items of evals/, each with its right answer."""
    for path in sorted((folder / "evals/gauntlet").glob("*.jsonl.zst")):
        for record in lines(path):
            yield gauntlet(path.name.split(".")[0], record)
    for _, text in members(folder / "evals/mmlu/mmlu_val.tar.zst"):
        for row in csv.reader(io.StringIO(text)):
            if len(row) == 6:
                yield Asked("mmlu", row[0], row[1:5], row[1 + LETTERS.index(row[5])])
    for _, text in members(folder / "evals/blimp/data.tar.zst"):
        for line in text.splitlines():
            yield Asked("blimp", json.loads(line)["sentence_good"], [], "")
    for name in ("mt_bench_question", "vicuna_bench_question"):
        for record in lines(folder / f"evals/mt_bench/{name}.jsonl"):
            yield from (Asked(name, turn, [], "") for turn in record["turns"])


def gauntlet(task: str, record: dict[str, Any]) -> Asked:
    """One line of the Mosaic Eval Gauntlet, without the words that it puts before questions and passages."""
    if "context_options" in record:
        return Asked(task, f"{record['context_options'][record['gold']]} {record['continuation']}", [], "")
    if "prompt" in record:
        return Asked(task, record["prompt"], [], record["canonical_solution"])
    if "context" in record:
        return Asked(task, record["context"], [], str(record.get("continuation", record.get("answer", ""))))
    question = record["query"].removeprefix("Question: ").removeprefix("Context: ").removeprefix("Passage: ")
    choices = record["choices"]
    if all(len(choice) == 1 for choice in choices):  # letters; the choices stand in the query
        question, _, listed = question.partition("\nChoices:\n")
        choices = [line[3:] for line in listed.split("\n") if line[1:3] == ". "]
    return Asked(task, question, choices, choices[record["gold"]] if record["gold"] < len(choices) else "")


def pages(folder: Path) -> Iterator[tuple[str, Iterator[str]]]:
    """(kind, texts): web pages, encyclopedia, novels, speeches; then conversations, where copies of items are."""
    for name in ("text/c4_sample", "text/ccnet_head_2020", "text/common_crawl_cc_licensed_2019"):
        yield name, (record["text"] for path in sorted((folder / name).glob("*.jsonl.*")) for record in lines(path))
    for name in ("dclm_human_labels/labels", "datatrove_reference_decisions/decisions"):
        yield (
            f"quality_filter/{name}",
            (record["text"] for record in lines(folder / f"quality_filter/{name}.jsonl.zst")),
        )
    yield "text/wikipedia_sample", iter(opened(folder / "text/wikipedia_sample/wiki_demo.txt.gz").splitlines())
    yield "text/english_novels", (text for _, text in members(folder / "text/english_novels/novels.tar.zst"))
    yield "text/tiny_shakespeare", iter([opened(folder / "text/tiny_shakespeare/input.txt")])
    yield "text/us_presidential_speeches", zipped(folder / "text/us_presidential_speeches")
    yield "extraction (html pages)", html_pages(folder / "extraction")
    yield "installed Python code", installed_code()
    for name in ("conversations", "preferences"):
        found = sorted((folder / name).rglob("*.jsonl*"))
        yield name, (said(record) for path in found for record in lines(path))


def said(value: Any) -> str:
    """All texts of a record, a line each."""
    if isinstance(value, dict):
        return "\n".join(said(one) for one in value.values())
    return "\n".join(said(one) for one in value) if isinstance(value, list) else str(value)


def html_pages(folder: Path) -> Iterator[str]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    from llm_dag.curation import extraction

    extract = extraction.extractor("resiliparse")
    found = [text for name, text in members(folder / "mozilla_readability/test-pages.tar.zst") if "source" in name]
    found += [text for _, text in members(folder / "zyte_article_benchmark/html.tar.zst")]
    with (folder / "trafilatura_eval/pages-dev.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            found.append(record.reader.read().decode("utf-8", "replace"))
    for html in found:
        if text := extract(html):
            yield text


def installed_code() -> Iterator[str]:
    for path in sorted(Path(sysconfig.get_paths()["purelib"]).rglob("*.py")):
        if path.stat().st_size < 400_000:
            yield path.read_text("utf-8", "replace")


def zipped(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".txt"):
                    yield archive.read(name).decode("utf-8", "replace")


def unpacked(path: Path) -> bytes:
    if not path.exists():
        return b""
    if path.suffix == ".zst":
        import zstandard

        with path.open("rb") as stream:
            return bytes(zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(stream).read())
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def opened(path: Path) -> str:
    return unpacked(path).decode("utf-8-sig", "replace")


def lines(path: Path) -> Iterator[Any]:
    for line in opened(path).split("\n"):
        if line.strip():
            yield json.loads(line)


def members(path: Path) -> Iterator[tuple[str, str]]:
    if packed := unpacked(path):
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member in archive.getmembers():
                if (file := archive.extractfile(member)) is not None:
                    yield member.name, file.read().decode("utf-8-sig", "replace")


if __name__ == "__main__":
    main()
