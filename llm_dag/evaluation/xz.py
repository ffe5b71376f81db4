"""What xz needs for a text: alone, and primed with the training text.

A language model is a compressor, so xz is a yardstick for it. Alone, xz has seen nothing but the text. Primed, it has
the training text in its dictionary: its size for the text is what `training + text` takes more than `training`, under a
dictionary that holds both. Cost: about one second a megabyte and, for each of the two primed runs, some twelve bytes of
memory a byte of dictionary. The two runs share nothing and take a thread each (lzma lets go of the interpreter).
"""

from __future__ import annotations

import lzma
from concurrent.futures import ThreadPoolExecutor

from llm_dag.store.errors import StoreError

PRESET = 9 | lzma.PRESET_EXTREME
SMALLEST_DICTIONARY = 1 << 20
LARGEST_DICTIONARY = 1536 << 20  # the format's own limit


class TooLong(StoreError):
    """More bytes than xz's largest dictionary holds."""


def xz_bytes(text: bytes, dictionary: int | None = None) -> int:
    """Bytes of `text` as an .xz file, preset 9 extreme; `dictionary` replaces the preset's 64 MiB."""
    if dictionary is None:
        return len(lzma.compress(text, preset=PRESET))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": PRESET, "dict_size": dictionary}]
    return len(lzma.compress(text, format=lzma.FORMAT_XZ, filters=filters))


def primed_xz_bytes(training: bytes, text: bytes) -> int:
    """Bytes that `text` adds to the .xz file of `training`.

    Raises:
        TooLong: both together do not fit the largest dictionary that the format has.
    """
    size = dictionary_for(len(training) + len(text))
    with ThreadPoolExecutor(max_workers=2) as pool:
        both = pool.submit(xz_bytes, training + text, size)
        first = pool.submit(xz_bytes, training, size)
        return both.result() - first.result()


def dictionary_for(length: int) -> int:
    """The smallest power of two that holds `length` bytes, at least 1 MiB, at most 1.5 GiB. Raises TooLong beyond."""
    if length > LARGEST_DICTIONARY:
        raise TooLong(
            f"{length} bytes do not fit a dictionary of {LARGEST_DICTIONARY}; lower evaluation.harness.prime_bytes"
        )
    return min(max(SMALLEST_DICTIONARY, 1 << (length - 1).bit_length()), LARGEST_DICTIONARY)
