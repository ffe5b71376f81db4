"""MinHash over natural near-duplicates and planted copies: recall by true similarity, and no false removal.

Recall is of candidates: pairs that agree in a band. Theory is 1 - (1 - s^8)^14 at the true similarity s of each pair,
and the interval is the central 99 % of the binomial distribution with the mean of these probabilities (whose spread is
the larger one: the true one is a sum of unequal ones). It holds for independent draws. Pairs of one document's versions
share most of their shingles, so they are hit and missed together under one choice of hash functions: therefore each of
`SEEDS` choices draws one pair from each document's versions, and these are counted.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from llm_dag.curation import minhash, minhash_signatures
from llm_dag.curation.minhash_signatures import Hasher
from llm_dag.curation.shingles import Numbers, Shingler, jaccard, normalize
from tests.curation.chain import extracted, node, run, verdicts_for

REAL = Path(os.environ.get("LLM_DAG_REAL_DATA", Path(__file__).parents[3] / "shared/data"))
SEEDS = 40
EDGES = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.01)

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL}")


def unpacked(name: str) -> str:
    zstandard = pytest.importorskip("zstandard")
    with (REAL / "dedup" / name).open("rb") as file:
        return str(zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(file).read().decode())


def versions() -> tuple[dict[str, str], dict[str, str]]:
    """Texts, and which document each is a version of."""
    documents = [json.loads(line) for line in unpacked("readme_versions/docs.jsonl.zst").split("\n") if line]
    return {one["id"]: one["text"] for one in documents}, {one["id"]: one["lineage"] for one in documents}


def articles() -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Texts, and the planted pairs."""
    lines = [line.split(" ", 1) for line in unpacked("plagiarised_articles/articles_1000.train.zst").split("\n")]
    truth = (REAL / "dedup/plagiarised_articles/articles_1000.truth").read_text().split("\n")
    texts = {line[0]: line[1] for line in lines if len(line) == 2}
    return texts, [(pair.split()[0], pair.split()[1]) for pair in truth if pair.strip()]


def true_jaccard(one: str, other: str) -> float:
    """By sets of tuples of words: nothing of the program but what a word is."""
    sets = []
    for words in (normalize(one), normalize(other)):
        n = min(5, len(words))
        sets.append({tuple(words[at : at + n]) for at in range(len(words) - n + 1)} if words else set())
    return len(sets[0] & sets[1]) / max(1, len(sets[0] | sets[1]))


def central(draws: int, probability: float, outside: float = 0.01) -> tuple[int, int]:
    """The fewest and the most hits in the central part of a binomial distribution."""
    below, low, high = 0.0, -1, draws
    for hits in range(draws + 1):
        below += math.comb(draws, hits) * probability**hits * (1 - probability) ** (draws - hits)
        if low < 0 and below > outside / 2:
            low = hits
        if below >= 1 - outside / 2:
            return low, hits
    return low, high


def theory(similarity: float) -> float:
    return 1 - (1 - similarity**8) ** 14


def hasher(seed: int) -> Hasher:
    return Hasher(dataclasses.replace(node("minhash").signatures, seed=seed))


def candidates(hasher: Hasher, one: Numbers, other: Numbers) -> bool:
    return bool((hasher.bands(one) == hasher.bands(other)).any())


def bin_of(similarity: float) -> float:
    return max((edge for edge in EDGES if edge <= similarity), default=0.0)


def assert_as_theory_says(found: Mapping[float, list[tuple[bool, float]]]) -> None:
    for edge, draws in sorted(found.items()):
        hits, mean = sum(hit for hit, _ in draws), sum(expected for _, expected in draws) / len(draws)
        low, high = central(len(draws), min(mean, 1.0))
        assert low <= hits <= high, f"from {edge}: {hits} of {len(draws)} found; theory {mean:.4f}: {low} to {high}"


def test_natural_pairs_are_found_as_often_as_theory_says() -> None:
    texts, document = versions()
    shingles = {name: Shingler(5).shingles(text) for name, text in texts.items()}
    lines = [line.split(",") for line in unpacked("readme_versions/pairs_jaccard.csv.zst").split()[1:]]
    pools: defaultdict[tuple[float, str], list[tuple[str, str, float]]] = defaultdict(list)
    apart = 0
    for one, other, stated in lines:
        similarity = jaccard(shingles[one], shingles[other])
        apart += abs(similarity - float(stated)) > 0.02
        pools[bin_of(similarity), document[one]].append((one, other, similarity))
    assert apart < 0.03 * len(lines)  # their words keep the underscore and ours do not: a few technical texts differ
    pools = defaultdict(list, {key: pool for key, pool in pools.items() if key[0]})
    assert {edge for edge, _ in pools} == set(EDGES[:-1])
    found: defaultdict[float, list[tuple[bool, float]]] = defaultdict(list)
    for seed in range(SEEDS):
        draw, functions = random.Random(seed), hasher(seed)
        for (edge, _), pool in sorted(pools.items()):
            one, other, similarity = draw.choice(pool)
            found[edge].append((candidates(functions, shingles[one], shingles[other]), theory(similarity)))
    assert min(map(len, found.values())) >= 5 * SEEDS
    assert_as_theory_says(found)


def test_planted_pairs_are_found_as_often_as_theory_says() -> None:
    texts, planted = articles()
    shingler = Shingler(5)
    found: defaultdict[float, list[tuple[bool, float]]] = defaultdict(list)
    for seed in range(SEEDS):
        functions = hasher(seed)
        for one, other in planted:
            pair = shingler.shingles(texts[one]), shingler.shingles(texts[other])
            found[bin_of(jaccard(*pair))].append((candidates(functions, *pair), theory(jaccard(*pair))))
    assert_as_theory_says(found)


def test_a_wrong_scheme_would_be_noticed() -> None:
    """The intervals tell 14 x 8 from 11 x 8 and from 14 x 9 in the lowest bin."""
    for other in (1 - (1 - 0.72**8) ** 11, 1 - (1 - 0.72**9) ** 14):
        low, high = central(8 * SEEDS, theory(0.72))
        assert not low <= other * 8 * SEEDS <= high


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_removed_below_the_threshold(tmp_path: Path, seed: int) -> None:
    """Each removed page is compared once more with its winner, by sets of tuples of words."""
    texts = versions()[0] | (articles()[0] if seed == 1 else {})
    pages = sorted(texts.items())
    config = node("minhash", signatures=dataclasses.replace(node("minhash").signatures, seed=seed))
    text = extracted(tmp_path, [pages[::2], pages[1::2]])
    judged = verdicts_for("gopher_filtered", tmp_path, text)
    signed = run(minhash_signatures.build, "minhash_signatures", config.signatures, [text, judged], tmp_path)
    made = run(minhash.build, "minhash_deduped", config, [signed, text, judged], tmp_path)
    rows = {row["doc_id"]: row for row in made.rows()}
    removed = [row for row in rows.values() if not row["kept"]]
    assert len(removed) > 200
    for row in removed:
        similarity = true_jaccard(texts[row["doc_id"]], texts[row["winner"]])
        assert row["jaccard"] == similarity >= config.threshold
        assert rows[row["winner"]]["kept"]
