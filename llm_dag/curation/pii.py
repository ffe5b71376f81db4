"""Personal data becomes fixed placeholders, kind by kind as `curation.pii` switches them.

What is found, and how, stands in `personal_data/`, one file a kind. The ledger holds for each page the count of every
kind that was looked for, and where each find stood: `spans`, as character offsets into the page's text in the shard of
`c4_filtered`, with the kind. It never holds a value. Nothing is dropped here.

The text that is left is what tokenizers and models see; `split` says on which side of the held-out split its duplicate
cluster falls, by the key that the deduplication gave it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from llm_dag import ledger
from llm_dag.config.curation import Pii
from llm_dag.curation.personal_data.redaction import KINDS, find, replace
from llm_dag.store.work import Shard, Work
from llm_dag.tasks.splits import split_of

SPAN = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("kind", pa.string())])
SCORES = {**{kind.switch: pa.int64() for kind in KINDS}, "characters_replaced": pa.int64(), "spans": pa.list_(SPAN)}


def build(work: Work) -> None:
    """Write the clean text of every page that is kept."""
    work.map_shards(judge, reads={"c4_filtered": "text", "custom_filtered": "verdicts"})


def judge(shard: Shard) -> dict[str, int]:
    """Write the shard's verdicts and clean texts."""
    verdicts = ledger.VerdictWriter(SCORES)
    texts = ledger.TextWriter({"cluster": pa.string(), "split": pa.string()})
    config: Pii = shard.config
    totals = Counter({kind.switch: 0 for kind in KINDS if getattr(config, kind.switch)})
    heldout = 0
    for document in ledger.documents(shard.read("c4_filtered"), shard.read("custom_filtered")):
        text, scores = redact(document.text, config)
        split = split_of(document.extra["split_key"], config.heldout_fraction, config.heldout_seed)
        texts.add(document.doc_id, document.url, document.date, text, cluster=document.extra["cluster"], split=split)
        verdicts.add(document.doc_id, document.row, reason="", **scores)
        for switch in totals:
            totals[switch] += scores[switch]
        heldout += split == "heldout"
    texts.write(shard.write("text"))
    return {**verdicts.write(shard.write("verdicts")), "characters": texts.characters, **totals, "heldout": heldout}


def redact(text: str, config: Pii) -> tuple[str, dict[str, Any]]:
    """The text with placeholders, and its scores; the same text again gives itself.

    A kind that is not looked for has no count.
    """
    spans = find(text, config)
    counts = Counter(span.kind.switch for span in spans)
    scores: dict[str, Any] = {kind.switch: counts[kind.switch] for kind in KINDS if getattr(config, kind.switch)}
    scores["characters_replaced"] = sum(span.end - span.start for span in spans)
    scores["spans"] = [{"start": span.start, "end": span.end, "kind": span.kind.name} for span in spans]
    return (replace(text, spans) if spans else text), scores
