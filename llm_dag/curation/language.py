"""Language identification: fastText (Joulin et al. 2016) with a model of 176 languages.

A page is kept if its most likely language is wanted and its score is above the threshold. From one half on this is
what datatrove's `LanguageFilter` decides; below, that one also keeps pages of which a wanted language is only the
second most likely. Scores: `language`, `language_score`.
The model is a local file; nothing is fetched. Cost: one pass over the text, linear.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from llm_dag import ledger
from llm_dag.config.curation import Language
from llm_dag.config.places import resolve
from llm_dag.store.errors import StoreError
from llm_dag.store.work import Shard, Work

LABEL = "__label__"
LONGEST = 2_000_000  # characters: of a word that never ends fastText holds a dozen bytes for each
SCORES = {"language": pa.string(), "language_score": pa.float32()}


class LanguageModelError(StoreError):
    """The file that `curation.language.model` names is no model of languages."""


def build(work: Work) -> None:
    """Judge every extracted text. Raises LanguageModelError for a language that the model does not know."""
    path = resolve(work.config.model)
    known = {label.removeprefix(LABEL) for label in load_model(path).get_labels()}
    if unknown := sorted(set(work.config.languages) - known):
        raise LanguageModelError(
            f"curation.language.languages: {path} knows no language {', '.join(unknown)}; it writes its {len(known)} "
            f"languages like {', '.join(sorted(known & {'de', 'en', 'fr', 'zh'}) or sorted(known)[:4])}"
        )
    model = partial(load_model, path)
    work.map_shards(judge, reads={"extracted_text": "text"}, tools={"model": model})


def judge(shard: Shard, model: Any) -> dict[str, int]:
    """Write the shard's verdicts."""
    verdicts = ledger.VerdictWriter(SCORES)
    for document in ledger.documents(shard.read("extracted_text")):
        language, score = identify(model, document.text, shard.config.characters)
        reason = decide(language, score, shard.config)
        verdicts.add(document.doc_id, document.row, reason=reason, language=language, language_score=score)
    return verdicts.write(shard.write("verdicts"))


def load_model(path: Path) -> Any:
    """A fastText model. Raises LanguageModelError for a file that is not one, or whose labels are no languages."""
    from fasttext.FastText import _FastText  # the class behind `fasttext.load_model`, without its warning

    try:
        model = _FastText(str(path))
    except ValueError as error:
        raise LanguageModelError(f"curation.language.model={path}: not a fastText model ({error})") from error
    if not all(label.startswith(LABEL) for label in model.get_labels()):
        raise LanguageModelError(f"curation.language.model={path}: its labels are not {LABEL}<language code>")
    return model


def identify(model: Any, text: str, characters: int = 0) -> tuple[str, float]:
    """The most likely language of a text and its score; ("", 0.0) where nothing can be said.

    `characters` is how much of the text is looked at (0: all, up to `LONGEST`). fastText reads one line, so line breaks
    become spaces.
    """
    looked_at = text[: min(characters or LONGEST, LONGEST)]
    labels, scores = model.predict(looked_at.replace("\n", " "), k=1)
    if not labels:
        return "", 0.0
    return labels[0].removeprefix(LABEL), float(scores[0])


def decide(language: str, score: float, config: Language) -> str:
    """The reason to drop a page, from its scores alone; empty: keep it."""
    if language not in config.languages:
        return "language"
    return "" if score > config.threshold else "language_score"
