"""A trained tokenizer as the rest of the project uses it: text to ids and back, fast, and never a special by accident.

`tokenizer.json` (Hugging Face's layout) is the stored form; encoding goes through tiktoken over the same tokens, four
to six times as fast on one thread. Both give the same ids. tokenizers merges the pair that stands first in the list of
merges, tiktoken the pair whose concatenation has the lowest id; ids follow the order of the merges, so they can differ
only if one token can come from two different pairs. It cannot: merges with a lower rank act on a stretch of bytes that
no merge has crossed exactly as on these bytes alone, so just before a token's rank its bytes always lie as the same
pair. A property test holds it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tiktoken

from llm_dag.store.errors import StoreError
from llm_dag.tokenization.byte_alphabet import token_as_bytes
from llm_dag.tokenization.special_tokens import END_OF_TEXT, IM_END, IM_SEP, IM_START, PAD, SPECIAL_TOKENS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE = "tokenizer.json"

# fancy-regex gives up on `\s+(?!\S)` at about a million spaces in a row; such texts take the slower engine.
LONGEST_RUN = 100_000


class VocabularyError(StoreError):
    """`tokenizer.json` is not a byte-level BPE of this project."""


class Vocabulary:
    """A byte-level BPE with `size` tokens: `size - 5` of plain bytes, then the special tokens in their fixed order.

    `digest` names what the ids mean (pieces, tokens and specials), however the file is formatted: a model that was
    trained with it records it and refuses another.
    """

    def __init__(self, pattern: str, tokens: Sequence[bytes], folder: Path) -> None:
        self._tokens = (*tokens, *(token.encode() for token in SPECIAL_TOKENS))
        self._pattern = pattern
        self._folder = folder
        first = len(tokens)
        self.end_of_text, self.im_start, self.im_sep, self.im_end, self.pad = range(first, first + len(SPECIAL_TOKENS))
        self._fast = tiktoken.Encoding(
            folder.name,
            pat_str=pattern,
            mergeable_ranks={token: rank for rank, token in enumerate(tokens)},
            special_tokens=self.special_ids,
        )
        self._byte_ids = [self._fast.encode_single_token(bytes([byte])) for byte in range(256)]

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Read `tokenizer.json` of a tokenizer or a model folder.

        Raises:
            VocabularyError: the file is missing, no JSON, or not a byte-level BPE with the five special tokens.
        """
        path = folder / FILE
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise VocabularyError(f"{path}: {error}; wanted the {FILE} of a trained tokenizer") from error
        try:
            return cls(_stored_pattern(stored), _stored_tokens(stored), folder)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise VocabularyError(f"{path}: no byte-level BPE with a pre-tokenization pattern ({error!r})") from error
        except VocabularyError as error:
            raise VocabularyError(f"{path}: {error}") from None

    @property
    def size(self) -> int:
        """Tokens, specials included: every id is less than this."""
        return len(self._tokens)

    @property
    def special_ids(self) -> dict[str, int]:
        """The special tokens by name."""
        ids = (self.end_of_text, self.im_start, self.im_sep, self.im_end, self.pad)
        return dict(zip((END_OF_TEXT, IM_START, IM_SEP, IM_END, PAD), ids, strict=True))

    @cached_property
    def digest(self) -> str:
        """32 hex digits over the pre-tokenization pattern and every token in id order."""
        hasher = hashlib.blake2b(digest_size=16)
        for part in (self._pattern.encode(), *self._tokens):
            hasher.update(len(part).to_bytes(8, "big"))
            hasher.update(part)
        return hasher.hexdigest()

    def encode(self, text: str) -> list[int]:
        """The ids of a text. A text that spells a special token is text; a lone surrogate becomes U+FFFD."""
        if _has_long_run(text):
            return self._reference.encode(_well_formed(text), add_special_tokens=False).ids
        return self._fast.encode_ordinary(text)

    def encode_bytes(self, data: bytes) -> list[int]:
        """Ids that decode to exactly `data`: valid UTF-8 as text, every other byte as its own token."""
        ids: list[int] = []
        for part in re.split("([\udc80-\udcff])", data.decode("utf-8", "surrogateescape")):
            if len(part) == 1 and "\udc80" <= part <= "\udcff":
                ids.append(self._byte_ids[ord(part) - 0xDC00])
            else:
                ids += self.encode(part)
        return ids

    def token_bytes(self, token: int) -> bytes:
        """What one id stands for; a special stands for its name. Raises IndexError outside `[0, size)`."""
        if token < 0:
            raise IndexError(f"token {token}; wanted 0 to {self.size - 1}")
        return self._tokens[token]

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes of a sequence of ids."""
        return b"".join(map(self.token_bytes, ids))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a sequence of ids; bytes that are no UTF-8 (a character cut in two) become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    @cached_property
    def _reference(self) -> Tokenizer:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._folder / FILE))
        tokenizer.encode_special_tokens = True  # "encode a special's spelling as text"
        return tokenizer


def _has_long_run(text: str) -> bool:
    return len(text) > LONGEST_RUN and any(len(run) > LONGEST_RUN for run in re.findall(r"\s++", text))


def _well_formed(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _stored_pattern(stored: dict[str, Any]) -> str:
    steps = stored["pre_tokenizer"]["pretokenizers"]
    split, bytes_step = steps
    if split["type"] != "Split" or split["behavior"] != "Isolated" or split["invert"] or bytes_step["use_regex"]:
        raise VocabularyError(f"pre-tokenizer {steps}; wanted an isolating split, then bytes")
    pattern: str = split["pattern"]["Regex"]
    return pattern


def _stored_tokens(stored: dict[str, Any]) -> list[bytes]:
    """The plain tokens in id order, verified: ids without gaps, merges in id order, the specials last."""
    model = stored["model"]
    spellings: list[str] = [""] * len(model["vocab"])
    for spelling, token in model["vocab"].items():
        spellings[token] = spelling
    specials = [(token["content"], token["id"]) for token in stored["added_tokens"] if token["special"]]
    plain = [spelling for spelling in spellings if spelling not in SPECIAL_TOKENS]
    wanted = [(name, len(plain) + at) for at, name in enumerate(SPECIAL_TOKENS)]
    if specials != wanted or stored["normalizer"] is not None or model["type"] != "BPE":
        raise VocabularyError(f"specials {specials}; wanted {wanted} in a BPE without normalizer")
    if plain != [*plain[:256], *_products(model["merges"])] or len({*map(token_as_bytes, plain[:256])}) != 256:
        raise VocabularyError(
            "token ids do not follow the order of the merges; wanted 256 bytes, then one id per merge"
        )
    return [token_as_bytes(spelling) for spelling in plain]


def _products(merges: Sequence[Sequence[str]]) -> Iterator[str]:
    for left, right in merges:
        yield left + right
