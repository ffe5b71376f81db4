"""Strict lines: the lines of held-out documents that stand nowhere in the training text.

Pages of one site share menus, signatures and whole paragraphs, so a document that was held out is still half known. A
line counts only if, stripped, it is not empty and equals no stripped line of any training document. Only the held-out
sample's lines are held in memory and the training text streams past once: memory is bounded by the sample, time by the
training text. A token's bits are spread evenly over its bytes, so a line's bits need no token borders at its ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


def key(line: bytes) -> str:
    """What two lines must share to count as the same line: their text without white space around it."""
    return line.decode("utf-8", "surrogateescape").strip()


def unseen_keys(documents: Iterable[bytes], training: Iterable[bytes]) -> set[str]:
    """Keys of the non-empty lines of `documents` that no document of `training` has."""
    unseen = {key(line) for document in documents for line in document.split(b"\n")}
    unseen.discard("")
    for document in training:
        if not unseen:
            break
        unseen.difference_update(map(key, document.split(b"\n")))
    return unseen


def strict_mask(document: bytes, unseen: set[str]) -> NDArray[np.bool_]:
    """For each byte of a document, whether it stands in a strict line; a line owns the line feed that ends it."""
    mask = np.zeros(len(document), dtype=np.bool_)
    start = 0
    for line in _lines(document):
        if key(line) in unseen:
            mask[start : start + len(line)] = True
        start += len(line)
    return mask


def strict_text(document: bytes, mask: NDArray[np.bool_]) -> bytes:
    """The bytes that `mask` counts."""
    return np.frombuffer(document, dtype=np.uint8)[mask].tobytes()


def spread(token_bits: Sequence[float] | NDArray[np.float64], lengths: Sequence[int]) -> NDArray[np.float64]:
    """Bits of each byte: `token_bits[i] / lengths[i]`, `lengths[i]` times. Tokens without bytes are left out.

    Raises:
        ValueError: as many bits as lengths are wanted.
    """
    if len(token_bits) != len(lengths):
        raise ValueError(f"{len(token_bits)} token bits for {len(lengths)} tokens")
    sizes = np.asarray(lengths, dtype=np.int64)
    shares = np.divide(np.asarray(token_bits, dtype=np.float64), np.maximum(sizes, 1))
    return np.repeat(shares, sizes)


def _lines(document: bytes) -> list[bytes]:
    """Lines with the line feeds that end them."""
    parts = document.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
