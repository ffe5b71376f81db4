"""Keys of the quality classifier, of filters that read files, and of benchmark overlap: each shown beside another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_dag.curation.user_filters import FilterError
from tests.knobs import pages
from tests.knobs.world import World, files_of

Shown = Callable[[World, pytest.MonkeyPatch], None]
LABELS = "curation.quality.labels"


def labels_file(folder: Path) -> str:
    """Labels that every fold can learn from: prose is good, lists of codes are bad, some words are rare."""
    path = folder / "labels.jsonl"
    with path.open("w") as file:
        for number in range(24):
            good = {
                "text": pages.about(f"label {number}", 3) + f" Mayor number{number // 2}.",
                "label": 1 - number % 3 / 10,
            }
            bad = {
                "text": " ".join(f"code{(number * place + number) % 97} -> {place}" for place in range(30)),
                "label": 0.2,
            }
            file.write(f"{json.dumps(good)}\n{json.dumps(bad)}\n")
    return str(path)


def trained(key: str, value: Any, files: str = "model.bin") -> Shown:
    """With labels, another value of `curation.quality.<key>` changes files of the classifier."""

    def show(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        labels = {LABELS: [labels_file(world.folder)]}
        before = world.artifact("quality_classifier", labels)
        after = world.artifact("quality_classifier", labels | {f"curation.quality.{key}": value})
        assert files_of(before, files) != files_of(after, files)

    return show


def min_quality(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a classifier, pages under the score are dropped; without one, asking for a score is an error."""
    with pytest.raises(FilterError, match=r"curation\.custom\.min_quality=0\.9: there is no classifier"):
        world.make("custom_filtered", {"curation.custom.min_quality": 0.9})
    labels = {LABELS: [labels_file(world.folder)]}
    found = [
        world.artifact("custom_filtered", labels | {"curation.custom.min_quality": least}).metrics
        for least in (0.0, 1.0)
    ]
    assert "dropped/low_quality" not in found[0]
    assert found[1]["dropped/low_quality"] > 0


def files(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter may read the files that are listed, and their bytes stand in the recipe."""
    module, words = world.folder / "wordlist.py", world.folder / "words.txt"
    module.write_text(
        "class Without:\n"
        "    def __init__(self, words): self.words = open(words).read().split()\n"
        "    def filter(self, document): return not any(word in document.text for word in self.words)\n"
    )
    changes: dict[str, Any] = {
        "curation.custom.modules": [str(module)],
        "curation.custom.filters": [{"_target_": "wordlist.Without", "words": str(words)}],
    }
    found = []
    for word in ("ferry", "compass"):
        words.write_text(word)
        found.append(
            files_of(world.artifact("custom_filtered", changes | {"curation.custom.files": [str(words)]}), "v")
        )
    assert found[0] != found[1]
    with pytest.raises(FilterError, match=r"words\.txt: a file that curation\.custom\.files does not name"):
        world.make("custom_filtered", changes)


def overlap_share(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is dropped from the share of an item on that is asked for; what it shares is recorded before, too."""
    found = [
        world.artifact(
            "custom_filtered", {"curation.custom.overlap_ngram": 10, "curation.custom.overlap_share": share}
        ).metrics
        for share in (0.5, 0.6)
    ]
    assert [one.get("dropped/evaluation_overlap", 0) for one in found] == [1, 0]
