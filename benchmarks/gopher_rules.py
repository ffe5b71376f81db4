"""Gopher's rules beside datatrove's own blocks: the same decision and reason on every page."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.inputs import documentation
from llm_dag.config.compose import compose


def main() -> dict[str, Any]:
    """Measure, and print a line."""
    result = measure(documentation(1_500))
    print(f"{result['what']}: {result['ratio']:.2f} times {result['peer']}, results equal: {result['equal']}")
    return result


def measure(texts: list[str]) -> dict[str, Any]:
    """Seconds of both, their ratio, and whether every decision and reason is equal."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter

    from llm_dag.curation import gopher
    from llm_dag.curation.words import Splitter

    config = compose(["curation=fineweb"]).identity.curation.gopher
    blocks = [GopherRepetitionFilter(), GopherQualityFilter()]
    blocks[0].filter(Document(text=texts[0], id="warm"))
    splitter = Splitter()
    splitter.words(texts[0])

    begun = time.perf_counter()
    ours = [gopher.decide(gopher.measure(text, splitter.words(text)), config) for text in texts]
    between = time.perf_counter()
    theirs = [_reason(blocks, Document(text=text, id=str(at))) for at, text in enumerate(texts)]
    ended = time.perf_counter()
    return {
        "what": "Gopher's rules",
        "peer": "datatrove",
        "pages": len(texts),
        "seconds": between - begun,
        "peer_seconds": ended - between,
        "ratio": (ended - between) / (between - begun),
        "equal": ours == theirs,
    }


def _reason(blocks: list[Any], document: Any) -> str:
    for block in blocks:
        verdict = block.filter(document)
        kept, reason = verdict if isinstance(verdict, tuple) else (verdict, "")
        if not kept:
            return str(reason)
    return ""
