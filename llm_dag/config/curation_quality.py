"""A classifier of quality that a user trains on labels, for `custom_filtered` to use. Off while there are no labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from omegaconf import MISSING

from llm_dag.config.fields import Problem, at_least, paths, within


@dataclass
class Quality:
    """fastText supervised training (Joulin et al. 2016) on texts that people labelled."""

    labels: list[str] = paths()  # JSONL files or globs, one {"text", "label"} a line; none: there is no classifier
    good_from: float = MISSING  # a label (of several for one text: their mean) of this or more says good
    folds: int = MISSING  # parts of the labels; each is held out once, to measure what the others taught
    epochs: int = MISSING  # passes over the labelled texts
    learning_rate: float = MISSING  # at the first step; it falls to zero
    width: int = MISSING  # numbers of a word vector
    min_texts: int = MISSING  # a word in fewer labelled texts has no vector
    seed: int = MISSING  # chooses the folds, the order of the texts and the first vectors

    def problems(self) -> Iterator[Problem]:
        yield from at_least("folds", self.folds, 2)
        for key in ("epochs", "width", "min_texts"):
            yield from at_least(key, getattr(self, key), 1)
        yield from within("learning_rate", self.learning_rate, 0.001, 10.0)
        yield from at_least("seed", self.seed, 0)
