"""Encoding with a trained vocabulary beside the `tokenizers` library: the same ids."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.inputs import documentation


def main() -> dict[str, Any]:
    """Measure, and print a line."""
    result = measure(documentation(1_500))
    print(f"{result['what']}: {result['ratio']:.2f} times {result['peer']}, results equal: {result['equal']}")
    return result


def measure(texts: list[str]) -> dict[str, Any]:
    """Seconds of both, their ratio, and whether every id is equal."""
    from tokenizers import Tokenizer

    from llm_dag.tokenization import tokenizer
    from llm_dag.tokenization.vocabulary import Vocabulary

    with tempfile.TemporaryDirectory() as folder:
        tokenizer.write(tokenizer.train(iter([texts]), "cl100k", 4096), lambda name: Path(folder) / name)
        ours, theirs = Vocabulary.load(Path(folder)), Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    ours.encode(texts[0])
    begun = time.perf_counter()
    found = [ours.encode(text) for text in texts]
    between = time.perf_counter()
    wanted = [theirs.encode(text, add_special_tokens=False).ids for text in texts]
    ended = time.perf_counter()
    return {
        "what": "encoding",
        "peer": "tokenizers",
        "bytes": sum(len(text.encode()) for text in texts),
        "seconds": between - begun,
        "peer_seconds": ended - between,
        "ratio": (ended - between) / (between - begun),
        "equal": found == wanted,
    }
