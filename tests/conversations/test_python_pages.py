"""Pages of documentation: what is read from their text, and that other text gives nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.conversations.python_pages import (
    Description,
    argument_names,
    argument_sentence,
    descriptions,
    first_sentence,
)
from .pages import member_list, object_page

JOIN_DOC = "Join two or more pathname components, inserting '/' as needed. If any component is absolute, the rest goes."
names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
modules = st.lists(names, min_size=1, max_size=3).map(".".join)


def test_an_object_page_says_what_it_is_about() -> None:
    assert list(descriptions(object_page("os.path.join", ["a", "*p"], JOIN_DOC))) == [
        Description(
            "os.path.join",
            "os.path",
            "module",
            "the arguments a and *p",
            "Join two or more pathname components, inserting '/' as needed.",
        )
    ]


def test_sentences_may_share_a_line_with_the_description() -> None:
    text = "os.getcwd is a function of the module os. It takes no arguments. Return a string for the current folder."
    (found,) = descriptions(text)
    assert (found.arguments, found.summary) == ("no arguments", "Return a string for the current folder.")


def test_a_method_belongs_to_its_class() -> None:
    (found,) = descriptions(object_page("queue.Queue.get", ["block"], "Take an item.", "method", "class"))
    assert (found.owner, found.owner_kind, found.arguments) == ("queue.Queue", "class", "the argument block")


def test_a_module_page_lists_members() -> None:
    page = member_list(
        "shutil", [("copy(src, dst, *, follow_symlinks=True)", "Copy data and mode bits."), ("which(cmd)", "Find it.")]
    )
    assert [(found.name, found.arguments, found.summary) for found in descriptions(page)] == [
        ("shutil.copy", "the arguments src, dst and follow_symlinks", "Copy data and mode bits."),
        ("shutil.which", "the argument cmd", "Find it."),
    ]


def test_a_signature_followed_by_a_signature_has_no_summary() -> None:
    assert [found.name for found in descriptions("os.first(a)\nos.second(b)\nDo the second.\n")] == ["os.second"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A page about cats. Cats are animals of the family Felidae.",
        "This function is a function of the module os.",
        "os.path.join is a function of the module json.\n\nIt joins.",
        "Call me(now)\nPlease do.",
    ],
)
def test_other_text_gives_nothing(text: str) -> None:
    assert list(descriptions(text)) == []


@given(st.text(max_size=400))
def test_any_text_can_be_read(text: str) -> None:
    for found in descriptions(text):
        assert found.name.startswith(found.owner + ".")


@given(modules, names, st.lists(names, max_size=5, unique=True))
def test_names_and_arguments_survive_the_page(module: str, short: str, arguments: list[str]) -> None:
    (found,) = descriptions(object_page(f"{module}.{short}", arguments, "Do a thing well. Then another."))
    assert (found.name, found.owner, found.summary) == (f"{module}.{short}", module, "Do a thing well.")
    assert found.arguments == argument_sentence(", ".join(arguments), method=False)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["Do this (e.g. that) now. Then stop."], "Do this (e.g. that) now."),
        (["Do this for the", "second line. End."], "Do this for the second line."),
        (["No full stop"], "No full stop."),
        (["Version 3.11 of it is used. Yes."], "Version 3.11 of it is used."),
        (["", "Below a blank line."], "Below a blank line."),
        (["Broken off here", "", "Another paragraph."], "Broken off here."),
        (["a:", "b", "c", "d", "e"], ""),
        ([], ""),
    ],
)
def test_the_first_sentence(lines: list[str], sentence: str) -> None:
    assert first_sentence(lines) == sentence


@pytest.mark.parametrize(
    ("inside", "found"),
    [
        ("", []),
        ("a, b=(1, 2), *args, c: dict[str, int] = None, **kw", ["a", "b", "*args", "c", "**kw"]),
        ("x, /, y, *, z=','", ["x", "y", "z"]),
        ("a, b=')'", ["a", "b"]),
        ("a[, b]", None),
        ("a)", None),
        ("...", None),
    ],
)
def test_parameters_of_a_signature(inside: str, found: list[str] | None) -> None:
    assert argument_names(inside) == found


def test_the_object_itself_is_no_argument_of_a_method() -> None:
    assert argument_sentence("self, block=True", method=True) == "the argument block"
    assert argument_sentence("self", method=False) == "the argument self"
