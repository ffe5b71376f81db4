"""Extraction on pages whose main text people have marked: this project's step beside the extractor it calls.

Two sets of real pages (no real data: nothing is measured):

- Zyte's article benchmark, scored by its own rule: bags of 4-token shingles (tokens are `\\w+`), counts of each page
  divided by their sum, precision and recall averaged over pages, F1 of the averages; the interval is the standard
  deviation over 1,000 bootstrap samples of pages.
- trafilatura's evaluation pages, scored by its rule: strings that must be in the text and strings that must not, over
  all pages together.

Each extractor is called as its makers call it, on the bytes, with its own decoding; ours is decoding, extraction and
cleaning of the step. The scores must be equal to the third digit.
"""

from __future__ import annotations

import json
import random
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from benchmarks import inputs

EXTRACTORS = ("trafilatura", "resiliparse")
PUBLISHED = {  # over all pages of each benchmark, of which these are about half; see their SOURCE.md
    "zyte": {"trafilatura 2.0.0": 0.958, "readability-lxml 0.8.4.1": 0.922, "jusText 3.0.2": 0.804},
    "trafilatura": {"trafilatura 2.2.0": 0.924, "resiliparse 1.0.9": 0.811, "readability-lxml": 0.826},
}
TOKEN = re.compile(r"\w+")
SHINGLE = 4
SAMPLES = 1_000
EQUAL = 0.0005
Extract = Callable[[bytes], str]
Scores = dict[str, float]


def main() -> dict[str, Any]:
    """Score every extractor on both sets."""
    real = inputs.real_data()
    if real is None:
        print("extraction: no real data")
        return {}
    pages = list(inputs.articles(real))
    gold = {name: text for name, _, text in pages}
    marked = strings(real)
    results: dict[str, Any] = {}
    for name in EXTRACTORS:
        for kind in ("own", "ours"):  # in this order: the step changes how trafilatura answers its expressions
            extract = OWN[name] if kind == "own" else ours(name)
            texts = {page: extract(html) for page, html, _ in pages}
            results[f"zyte/{name}/{kind}"] = zyte(gold, texts)
            found = [(extract(html), wanted, unwanted) for html, wanted, unwanted in marked]
            results[f"trafilatura/{name}/{kind}"] = by_strings(found)
    for benchmark, published in PUBLISHED.items():
        _print(benchmark, published, results)
    return results


def _print(benchmark: str, published: Mapping[str, float], results: Mapping[str, Scores]) -> None:
    stated = ", ".join(f"{name} {score:.3f}" for name, score in published.items())
    print(f"extraction, {benchmark} pages; published over all of them: {stated}")
    for name in EXTRACTORS:
        own, step = (results[f"{benchmark}/{name}/{kind}"] for kind in ("own", "ours"))
        equal = "equal" if abs(own["f1"] - step["f1"]) < EQUAL else "NOT EQUAL"
        print(f"  {name:12} its own F1 {_shown(own)}; this project's step {_shown(step)}: {equal}")


def _shown(scores: Scores) -> str:
    interval = f" ± {scores['f1_deviation']:.3f}" if "f1_deviation" in scores else ""
    return f"{scores['f1']:.3f}{interval} (P {scores['precision']:.3f}, R {scores['recall']:.3f})"


def ours(name: str) -> Extract:
    """Decoding, extraction and cleaning as the step `extracted_text` does them; a page that it drops has no text."""
    from llm_dag.config.compose import compose
    from llm_dag.curation import extraction

    config = compose(["curation=fineweb"]).identity.curation.extraction
    extract = extraction.extractor(name)
    page = {"encodings": "", "charset": "", "robots": ""}
    return lambda body: extraction._extracted(page, body, config, extract)[1]


def trafilatura_alone(body: bytes) -> str:
    """trafilatura on bytes, with the options of this project and of FineWeb."""
    from trafilatura import extract

    return extract(body, favor_precision=True, include_comments=False) or ""


def resiliparse_alone(body: bytes) -> str:
    """resiliparse on bytes, with its own detection of the encoding."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import detect_encoding
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse_from_bytes(body, detect_encoding(body))
    return extract_plain_text(tree, main_content=True, alt_texts=False, comments=False)


OWN: Mapping[str, Extract] = {"trafilatura": trafilatura_alone, "resiliparse": resiliparse_alone}


def zyte(gold: Mapping[str, str], texts: Mapping[str, str]) -> Scores:
    """Precision, recall and F1 of Zyte's benchmark, and the bootstrap deviation of F1."""
    counts = [shares(gold[page], texts[page]) for page in sorted(gold)]
    draw = random.Random(1)
    samples = [averages(draw.choices(counts, k=len(counts)))["f1"] for _ in range(SAMPLES)]
    return averages(counts) | {"f1_deviation": statistics.stdev(samples)}


def shares(wanted: str, found: str) -> tuple[float, float, float]:
    """(true positive, false positive, false negative) shingles of a page, as parts of all of them."""
    true, other = _shingles(wanted), _shingles(found)
    both = (true & other).total()
    counts = both, other.total() - both, true.total() - both
    whole = sum(counts) or 1
    return counts[0] / whole, counts[1] / whole, counts[2] / whole


def _shingles(text: str) -> Counter[tuple[str, ...]]:
    tokens = TOKEN.findall(text)
    starts = range(max(1, len(tokens) - SHINGLE + 1) if tokens else 0)
    return Counter(tuple(tokens[start : start + SHINGLE]) for start in starts)


def averages(counts: Sequence[tuple[float, float, float]]) -> Scores:
    """Precision and recall averaged over pages, and the F1 of the averages."""
    precision = statistics.fmean(_ratio(tp, fp, fp == fn == 0) for tp, fp, fn in counts)
    recall = statistics.fmean(_ratio(tp, fn, fp == fn == 0) for tp, fp, fn in counts)
    return {"precision": precision, "recall": recall, "f1": _f1(precision, recall)}


def _ratio(right: float, wrong: float, perfect: bool) -> float:
    return 1.0 if perfect else right / (right + wrong) if right + wrong else 0.0


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def strings(real: Path) -> list[tuple[bytes, list[str], list[str]]]:
    """(HTML, strings that must be in the text, strings that must not) of trafilatura's evaluation pages."""
    from llm_dag.curation import warc

    folder = real / "extraction/trafilatura_eval"
    marked = json.loads((folder / "evaldata.json").read_text())
    found = []
    for capture in warc.captures(folder / "pages-dev.warc.gz"):
        if capture.kind == "response":
            key = capture.url if capture.url in marked else unquote(capture.url.removeprefix("http://key.invalid/"))
            found.append((capture.payload, marked[key].get("with", []), marked[key].get("without", [])))
    return found


def by_strings(pages: Iterable[tuple[str, Sequence[str], Sequence[str]]]) -> Scores:
    """Precision, recall and F1 of trafilatura's evaluation."""
    right = wrong = missed = 0
    for text, wanted, unwanted in pages:
        line = " ".join(text.split())
        hits = sum(" ".join(string.split()) in line for string in wanted)
        right, missed = right + hits, missed + len(wanted) - hits
        wrong += sum(" ".join(string.split()) in line for string in unwanted)
    precision, recall = right / max(1, right + wrong), right / max(1, right + missed)
    return {"precision": precision, "recall": recall, "f1": _f1(precision, recall)}
