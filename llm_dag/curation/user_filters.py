"""The filters that a user chains behind ours: made from `curation.custom.filters`, and held to what a filter may do.

A filter has a method `filter(document)` that gives true, false or (false, reason), as datatrove's do. It judges each
document by itself: the same text gets the same verdict whatever was judged before it and in whichever process, or
shards and workers would decide what is kept. Two things see to that.
- A filter that draws from a numpy generator (`SamplerFilter`) has it set, before each document, by its argument `seed`
  (0 where there is none) and the document's id.
- The first documents of a shard are judged again after the last one. A filter that says something else stops the step.

What a filter reads must stand in the recipe: an argument that names a file is refused unless `curation.custom.files`
names the file too, and the filters of datatrove that fetch something are refused with what to use instead.
Messages hold doc_ids and class names; page text could be in an exception of a filter, so its words are left out.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document

from llm_dag import ledger
from llm_dag.config.curation import Custom
from llm_dag.config.places import resolve
from llm_dag.config.targets import TRUSTED, UnknownTarget, instantiate
from llm_dag.store.canonical import named_files
from llm_dag.store.errors import StoreError

JUDGED_AGAIN = 16  # documents of a shard
REASONS = 50  # different reasons of one filter in one shard
REASON_LENGTH = 60  # characters
OWN_CLASS = "write a class with a method filter(document) in a file that curation.custom.modules names"

UNUSABLE: Mapping[str, str] = {
    "LambdaFilter": f"it takes a function, which YAML cannot hold; {OWN_CLASS}",
    "C4BadWordsFilter": "it fetches its list of words from the network; put the words into a RegexFilter",
    "UnigramLogProbFilter": f"it fetches its table of words from the network; {OWN_CLASS}",
    "LanguageFilter": "it fetches its model from the network; curation.language is this filter with a local one",
    "URLFilter": "it fetches a list of suffixes from the network; curation.url is this filter, with url.block_lists",
}


class FilterError(StoreError):
    """A filter of `curation.custom.filters` cannot be had, or does what a filter may not; the message names its key."""


class UserFilter:
    """One filter of the configuration. It is made anew in each process that gets it."""

    def __init__(self, config: Custom, index: int) -> None:
        self._made_of = (config, index)
        self.key = f"curation.custom.filters[{index}]"
        block = config.filters[index]
        self._chosen = _made(block, self.key, config)
        self.name = type(self._chosen).__name__
        self._seed = block.get("seed")
        self._generators = list(_generators(self._chosen))
        self._first: list[tuple[ledger.Document, str]] = []
        self._reasons: set[str] = set()

    def __reduce__(self) -> tuple[type[UserFilter], tuple[Custom, int]]:
        return UserFilter, self._made_of

    def __call__(self, document: ledger.Document) -> str:
        """The reason for which the filter drops a document, prefixed with the filter's name; empty: it keeps it.

        Raises FilterError if it fails, changes a text that it keeps, or gives something else than a verdict.
        """
        reason = self._judge(document)
        if len(self._first) < JUDGED_AGAIN:
            self._first.append((document, reason))
        self._reasons.add(reason)
        if len(self._reasons) > REASONS:
            raise FilterError(
                f"{self.key}: {self.name} gave more than {REASONS} different reasons in one shard; a reason is the "
                "name of a rule, and what was measured does not belong into it"
            )
        return reason

    def end_shard(self) -> None:
        """Judge the shard's first documents again. Raises FilterError if one is judged in another way than before."""
        for document, before in reversed(self._first):
            if (after := self._judge(document)) != before:
                raise FilterError(
                    f"{self.key}: {self.name} says {after or 'keep'} of {document.doc_id}, and said {before or 'keep'} "
                    "before; a filter judges each document by itself, not by chance and not by those before it"
                )
        self._first.clear()
        self._reasons.clear()

    def _judge(self, document: ledger.Document) -> str:
        given = Document(text=document.text, id=document.doc_id, metadata={"url": document.url, "date": document.date})
        for generator in self._generators:
            _set(generator, self._seed, document.doc_id)
        try:
            result = self._chosen.filter(given)
        except Exception as error:  # whatever a filter does that somebody else wrote; its words may hold page text
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise FilterError(
                f"{self.key}: {self.name} failed on {document.doc_id}: "
                f"{type(error).__name__} in {last.filename}, line {last.lineno}"
            ) from None
        kept, why = result if isinstance(result, tuple) and len(result) == 2 else (result, "")
        if not isinstance(kept, bool | np.bool_) or not isinstance(why, str | None):
            raise FilterError(
                f"{self.key}: {self.name} gave a {type(result).__name__} for {document.doc_id}; "
                "wanted: true (keep), false, or (false, reason)"
            )
        if kept and given.text != document.text:
            raise FilterError(
                f"{self.key}: {self.name} changed the text of {document.doc_id}; a filter only judges, and what a "
                "later step reads would not be what was judged"
            )
        return "" if kept else self._reason(why or "", document)

    def _reason(self, why: str, document: ledger.Document) -> str:
        reason = "_".join(part for part in (snake_case(self.name), snake_case(why)) if part)
        if len(reason) > REASON_LENGTH + len(self.name):
            raise FilterError(
                f"{self.key}: {self.name} gave a reason of {len(why)} characters for {document.doc_id}; "
                f"a reason is the name of a rule, at most {REASON_LENGTH} characters"
            )
        return reason


def user_filters(config: Custom) -> list[UserFilter]:
    """The filters of `curation.custom.filters`, in order. Raises FilterError for a block that is not one."""
    return [UserFilter(config, index) for index in range(len(config.filters))]


def snake_case(name: str) -> str:
    """`RegexFilter` → `regex_filter`, "too few words" → `too_few_words`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def _made(block: Mapping[str, Any], key: str, config: Custom) -> Any:
    target = str(block.get("_target_", ""))
    name = target.rpartition(".")[2]
    if target.startswith(TRUSTED) and name in UNUSABLE:
        raise FilterError(f"{key}._target_={target}: {UNUSABLE[name]}")
    if "exclusion_writer" in block:
        raise FilterError(
            f"{key}.exclusion_writer: not taken; what a filter drops stands in the verdicts, with its reason"
        )
    listed = [path for value in config.files for _, path in named_files(value, "curation.custom.files")]
    arguments = {argument: _argument(value, f"{key}.{argument}", listed) for argument, value in block.items()}
    try:
        chosen = instantiate(arguments, key, config.modules)
    except UnknownTarget as error:
        raise FilterError(str(error)) from error
    if not callable(getattr(chosen, "filter", None)):
        raise FilterError(f"{key}._target_={target}: it has no method filter(document)")
    if target.startswith(TRUSTED) and name == "FastTextClassifierFilter":
        _open_model(chosen, key, listed)
    return chosen


def _argument(value: Any, key: str, listed: Sequence[Path]) -> Any:
    """An argument as the filter gets it: the name of a listed file in full. Raises FilterError for another file's."""
    if not isinstance(value, str) or not 0 < len(value) < 1_000 or "\n" in value or "\0" in value:
        return value
    path = resolve(value)
    if path in listed:
        return str(path)
    if path.is_file():
        raise FilterError(
            f"{key}={value}: a file that curation.custom.files does not name, so no recipe knows its bytes"
        )
    return value


def _open_model(chosen: Any, key: str, listed: Sequence[Path]) -> None:
    """Give datatrove's fastText filter its model: by itself it would read a copy in a cache, which it never renews."""
    from fasttext.FastText import _FastText

    if Path(chosen.model_url) not in listed:
        raise FilterError(f"{key}.model_url={chosen.model_url}: wanted: a file that curation.custom.files names")
    try:
        model = _FastText(chosen.model_url)
    except ValueError as error:
        raise FilterError(f"{key}.model_url={chosen.model_url}: not a fastText model ({error})") from error
    labels = {label.removeprefix("__label__") for label in model.get_labels()}
    for name, wanted in (("keep_labels", chosen.keep_labels), ("remove_labels", chosen.remove_labels)):
        if unknown := {label for label, _ in wanted or []} - labels:
            raise FilterError(f"{key}.{name}: {sorted(unknown)} are not among the model's labels {sorted(labels)[:20]}")
    chosen._model = model


def _generators(chosen: Any) -> Iterator[np.random.Generator]:
    """The random generators that an object holds, or whose methods it holds."""
    for value in vars(chosen).values() if hasattr(chosen, "__dict__") else ():
        owner = getattr(value, "__self__", value)
        if isinstance(owner, np.random.Generator):
            yield owner


def _set(generator: np.random.Generator, seed: Any, doc_id: str) -> None:
    entropy = [seed if isinstance(seed, int) and seed >= 0 else 0, int.from_bytes(doc_id.encode(), "big")]
    kind: Callable[[Any], Any] = type(generator.bit_generator)
    generator.bit_generator.state = kind(np.random.SeedSequence(entropy)).state
