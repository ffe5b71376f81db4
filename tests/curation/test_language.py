"""Language identification: wanted languages above the threshold, from a local model."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import LanguageFilter
from datatrove.utils.lid import FT176LID

from llm_dag.config.places import resolve
from llm_dag.curation import language
from llm_dag.store.errors import StoreError
from tests.curation.chain import extracted, node, run

ENGLISH = "The committee met on Tuesday to discuss the new library, and most of its members were in favour of it."
GERMAN = "Der Ausschuss traf sich am Dienstag, um über die neue Bücherei zu sprechen, und die meisten waren dafür."
FRENCH = "Le comité s'est réuni mardi pour discuter de la nouvelle bibliothèque, et la plupart étaient favorables."
UNCLEAR = "12 34 xkcd qwrt OK 56 http www"


@pytest.fixture(scope="module")
def model() -> Any:
    return language.load_model(resolve(node("language").model))


def judged(tmp_path: Path, **changes: Any) -> list[dict[str, Any]]:
    texts = extracted(tmp_path, [[("en", ENGLISH), ("de", GERMAN), ("fr", FRENCH), ("un", UNCLEAR), ("no", "")]])
    return run(language.build, "language_filtered", node("language", **changes), [texts], tmp_path).rows()


def test_only_wanted_languages_are_kept_whatever_their_score(tmp_path: Path) -> None:
    """Without a list of languages, the block of datatrove keeps every language above the threshold."""
    rows = judged(tmp_path)
    assert [(row["doc_id"], row["kept"], row["reason"]) for row in rows[:3]] == [
        ("en", True, ""),
        ("de", False, "language"),
        ("fr", False, "language"),
    ]
    assert [row["language"] for row in rows[:3]] == ["en", "de", "fr"]
    assert all(row["language_score"] > 0.65 for row in rows[:3])
    assert not any(row["kept"] for row in rows[3:])
    assert (rows[4]["language"], rows[4]["reason"]) != ("en", "")


def test_english_is_en_in_conf(model: Any) -> None:
    """fastText writes `en`; a list with `eng` would match nothing."""
    assert node("language").languages == ["en"]
    assert {f"__label__{code}" for code in node("language").languages} <= set(model.get_labels())


def test_languages_and_threshold_have_an_effect(tmp_path: Path) -> None:
    rows = {row["doc_id"]: row for row in judged(tmp_path / "1", languages=["de", "fr"], threshold=0.5)}
    assert [rows[name]["kept"] for name in ("en", "de", "fr")] == [False, True, True]
    strict = {row["doc_id"]: row for row in judged(tmp_path / "2", threshold=1.0)}
    assert strict["en"]["reason"] == "language_score"


def test_the_score_must_be_above_the_threshold() -> None:
    assert language.decide("en", 0.65, node("language")) == "language_score"
    assert language.decide("en", 0.6500001, node("language")) == ""


def test_characters_limit_what_is_looked_at(model: Any) -> None:
    text = ENGLISH + "\n" + GERMAN * 20
    assert language.identify(model, text)[0] == "de"
    assert language.identify(model, text, len(ENGLISH))[0] == "en"


def test_decisions_and_scores_are_those_of_datatrove(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = LanguageFilter(languages="en", language_threshold=0.65)
    monkeypatch.setattr(FT176LID, "model", model)
    for text in (ENGLISH, GERMAN, UNCLEAR, "One\nword", "Merci, thank you, danke"):
        document = Document(text=text, id="1")
        kept = reference.filter(document)
        found = language.identify(model, text)
        assert found == (document.metadata["language"], pytest.approx(document.metadata["language_score"], abs=1e-6))
        assert bool(kept) == (language.decide(*found, node("language")) == "")


def test_no_network_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert len(judged(tmp_path)) == 5


def test_a_language_that_the_model_does_not_know_is_named(tmp_path: Path) -> None:
    """`eng` would match nothing, and every page would be dropped."""
    with pytest.raises(StoreError, match=r"languages: .*lid\.176\.ftz knows no language eng; .* like de, en, fr, zh"):
        judged(tmp_path, languages=["en", "eng"])


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"no model")
    with pytest.raises(StoreError, match=r"curation\.language\.model=.*model\.bin"):
        language.load_model(tmp_path / "model.bin")
