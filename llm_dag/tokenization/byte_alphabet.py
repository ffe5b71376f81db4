"""The printable stand-in for each byte in which `tokenizer.json` spells its tokens.

Bytes that are printable in Latin-1 stand for themselves; the other 68 take the code points from 256 on, in byte order
(GPT-2's mapping, which every reader of `tokenizer.json` expects).
"""

from __future__ import annotations

from functools import cache


@cache
def byte_of_character() -> dict[str, int]:
    """All 256 stand-ins with their bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


def token_as_bytes(spelling: str) -> bytes:
    """The bytes of a token of `tokenizer.json`. Raises KeyError for a character that stands for no byte."""
    table = byte_of_character()
    return bytes(table[character] for character in spelling)
