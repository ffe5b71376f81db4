"""The five special tokens and where they stand.

A conversation is `<|im_start|>role<|im_sep|>content<|im_end|>`, message after message, with nothing between. A
document of the corpus is its text followed by `<|endoftext|>`.
"""

from __future__ import annotations

END_OF_TEXT = "<|endoftext|>"
IM_START = "<|im_start|>"
IM_SEP = "<|im_sep|>"
IM_END = "<|im_end|>"
PAD = "<|pad|>"

# In id order: they are the last ids of every vocabulary, so a token's id is its merge rank.
SPECIAL_TOKENS = (END_OF_TEXT, IM_START, IM_SEP, IM_END, PAD)
