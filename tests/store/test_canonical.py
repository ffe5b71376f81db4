"""Canonical forms: equal exactly when the values are equal, and never made by `str`."""

from __future__ import annotations

import enum
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.config.fields import AS_BEFORE, PATH
from llm_dag.store.canonical import canonical_json, content_digest, identity, plain, requested
from llm_dag.store.errors import StoreError, Unhashable

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Equality that tells 1 from 1.0 and from True, and 0.0 from -0.0."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if type(one) is float and type(other) is float:
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and one == other


@given(values, values)
def test_canonical_forms_are_equal_exactly_when_the_values_are(one: Any, other: Any) -> None:
    assert (canonical_json(one) == canonical_json(other)) == same(one, other)


@given(values)
def test_a_canonical_form_gives_the_value_back(value: Any) -> None:
    assert same(json.loads(canonical_json(value)), value)


@given(st.dictionaries(st.text(), scalars))
def test_the_order_of_keys_does_not_enter(value: dict[str, Any]) -> None:
    assert canonical_json(value) == canonical_json(dict(reversed(value.items())))


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Name(enum.StrEnum):
    FIRST = "first"


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        pytest.param(object(), id="object"),
        Colour.RED,
        Level.LOW,
        Name.FIRST,
        {1, 2},
        frozenset({1}),
        b"bytes",
        Path("x"),
        1 + 2j,
        {1: "x"},
        {None: 1},
        {Name.FIRST: 1},
        print,
    ],
    ids=repr,
)
def test_a_value_that_cannot_be_hashed_is_an_error_that_names_the_key(value: Any) -> None:
    with pytest.raises(Unhashable, match=r"rl\.rewards\[1\]\.weight"):
        plain({"rewards": [{}, {"weight": value}]}, "rl")


@dataclass
class Inner:
    words: str = field(default="", metadata={PATH: True})
    knob: int = field(default=3, metadata={AS_BEFORE: 3})


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    many: list[Inner] = field(default_factory=list)
    by_name: dict[str, Any] = field(default_factory=dict)
    lists: list[str] = field(default_factory=list, metadata={PATH: True})


def test_a_field_at_its_as_before_value_adds_nothing_wherever_its_node_lies() -> None:
    node = Outer(many=[Inner()], by_name={"a": Inner()})
    assert identity(node, "n") == {
        "inner": {"words": None},
        "many": [{"words": None}],
        "by_name": {"a": {"words": None}},
        "lists": [],
    }
    assert identity(Inner(knob=4), "n") == {"words": None, "knob": 4}


def test_a_value_that_nobody_gave_is_an_error_that_names_the_key() -> None:
    with pytest.raises(Unhashable, match=r"n\.inner\.words has no value"):
        identity(Outer(inner=Inner(words="???")), "n")


def test_a_path_enters_as_the_digests_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "words.txt").write_text("first")
    before = identity(Inner(words=str(tmp_path / "a" / "words.txt")), "n")
    assert str(tmp_path) not in json.dumps(before)
    (tmp_path / "a" / "words.txt").write_text("second")
    assert identity(Inner(words=str(tmp_path / "a" / "words.txt")), "n") != before


@pytest.mark.parametrize("named", ["lists", "lists/deep", "lists/*.txt", "lists/**/*.txt", "lists/one.txt"])
def test_moving_a_folder_changes_nothing(tmp_path: Path, named: str) -> None:
    (tmp_path / "here" / "lists" / "deep").mkdir(parents=True)
    for name in ("one.txt", "two.txt", "deep/one.txt"):
        (tmp_path / "here" / "lists" / name).write_text(name)
    before = identity(Outer(lists=[str(tmp_path / "here" / named)]), "n")
    (tmp_path / "here").rename(tmp_path / "there")
    assert identity(Outer(lists=[str(tmp_path / "there" / named)]), "n") == before


def test_renaming_a_folder_below_a_glob_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("x")
    before = identity(Outer(lists=[str(tmp_path / "*" / "x.txt")]), "n")
    (tmp_path / "a").rename(tmp_path / "b")
    assert identity(Outer(lists=[str(tmp_path / "*" / "x.txt")]), "n") != before


def test_a_path_that_names_nothing_is_an_error_that_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"n\.inner\.words=.*no such file"):
        identity(Outer(inner=Inner(words=str(tmp_path / "none" / "*.txt"))), "n")


def test_a_request_holds_a_path_as_it_was_given(tmp_path: Path) -> None:
    assert requested(Inner(words=str(tmp_path / "gone")), "n") == {"words": str(tmp_path / "gone")}


@dataclass
class Measuring:
    names: list[str] = field(default_factory=lambda: ["a"])

    def measured(self) -> dict[str, Any]:
        return dict.fromkeys(self.names, "1.0")


@dataclass
class Unmeasurable:
    def measured(self) -> dict[str, Any]:
        return {"a": object()}


def test_what_a_node_measures_enters_its_recipe_and_not_the_request() -> None:
    node = Measuring()
    assert identity(node, "n") == {"names": ["a"], "measured": {"a": "1.0"}}
    assert requested(node, "n") == {"names": ["a"]}
    with pytest.raises(Unhashable, match=r"n\.measured\.a"):
        identity(Unmeasurable(), "n")


@given(st.dictionaries(st.text(), st.text(alphabet="0123456789abcdef", min_size=4)), st.randoms())
def test_a_content_digest_is_of_names_and_bytes_in_no_order(files: dict[str, str], random: Any) -> None:
    shuffled = list(files.items())
    random.shuffle(shuffled)
    assert content_digest(shuffled) == content_digest(files.items())
    for name in files:
        assert content_digest({**files, name: "other"}.items()) != content_digest(files.items())
        assert content_digest([(f"{one}x" if one == name else one, value) for one, value in files.items()]) != (
            content_digest(files.items())
        )
