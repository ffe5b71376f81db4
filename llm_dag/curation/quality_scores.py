"""The score that a trained classifier of quality gives to a text: what its training and `custom_filtered` share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

WORDS = re.compile(r"[^\W_]+|[^\w\s\0]")  # runs of letters and digits, and each other mark by itself
GOOD, BAD = "__label__good", "__label__bad"  # no word has an underscore, so none is taken for a label
MODEL = "model.bin"


class Classifier:
    """A fastText model that was trained on labelled texts. It is loaded at the first text, in each process anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._model: Any = None

    def __reduce__(self) -> tuple[type[Classifier], tuple[Path]]:
        return Classifier, (self.path,)

    def score(self, text: str) -> float:
        """How likely the text is a good one, from 0 to 1. Cost: linear in the text."""
        if self._model is None:
            from fasttext.FastText import _FastText  # the class behind `fasttext.load_model`, without its warning

            self._model = _FastText(str(self.path))
        labels, chances = self._model.predict(one_line(text), k=2)
        found = dict(zip(labels, chances, strict=True))
        return min(1.0, float(found.get(GOOD, 0.0)))  # fastText adds a little to a chance before it takes its logarithm


def one_line(text: str) -> str:
    """A text as fastText reads it: its words and marks in small letters, in one line."""
    return " ".join(WORDS.findall(text.lower()))
