"""Pre-tokenization: how text is cut into pieces before BPE; a merge never crosses a cut.

The three patterns cut as the encodings of the same name in tiktoken do (openai/tiktoken,
`tiktoken_ext/openai_public.py`): `gpt2` for GPT-2, `cl100k` for GPT-4, `o200k` for GPT-4o. They are written without
possessive quantifiers, because one text has to mean the same to the two engines that read it, Oniguruma (tokenizers)
and fancy-regex (tiktoken); where tiktoken has them, giving characters back could never lead to a match. One case
differs: white space with a line break at the very end of a text is one piece in tiktoken's cl100k, and two here, as
everywhere else in a text.
"""

from __future__ import annotations

_GPT2 = (
    r"'(?:[sdmt]|ll|ve|re)",  # English endings
    r" ?\p{L}+",  # a word with the space before it
    r" ?\p{N}+",
    r" ?[^\s\p{L}\p{N}]+",
    r"\s+(?!\S)",  # spaces, except the one that belongs to the next word
    r"\s+",
)

_CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)",
    r"[^\r\n\p{L}\p{N}]?\p{L}+",
    r"\p{N}{1,3}",  # numbers in groups of at most three digits
    r" ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
)

_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

_O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_ENDING}",  # camelCase is cut before a capital
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_ENDING}",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
)


def pattern(name: str) -> str:
    """The regular expression of `gpt2`, `cl100k` or `o200k`. Raises KeyError for another name."""
    return "|".join({"gpt2": _GPT2, "cl100k": _CL100K, "o200k": _O200K}[name])
