"""Checks of the curation steps: each a pure function over a committed artifact and what it was made from.

Messages hold counts, doc_ids, URLs and reasons, never page text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llm_dag import ledger
from llm_dag.curation.decontamination import Benchmarks, read_items
from llm_dag.store.artifact import Artifact
from llm_dag.store.checks import CheckResult

# The smallest part of its documents that a step may keep: far below what crawls of the web give, so that the bounds
# catch a broken step and not an unusual crawl.
LEAST_KEPT: Mapping[str, float] = {
    "url_filtered": 0.3,
    "extracted_text": 0.2,
    "language_filtered": 0.02,
    "gopher_filtered": 0.05,
    "minhash_deduped": 0.05,
    "c4_filtered": 0.2,
    "custom_filtered": 0.2,
    "pii_redacted": 1.0,
}
FEW = 100  # documents below which a fraction says nothing
EXPECTED_HELDOUT = 10  # held-out documents to expect before their absence is an error
CANARIES = "canaries.parquet"


def conservation(artifact: Artifact) -> CheckResult:
    """Every document that the step before kept was judged exactly once: in = kept + dropped."""
    *_, before, _ = chain(artifact)
    names, texts = artifact.names("verdicts/"), artifact.names("text/")
    if names != before.names("verdicts/"):
        return CheckResult(False, f"verdicts of {len(names)} shards; wanted: the shards of {before.asset}")
    if texts and [name.replace("text/", "verdicts/") for name in texts] != names:
        return CheckResult(False, f"texts of {len(texts)} shards, verdicts of {len(names)}; wanted: of the same ones")
    kept = dropped = 0
    for name in names:
        verdicts = ledger.read_verdicts(artifact.path(name), ["doc_id", "kept", "reason"])
        wanted = _kept(before, name)
        if problem := _difference(wanted, verdicts["doc_id"].to_pylist(), f"documents that {before.asset} kept"):
            return CheckResult(False, f"{name}: {problem}")
        if not pc.all(pc.equal(verdicts["kept"], pc.equal(verdicts["reason"], ""))).as_py() and len(verdicts):
            return CheckResult(False, f"{name}: a reason on a kept document, or none on a dropped one")
        left = _kept(artifact, name)
        if texts:
            table = pq.read_table(artifact.path(name.replace("verdicts/", "text/")), columns=["doc_id"])
            if problem := _difference(left, table["doc_id"].to_pylist(), "texts of kept documents"):
                return CheckResult(False, f"{name}: {problem}")
        kept += len(left)
        dropped += len(verdicts) - len(left)
    numbers = {"documents_in": kept + dropped, "documents_kept": kept, "documents_dropped": dropped}
    return CheckResult(True, f"{kept + dropped} judged = {kept} kept + {dropped} dropped, each exactly once", numbers)


def chain(artifact: Artifact) -> list[Artifact]:
    """The steps that judged one after the other, up to this one: each judged what the one before it kept.

    They are found in the manifests. A step is made from the step before it, and maybe from earlier ones whose text it
    reads, so of its inputs with verdicts the last is the one with the longest chain. Earlier dumps have chains of their
    own.
    """
    known: dict[str, list[Artifact]] = {}

    def same_dump(above: Artifact) -> bool:
        return above.partition == artifact.partition

    def before(one: Artifact) -> list[Artifact]:
        if one.place not in known:
            inputs = (above for name in one.manifest.inputs for above in one.inputs(name) if same_dump(above))
            known[one.place] = [*max(map(before, filter(_judged, inputs)), key=len, default=[]), one]
        return known[one.place]

    return before(artifact)


def _judged(artifact: Artifact) -> bool:
    return bool(artifact.names("verdicts/"))


def retention(artifact: Artifact) -> CheckResult:
    """The step keeps a part of its documents that is within its bounds."""
    judged = kept = 0
    for name in artifact.names("verdicts/"):
        column = ledger.read_verdicts(artifact.path(name), ["kept"])["kept"]
        judged += len(column)
        kept += pc.sum(column).as_py() or 0
    if judged < FEW:
        return CheckResult(True, f"{kept} of {judged} kept; fewer than {FEW} documents say nothing about a rate")
    least = LEAST_KEPT[artifact.asset]
    message = f"{kept} of {judged} kept ({kept / judged:.1%}); wanted: {least:.0%} to 100%"
    return CheckResult(kept / judged >= least, message, {"retention": kept / judged})


def canaries_met_their_fate(artifact: Artifact) -> CheckResult:
    """Each canary page was dropped where its file of fates says, for the reason it says, or survived with its text."""
    pages = artifact.ancestor("raw_pages")
    if CANARIES not in pages.names(CANARIES):
        return CheckResult(True, "no canaries in this source", {"canaries": 0})
    canaries = pq.read_table(pages.path(CANARIES), partitioning=None).to_pylist()
    ids = pa.array([canary["doc_id"] for canary in canaries], pa.string())
    steps = chain(artifact)
    fates = _fates(steps, ids)
    texts = _texts(steps, ids)
    wrong = [problem for canary in canaries for problem in _problems(_under(steps, canary), fates, texts)]
    message = f"{len(canaries) - len({url for url, _ in wrong})} of {len(canaries)} canaries met their fate"
    message += "".join(f"; {url}: {what}" for url, what in wrong[:5])
    return CheckResult(not wrong, message, {"canaries": len(canaries), "canaries_wrong": len(wrong)})


def no_benchmark_text(artifact: Artifact) -> CheckResult:
    """The clean text holds no share of a benchmark item for which `custom_filtered` drops a page."""
    asked = artifact.ancestor("custom_filtered").config
    n, least = asked["overlap_ngram"], asked.get("overlap_share", 0.0)
    benchmarks = Benchmarks(read_items(artifact.ancestor("eval_sets").path("benchmarks.parquet")), n)
    found = searched = 0
    first = ""
    for document in _documents(artifact) if len(benchmarks) else ():
        searched += 1
        overlap = benchmarks.overlap(document.text)
        if overlap and overlap.share >= least:
            found += 1
            first = first or f"; first: {document.doc_id} with item {overlap.item} of {overlap.task}"
    looked_for = benchmarks.items - benchmarks.too_short
    message = (
        f"{found} of {searched} documents share {n} words in a row, and {least:.1%} of its words, with one of "
        f"{looked_for} benchmark items; wanted: 0"
    )
    if not benchmarks.items:
        message = "nothing was looked for: there are no benchmark items (tasks.files)"
    elif not looked_for:
        message = "nothing was looked for"
    if benchmarks.too_short:
        message += f"; {benchmarks.too_short} items have too few telling words to be looked for"
    numbers = {"benchmark_items": benchmarks.items, "benchmark_items_too_short": benchmarks.too_short}
    return CheckResult(not found, message + first, {"overlapping": found, **numbers})


def heldout_disjoint(artifact: Artifact) -> CheckResult:
    """No duplicate cluster is in both splits, and neither split is empty where both can be expected."""
    sides: dict[str, set[str]] = {"train": set(), "heldout": set()}
    documents: Counter[str] = Counter()
    for name in artifact.names("text/"):
        table = pq.read_table(artifact.path(name), columns=["cluster", "split"], partitioning=None)
        for cluster, split in zip(table["cluster"].to_pylist(), table["split"].to_pylist(), strict=True):
            sides[split].add(cluster)
            documents[split] += 1
    both = sides["train"] & sides["heldout"]
    message = f"{documents['train']} documents to train on, {documents['heldout']} held out"
    if both:
        return CheckResult(False, f"{message}; {len(both)} clusters are in both, {min(both)} first; wanted: none")
    expected = documents.total() * artifact.config["heldout_fraction"] >= EXPECTED_HELDOUT
    if expected and not all(sides.values()):
        return CheckResult(False, f"{message}; wanted: some on both sides")
    return CheckResult(True, f"{message}; no cluster on both sides", dict(documents))


def _kept(artifact: Artifact, name: str) -> list[str]:
    table = ledger.read_verdicts(artifact.path(name), ["doc_id", "kept"])
    ids: list[str] = table["doc_id"].filter(table["kept"]).to_pylist()
    return ids


def _difference(wanted: Sequence[str], found: Sequence[str], what: str) -> str:
    """What is wrong with the ids found; empty: they are the wanted ones, in their order."""
    if list(wanted) == list(found):
        return ""
    missing, extra = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
    if not missing and not extra:
        return f"{len(found)} {what} in another order"
    some = ", ".join(sorted(missing | extra)[:3])
    return f"{missing.total()} {what} are missing, {extra.total()} are too many or twice ({some} …)"


def _documents(artifact: Artifact) -> Iterator[ledger.Document]:
    for name in artifact.names("text/"):
        yield from ledger.documents(artifact.path(name))


def _fates(steps: Sequence[Artifact], ids: pa.Array) -> dict[str, tuple[str, str]]:
    """Where and why each document was dropped; ("", "") for one that every step kept."""
    fates: dict[str, tuple[str, str]] = {}
    for step in steps:
        for name in step.names("verdicts/"):
            table = ledger.read_verdicts(step.path(name), ["doc_id", "kept", "reason"])
            for row in table.filter(pc.is_in(table["doc_id"], ids)).to_pylist():
                fates[row["doc_id"]] = ("", "") if row["kept"] else (step.asset, row["reason"])
    return fates


def _texts(steps: Sequence[Artifact], ids: pa.Array) -> dict[str, str]:
    """The latest text of each document that ever had one."""
    texts: dict[str, str] = {}
    for step in steps:
        for name in step.names("text/"):
            table = pq.read_table(step.path(name), columns=["doc_id", "text"], partitioning=None)
            for row in table.filter(pc.is_in(table["doc_id"], ids)).to_pylist():
                texts[row["doc_id"]] = row["text"]
    return texts


def _under(steps: Sequence[Artifact], canary: Mapping[str, Any]) -> Mapping[str, Any]:
    """A canary with the fate that it has under the extractor that was used."""
    others = {fate["extractor"]: fate for fate in canary.get("instead") or ()}
    used = [step.config["extractor"] for step in steps if step.asset == "extracted_text"] if others else []
    return {**canary, **others[used[0]]} if used and used[0] in others else canary


def _problems(
    canary: Mapping[str, Any], fates: Mapping[str, tuple[str, str]], texts: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """(URL, what is wrong) of one canary. An empty reason in its fate means that it survives."""
    url, doc_id = canary["url"], canary["doc_id"]
    wanted = (canary["step"], canary["reason"]) if canary["reason"] else ("", "")
    if doc_id not in fates:
        yield url, "no step has judged it"
    elif fates[doc_id] != wanted:
        step, reason = fates[doc_id]
        wish = f"dropped by {wanted[0]} as {wanted[1]}" if wanted[1] else "kept to the end"
        yield url, f"{f'dropped by {step} as {reason}' if reason else 'kept to the end'}; wanted: {wish}"
    for text in _list(canary.get("must_contain")):
        if text not in texts.get(doc_id, ""):
            yield url, "its text lacks what it must contain"
    for text in _list(canary.get("must_not_contain")):
        if text in texts.get(doc_id, ""):
            yield url, "its text holds what it must not contain"


def _list(value: str | Sequence[str] | None) -> list[str]:
    """One text, several, or none."""
    if not value:
        return []
    return [value] if isinstance(value, str) else list(value)
