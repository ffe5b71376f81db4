"""Checks of trained models: that something was learned, that the weights are numbers, that the loss mask is right."""

from __future__ import annotations

import hashlib
import lzma
import math
from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file

from llm_dag.store.artifact import Artifact
from llm_dag.store.checks import CheckResult
from llm_dag.tasks.jsonl import read_objects
from llm_dag.tokenization.arrays import TokenArrays
from llm_dag.tokenization.chat import ChatError, Conversation, render
from llm_dag.tokenization.messages import Message
from llm_dag.tokenization.vocabulary import Vocabulary
from llm_dag.training.windows import HeldoutWindows

SHOWN = 3  # faults named in a message


def loss_fell(artifact: Artifact) -> CheckResult:
    """The mean loss of the last tenth of the steps is under that of the first tenth, and every loss is finite."""
    losses = pq.read_table(artifact.path("history.parquet"), columns=["loss"]).column("loss").to_numpy()
    part = max(1, len(losses) // 10)
    first, last = float(losses[:part].mean()), float(losses[-part:].mean())
    passed = bool(np.isfinite(losses).all()) and len(losses) > 1 and last < first
    return CheckResult(
        passed,
        f"over {len(losses)} steps the loss went from {first:.3f} to {last:.3f} nats; a fall is wanted",
        {"first_loss": first, "last_loss": last},
    )


def weights_finite(artifact: Artifact) -> CheckResult:
    """Every weight is a finite number, and no tensor is all zeros."""
    state = load_file(artifact.path("model.safetensors"))
    infinite = sorted(name for name, tensor in state.items() if not torch.isfinite(tensor).all())
    zeros = sorted(name for name, tensor in state.items() if not tensor.any())
    faults = [*(f"{name} holds inf or nan" for name in infinite), *(f"{name} is all zeros" for name in zeros)]
    told = "; ".join(faults[:SHOWN]) or "all finite, none all zeros"
    return CheckResult(not faults, f"{len(state)} tensors: {told}", {"tensors": len(state), "faults": len(faults)})


def bits_per_byte_under_xz(artifact: Artifact) -> CheckResult:
    """Held-out bits per byte are at most `max_ratio_to_xz` of what xz alone needs for the same bytes."""
    node, bits = artifact.config, artifact.metrics["heldout_bits_per_byte"]
    vocabulary = Vocabulary.load(artifact.folder())
    arrays = TokenArrays.open(artifact.inputs("token_arrays"), "heldout")
    heldout = HeldoutWindows.choose(arrays, node["sequence"], node["heldout_tokens"], node["seed"])
    special = set(vocabulary.special_ids.values())
    labels = (token for at in range(len(heldout)) for token in heldout.ids(at)[1:].tolist() if token not in special)
    text = vocabulary.decode_bytes(list(labels))
    xz = 8 * len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)) / max(1, len(text))
    ratio, wanted = bits / xz if xz else math.inf, node["max_ratio_to_xz"]
    return CheckResult(
        ratio <= wanted,
        f"{bits:.3f} bits per byte on {len(text):,} held-out bytes where xz alone takes {xz:.3f}: {ratio:.2f} of it; "
        f"at most {wanted} is wanted",
        {"heldout_bits_per_byte": bits, "xz_bits_per_byte": xz, "ratio_to_xz": ratio},
    )


def heldout_apart(artifact: Artifact) -> CheckResult:
    """No held-out document stands in the training split, word for word or by its URL, of this dump or of another.

    Clusters, and with them the split, are made in each dump for itself, unless `curation.minhash.against` names earlier
    ones. Strict lines are not touched by it: they are those that no training text of any dump has. Cost: one reading
    of all arrays; memory for the held-out digests.
    """
    arrays = artifact.inputs("token_arrays")
    held, kept = (_texts(TokenArrays.open(arrays, split)) for split in ("heldout", "train"))
    texts: dict[bytes, str] = {}
    urls: dict[str, str] = {}
    for doc_id, url, text in held:
        texts[text] = doc_id
        urls[url] = doc_id
    found: dict[str, str] = {}
    for doc_id, url, text in kept:
        if (other := texts.get(text) or (urls.get(url) if url else None)) is not None:
            found.setdefault(other, doc_id)
    first = f"; first: {min(found)}, trained on as {found[min(found)]}" if found else ""
    message = f"{len(found)} of {len(texts)} held-out texts are trained on too; none is wanted{first}"
    return CheckResult(not found, message, {"heldout": len(texts), "trained_on": len(found)})


def _texts(arrays: TokenArrays) -> Iterator[tuple[str, str, bytes]]:
    """(doc_id, URL, digest of its tokens) of every document of a split."""
    for shard in arrays.shards:
        table = pq.read_table(shard.documents, columns=["doc_id", "url", "split", "first_token", "tokens"])
        ids = np.fromfile(shard.ids, arrays.dtype)
        for row in table.filter(pc.equal(table["split"], arrays.split)).to_pylist():
            text = ids[row["first_token"] : row["first_token"] + row["tokens"]].tobytes()
            yield row["doc_id"], row["url"], hashlib.blake2b(text, digest_size=16).digest()


def loss_mask_exact(artifact: Artifact) -> CheckResult:
    """The trained tokens of every conversation spell exactly what the assistant says, each turn with `<|im_end|>`."""
    vocabulary = Vocabulary.load(artifact.folder())
    source = artifact.inputs("conversations")[0]
    faults: list[str] = []
    count = trained = 0
    for name in ("train.jsonl", "heldout.jsonl"):
        for line, record in read_objects(source.path(name)):
            count += 1
            try:
                said = [Message(one["role"], one["content"]) for one in record["messages"]]
                rendered = render(Conversation(tuple(said)), vocabulary)
            except (ChatError, KeyError, TypeError):
                continue  # not trained on: the step left it out, with a row in record/
            trained += sum(rendered.mask)
            if fault := mask_fault(rendered.ids, rendered.mask, said, vocabulary):
                faults.append(f"{name}:{line}: {fault}")
    passed = not faults and trained > 0
    told = "; ".join(faults[:SHOWN]) or "each masks exactly the assistant's words and their <|im_end|>"
    return CheckResult(
        passed, f"{count} conversations: {told}", {"faults": len(faults), "conversations": count, "targets": trained}
    )


def mask_fault(ids: list[int], mask: list[bool], said: list[Message], vocabulary: Vocabulary) -> str:
    """What is wrong with a mask, found by decoding the runs of equal mask back to words; or nothing."""
    turns: list[bytes] = []
    around = b""
    at = 0
    while at < len(ids):
        end = at
        while (
            end < len(ids)
            and mask[end] == mask[at]
            and not (mask[at] and end > at and ids[end - 1] == vocabulary.im_end)
        ):
            end += 1
        piece = ids[at:end]
        if mask[at]:
            if piece[-1] != vocabulary.im_end or at == 0 or ids[at - 1] != vocabulary.im_sep:
                return f"trained tokens {at} to {end} do not begin after <|im_sep|> and end with <|im_end|>"
            turns.append(vocabulary.decode_bytes(piece[:-1]))
            around += b"\0"
        else:
            around += vocabulary.decode_bytes(piece)
        at = end
    answers = [one.content.encode() for one in said if one.role == "assistant"]
    if turns != answers:
        return f"{len(turns)} trained turns do not spell the assistant's {len(answers)}"
    spoken = "".join(
        f"<|im_start|>{one.role}<|im_sep|>" + ("\0" if one.role == "assistant" else f"{one.content}<|im_end|>")
        for one in said
    )
    return "" if around == spoken.encode() else "the tokens that are not trained are not the other turns"
