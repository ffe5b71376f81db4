"""Which side of a split something falls on: a pure function of its key, so the same everywhere and for ever."""

from __future__ import annotations

import hashlib
from typing import Literal

Split = Literal["train", "heldout"]


def split_of(key: str, fraction: float, seed: int) -> Split:
    """`heldout` for about `fraction` of all keys, chosen by blake2b of the seed and the key.

    Keys that are held out at one fraction are held out at every larger one.
    """
    seeded = hashlib.blake2b(f"{seed}:{key}".encode("utf-8", "surrogatepass"), digest_size=8)
    return "heldout" if int.from_bytes(seeded.digest(), "big") < fraction * 2**64 else "train"


def rank(name: str, seed: int) -> int:
    """The place of a name in an order that the seed alone decides: samples are the first names in it."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest(), "big")
