"""MinHash signatures beside datatrove's, and the recall of both beside theory: `python -m benchmarks.minhash`.

Pairs are made from real pages: of each page a piece of its words is replaced, so that similarities lie in all bins.
Pages that share a twentieth of their 5-grams with an earlier one are left out: pairs that share text are hit and missed
together, and the standard error is that of independent ones. A pair is found if its signatures agree in a bucket.

Both sides sign the same texts with 14 x 8 hashes of 64 bits over word 5-grams; the words are each side's own, and so
are the similarities that theory gets.
"""

from __future__ import annotations

import json
import math
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from llm_dag.config.compose import compose

BINS = (0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
SIGMA = 3.0
Signed = tuple[Any, Any]  # the set of shingles, and a number or a tuple for each bucket


def measure(texts: Sequence[str]) -> dict[str, Any]:
    """Seconds of both, their ratio, recall by bin, and whether both are within `SIGMA` of theory in every bin."""
    pairs = planted(unlike([text for text in texts if len(text) > 600]))
    given = [text for pair in pairs for text in pair]
    ours, theirs = _ours(), _datatrove()
    for sign in (ours, theirs):
        sign(given[0])
    begun = time.perf_counter()
    signed = [ours(text) for text in given]
    between = time.perf_counter()
    peers = [theirs(text) for text in given]
    ended = time.perf_counter()
    recalls = {"llm_dag": by_bin(signed), "datatrove": by_bin(peers)}
    return {
        "what": "MinHash signatures",
        "peer": "datatrove",
        "pages": len(given),
        "seconds": between - begun,
        "peer_seconds": ended - between,
        "ratio": (ended - between) / (between - begun),
        "equal": all(row["as_theory"] for rows in recalls.values() for row in rows),
        "recall": recalls,
    }


def unlike(texts: Sequence[str]) -> list[str]:
    """The texts of whose 5-grams fewer than a twentieth stand in an earlier one."""
    from llm_dag.curation.shingles import Shingler

    shingler, seen, found = Shingler(5), set[int](), []
    for text in texts:
        shingles = set(shingler.shingles(text).tolist())
        if len(shingles & seen) < 0.05 * len(shingles):
            found.append(text)
            seen |= shingles
    return found


def planted(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Each text with a copy in which a piece of up to half of its words is replaced."""
    pairs = []
    for number, text in enumerate(texts):
        draw = random.Random(number)
        words = text.split()
        count = int(len(words) * 0.5 * draw.random() ** 1.5)
        start = draw.randrange(len(words) - count + 1)
        new = [f"new{number}x{at}" for at in range(count)]
        pairs.append((text, " ".join([*words[:start], *new, *words[start + count :]])))
    return pairs


def _ours() -> Callable[[str], Signed]:
    from llm_dag.curation.minhash_signatures import Hasher
    from llm_dag.curation.shingles import Shingler

    config = compose(["curation=fineweb"]).identity.curation.minhash.signatures
    shingler, hasher = Shingler(config.ngram), Hasher(config)

    def sign(text: str) -> Signed:
        shingles = shingler.shingles(text)
        return shingles, hasher.bands(shingles).tolist()

    return sign


def _datatrove() -> Callable[[str], Signed]:
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.hashing import HashConfig

    config = MinhashConfig(hash_config=HashConfig(precision=64))
    with tempfile.TemporaryDirectory() as folder:
        block = MinhashDedupSignature(folder, config)

    def sign(text: str) -> Signed:
        shingles = block.get_shingles(text)
        return shingles, [tuple(bucket) for bucket in block.get_signature(shingles)]

    return sign


def by_bin(signed: Sequence[Signed]) -> list[dict[str, Any]]:
    """Of the pairs in each bin of true similarity: how many were found, and how many theory expects."""
    bins: defaultdict[float, list[tuple[bool, float]]] = defaultdict(list)
    for (one, bands), (other, buckets) in zip(signed[::2], signed[1::2], strict=True):
        shared = len(np.intersect1d(one, other))
        similarity = shared / len(np.union1d(one, other))
        hit = any(left == right for left, right in zip(bands, buckets, strict=True))
        edge = max((edge for edge in BINS if edge <= similarity), default=0.0)
        bins[edge].append((hit, 1 - (1 - similarity**8) ** 14))
    rows = []
    for edge, pairs in sorted(bins.items()):
        recall, theory = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
        error = math.sqrt(sum(expected * (1 - expected) for _, expected in pairs)) / len(pairs)
        within = abs(recall - theory) <= SIGMA * error + 1 / len(pairs)
        rows.append(
            {
                "from": edge,
                "pairs": len(pairs),
                "recall": recall,
                "theory": theory,
                "standard_error": error,
                "as_theory": within,
            }
        )
    return rows


def main() -> dict[str, Any]:
    """Print the speed, then recall by bin of both."""
    from benchmarks.inputs import documentation

    result = measure(documentation(6_000))
    pages = result["pages"]
    print(f"llm_dag {pages / result['seconds']:,.0f} pages/s, datatrove {pages / result['peer_seconds']:,.0f} pages/s")
    for name, rows in result["recall"].items():
        print(f"{name}: similarity from, pairs, recall, theory, standard error")
        for row in rows:
            told = f"{row['recall']:7.4f} {row['theory']:7.4f} {row['standard_error']:7.4f}"
            print(f"  {row['from']:4.2f} {row['pairs']:6} {told} {'' if row['as_theory'] else 'not as theory says'}")
    return result


if __name__ == "__main__":
    print(json.dumps(main()))
