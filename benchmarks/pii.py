"""Redaction of personal data: speed beside datatrove's formatter; hits and recall over real texts; hostile texts.

    python -m benchmarks.pii                    # everything that the data at hand allows
    python -m benchmarks.pii --show phones      # the hits of a kind with what stands around them, to judge by eye

Real texts are looked for in $LLM_DAG_REAL_DATA, or in shared/data beside the project; without them only the
documentation inside Python is read.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.inputs import documentation
from llm_dag.config.compose import compose
from llm_dag.config.curation import Pii
from llm_dag.curation.personal_data.redaction import KINDS, find, replace

REAL = Path(os.environ.get("LLM_DAG_REAL_DATA", Path(__file__).parents[2] / "shared/data"))
LABELS = {  # of presidio-research
    "EMAIL_ADDRESS": "email",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "credit_card",
    "IBAN_CODE": "iban",
    "US_SSN": "ssn",
}
HOSTILE = (
    *(
        "@",
        "a@",
        "a@a.",
        "a.",
        "1",
        "1.",
        "1-",
        "1 ",
        "(1",
        "((1)",
        ":",
        "1:",
        "a:",
        "2001:",
        "::1 ",
        "+",
        "+1",
        "+49 ",
    ),
    *("4111", "4111 ", "DE89", "DE89 ", "123-45-", "212-", "(212) ", "212-345-6789 ", "tel 1 ", "8.8.8.8 "),
)


def measure(texts: list[str]) -> dict[str, Any]:
    """Seconds of both, their ratio, and whether both find as many e-mail addresses in each text."""
    from datatrove.pipeline.formatters import PIIFormatter

    config = compose(["curation=fineweb"]).identity.curation.pii
    block = PIIFormatter(email_replacement="email@example.com", ip_replacement="192.0.2.1")
    begun = time.perf_counter()
    ours = [replace(text, find(text, config)) for text in texts]
    between = time.perf_counter()
    theirs = [block.format(text) for text in texts]
    ended = time.perf_counter()
    return {
        "what": "personal data",
        "peer": "datatrove",
        "pages": len(texts),
        "seconds": between - begun,
        "peer_seconds": ended - between,
        "ratio": (ended - between) / (between - begun),
        "equal": [text.count("email@example.com") for text in ours] == [t.count("email@example.com") for t in theirs],
    }


def corpora() -> Iterator[tuple[str, list[str]]]:
    """Real texts by name."""
    yield "documentation", documentation(40_000, compose([]).identity.source.distributions)
    if not REAL.is_dir():
        return
    for name, folder in (("C4", "c4_sample"), ("CCNet", "ccnet_head_2020")):
        lines = [line for path in sorted((REAL / "text" / folder).glob("*.gz")) for line in _lines(path)]
        yield name, [json.loads(line)["text"] for line in lines]
    yield "Wikipedia", _lines(REAL / "text/wikipedia_sample/wiki_demo.txt.gz")
    yield "web, whole pages", list(_pages(REAL / "extraction/trafilatura_eval/pages-dev.warc.gz"))
    for name, file in (
        ("web, judged by people", "quality_filter/dclm_human_labels/labels"),
        ("web, any language", "text/common_crawl_cc_licensed_2019/docs"),
    ):
        yield name, [json.loads(line)["text"] for line in _unpacked(f"{file}.jsonl.zst").split("\n") if line]


def _pages(path: Path) -> Iterator[str]:
    """All text of the pages of a WARC: footers and contacts too, where most personal data stands."""
    from resiliparse.extract.html2text import extract_plain_text

    from llm_dag.curation import warc

    for capture in warc.captures(path):
        yield extract_plain_text(capture.payload.decode("utf-8", "replace"), main_content=False, alt_texts=False)


def _lines(path: Path) -> list[str]:
    return [line for line in gzip.decompress(path.read_bytes()).decode().split("\n") if line]


def _unpacked(name: str) -> str:
    import zstandard

    with (REAL / name).open("rb") as file:
        return str(zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(file).read().decode())


def everything() -> Pii:
    """Every kind switched on."""
    config = compose(["curation=fineweb"]).identity.curation.pii
    return dataclasses.replace(config, **{kind.switch: True for kind in KINDS})


def hits(texts: list[str], config: Pii) -> dict[str, dict[str, tuple[str, str]]]:
    """The different finds of each kind, with what stands before and behind the first of each."""
    found: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for text in texts:
        for start, end, kind in find(text, config):
            around = (text[max(0, start - 40) : start], text[end : end + 30])
            found[kind.switch].setdefault(text[start:end], around)
    return found


def recall(config: Pii) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Labelled pieces, those that lie in a find of their kind, and finds that touch no labelled piece; by kind."""
    labelled: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for sentence in json.loads(_unpacked("pii/presidio_synthetic/synth_dataset_v2.json.zst")):
        found = [(span.start, span.end, span.kind.name) for span in find(sentence["full_text"], config)]
        gold = [
            (span["start_position"], span["end_position"], LABELS[span["entity_type"]])
            for span in sentence["spans"]
            if span["entity_type"] in LABELS
        ]
        for start, end, kind in gold:
            labelled[kind] += 1
            covered[kind] += any(one <= start and end <= other and name.startswith(kind) for one, other, name in found)
        for one, other, name in found:
            if not any(one < end and start < other for start, end, _ in gold):
                wrong["ip" if name.startswith("ip") else name] += 1
    return labelled, covered, wrong


def rate(texts: list[str], config: Pii, repeats: int = 3) -> float:
    """Megabytes (millions of characters) a second, the best of some runs."""
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        for text in texts:
            replace(text, find(text, config))
        seconds.append(time.perf_counter() - begun)
    return sum(map(len, texts)) / min(seconds) / 1e6


def main() -> None:
    """Print tables, then one line of JSON."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--show", default="", choices=["", *(kind.switch for kind in KINDS)])
    show = arguments.parse_args().show
    config = everything()
    fineweb = compose(["curation=fineweb"]).identity.curation.pii
    results: dict[str, Any] = {}
    for name, texts in corpora():
        found = hits(texts, config)
        for value, (before, after) in found[show].items():
            print(f"{name}: {before!r} >>>{value}<<< {after!r}")
        if not show:
            row = {kind.switch: len(found[kind.switch]) for kind in KINDS}
            row |= {"texts": len(texts), "characters": sum(map(len, texts))}
            row |= {"MB/s": round(rate(texts, config), 1), "MB/s as FineWeb": round(rate(texts, fineweb), 1)}
            results[name] = row
            print(f"{name}: {row}")
    if show:
        return
    peer = results["peer"] = measure(documentation(1_500))
    print(f"{peer['what']}: {peer['ratio']:.2f} times {peer['peer']}, as many e-mail addresses: {peer['equal']}")
    if REAL.is_dir():
        labelled, covered, wrong = recall(config)
        for kind in labelled:
            print(f"{kind}: {covered[kind]} of {labelled[kind]} labelled, {wrong[kind]} finds elsewhere")
        results["recall"] = {kind: [covered[kind], labelled[kind], wrong[kind]] for kind in labelled}
    for unit in HOSTILE:
        rates = [round(rate([unit * (size // len(unit))], config, 1), 1) for size in (200_000, 2_000_000)]
        results[f"hostile {unit}"] = rates
        print(f"{unit!r} again and again: {rates[0]} MB/s over 200 kB, {rates[1]} MB/s over 2 MB")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
