"""The asset `quality_classifier`: fastText trained on texts that people labelled good or bad.

FineWeb-Edu's idea (Penedo et al. 2024, section 4) with DCLM's kind of model (Li et al. 2024, section 4.4): a linear
classifier over the mean of a text's word vectors. Labels are a user's JSONL files, `{"text", "label"}` a line with a
number as the label; texts that are equal but for case and white space are one example, whose label is their mean.
`data/model.bin` is trained on all of them. `data/heldout.parquet` measures it: the labels are cut into folds, each fold
is scored by a model that was trained on the others, so every label is held out once. Without labels there is no model,
and nothing is done.

Equal labels give equal bytes: one thread, fixed seeds, and an order that the texts and the seed decide. The first word
vectors are given to fastText as a file, because with one thread it fills only the first tenth of them itself and trains
the rest from whatever lies in memory; word n-grams, whose vectors no file can give, are left out for the same reason.
Cost: folds + 1 trainings, each linear in the bytes of the labels and in the epochs; memory: the texts and the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from llm_dag.config.curation_quality import Quality
from llm_dag.curation.quality_scores import BAD, GOOD, MODEL, Classifier, one_line
from llm_dag.ledger import write_table
from llm_dag.store.canonical import named_files
from llm_dag.store.errors import StoreError
from llm_dag.store.work import Work
from llm_dag.tasks.jsonl import bad_line, read_objects
from llm_dag.tasks.splits import rank

HELDOUT = "heldout.parquet"
SCHEMA = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),  # the first of the label files that holds the text
        pa.field("line", pa.int64(), nullable=False),
        pa.field("characters", pa.int64(), nullable=False),
        pa.field("label", pa.float64(), nullable=False),
        pa.field("good", pa.bool_(), nullable=False),
        pa.field("fold", pa.int64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),  # of a model that saw no text of this fold
    ]
)


class QualityError(StoreError):
    """Labels from which no classifier can be trained."""


@dataclass(frozen=True)
class Example:
    """A labelled text: where it stands first, how long it is, and what was said of it."""

    file: str
    line: int
    text: str  # one line, as fastText reads it
    label: float
    good: bool


def build(work: Work) -> None:
    """Train the classifier and measure it on labels that it did not see; without labels, write an empty table."""
    config: Quality = work.config
    examples = in_order(read_labels(config.labels, config.good_from), config.seed) if config.labels else []
    rows: list[tuple[Example, int, float]] = []
    if examples:
        _require_both_sides(examples, config)
        work.progress.start(work.asset, config.folds + 1, "trainings")
        scratch = work.scratch("fold.bin")
        for fold in range(config.folds):
            train([one for at, one in enumerate(examples) if at % config.folds != fold], config, scratch)
            judge = Classifier(scratch)
            rows += [(one, fold, judge.score(one.text)) for one in examples[fold :: config.folds]]
            work.progress.update(fold + 1)
        train(examples, config, scratch)
        scratch.replace(work.data(MODEL))
        work.progress.update(config.folds + 1)
    write_table(_table(rows), work.data(HELDOUT))
    work.metrics |= {"labels": len(examples), "labels_good": sum(one.good for one in examples)}


def read_labels(files: Iterable[str], good_from: float) -> list[Example]:
    """The labelled texts, each once, in the order of the files.

    Raises BadFile, naming file and line, for a line that is not `{"text", "label"}` with a text and a number.
    """
    first: dict[str, tuple[str, int]] = {}
    labels: dict[str, list[float]] = {}
    for value in files:
        for name, path in named_files(value, "curation.quality.labels"):
            for line, record in read_objects(path):
                text, label = record.get("text"), record.get("label")
                if not isinstance(text, str) or not text.strip():
                    raise bad_line(path, line, f'"text": {type(text).__name__}', 'a text under "text"')
                if not isinstance(label, int | float) or label != label:
                    raise bad_line(path, line, f'"label": {label!r}', 'a number under "label", such as 0 or 1')
                text = one_line(text)
                first.setdefault(text, (name, line))
                labels.setdefault(text, []).append(float(label))
    means = {text: sum(found) / len(found) for text, found in labels.items()}
    return [Example(*first[text], text, mean, mean >= good_from) for text, mean in means.items()]


def in_order(examples: Sequence[Example], seed: int) -> list[Example]:
    """The examples in the order of training, good and bad ones spread alike; it depends on texts and seed alone.

    Every n-th is a fold, so a fold has as many of each side as another, give or take one.
    """

    def spread(side: list[Example]) -> list[tuple[float, Example]]:
        side.sort(key=lambda one: (rank(one.text, seed), one.text))
        return [((at + 0.5) / len(side), one) for at, one in enumerate(side)]

    both = [spread([one for one in examples if one.good is side]) for side in (True, False)]
    return [one for _, one in sorted(both[0] + both[1], key=lambda pair: (pair[0], pair[1].text))]


def train(examples: Sequence[Example], config: Quality, path: Path) -> None:
    """Write a model that was trained on the examples. Raises QualityError if the numbers ran away."""
    from fasttext.FastText import train_supervised

    texts = Counter(word for one in examples for word in set(one.text.split()))
    known = sorted(word for word, count in texts.items() if count >= config.min_texts)
    lines, vectors = path.with_name(f"{path.name}.txt"), path.with_name(f"{path.name}.vec")
    _write_vectors(["</s>", *known], config, vectors)  # fastText ends each line with this word
    _write_lines(examples, frozenset(known), lines)
    try:
        model = train_supervised(
            input=str(lines),
            pretrainedVectors=str(vectors),
            epoch=config.epochs,
            lr=config.learning_rate,
            dim=config.width,
            seed=config.seed,
            thread=1,  # several threads update the vectors in an order that nobody decides
            verbose=0,
        )
    except RuntimeError as error:
        raise QualityError(
            f"curation.quality.learning_rate={config.learning_rate}: training failed ({error}); wanted: a smaller rate"
        ) from error
    model.save_model(str(path))


def _write_lines(examples: Iterable[Example], known: frozenset[str], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for one in examples:
            words = " ".join(word for word in one.text.split() if word in known)
            stream.write(f"{GOOD if one.good else BAD} {words}\n")


def _write_vectors(words: Sequence[str], config: Quality, path: Path) -> None:
    """The first vectors, between -1 / width and 1 / width as fastText's own, in the text format that it reads."""
    random = np.random.Generator(np.random.PCG64(config.seed))
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(f"{len(words)} {config.width}\n")
        for word in words:
            vector = random.uniform(-1 / config.width, 1 / config.width, config.width)
            stream.write(f"{word} {' '.join(f'{value:.6g}' for value in vector)}\n")


def _require_both_sides(examples: Sequence[Example], config: Quality) -> None:
    good = sum(one.good for one in examples)
    if min(good, len(examples) - good) < config.folds:
        raise QualityError(
            f"curation.quality.labels: {good} texts are good (label {config.good_from} or more) and "
            f"{len(examples) - good} bad; wanted: at least {config.folds} of each, one for each of "
            f"curation.quality.folds={config.folds}"
        )


def _table(rows: Iterable[tuple[Example, int, float]]) -> pa.Table:
    ordered = sorted(rows, key=lambda row: (row[0].file, row[0].line))
    records = [{**vars(one), "characters": len(one.text), "fold": fold, "score": score} for one, fold, score in ordered]
    return pa.Table.from_pylist([{name: one[name] for name in SCHEMA.names} for one in records], schema=SCHEMA)
