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
modules = st.lists(names, min_size=1, max_size=3).map(".".join).filter(lambda name: name != "builtins")


def test_an_object_page_says_what_it_is_about() -> None:
    assert list(descriptions(object_page("os.path.join", ["a", "*p"], JOIN_DOC))) == [
        Description(
            "os.path.join",
            "os.path",
            "module",
            "the arguments a and *p",
            "Join two or more pathname components, inserting '/' as needed.",
            sort="function",
            own_page=True,
        )
    ]


def test_sentences_may_share_a_line_with_the_description() -> None:
    text = (
        "os.getcwd is a function of the module os. It takes no arguments. It is also known as posix.getcwd. "
        "Return a string for the current folder."
    )
    (found,) = descriptions(text)
    assert (found.arguments, found.summary) == ("no arguments", "Return a string for the current folder.")


def test_a_method_belongs_to_its_class() -> None:
    (found,) = descriptions(object_page("queue.Queue.get", ["block"], "Take an item.", "method", "class"))
    assert (found.owner, found.owner_kind, found.arguments) == ("queue.Queue", "class", "the argument block")


def test_built_in_functions_stand_without_their_module() -> None:
    (found,) = descriptions(object_page("len", ["obj"], "Return the number of items in a container."))
    assert (found.name, found.owner, found.owner_kind) == ("len", "builtins", "module")


@pytest.mark.parametrize("between", [" — ", "\n— ", "\n", "\n\n"])
def test_a_module_page_lists_members(between: str) -> None:
    members = [("copy(src, dst, *, follow_symlinks=True)", "Copy data and mode bits."), ("Error()", "Raised: no way.")]
    page = member_list("shutil", members, between)
    assert [(found.name, found.arguments, found.summary, found.sort) for found in descriptions(page)] == [
        ("shutil.copy", "the arguments src, dst and follow_symlinks", "Copy data and mode bits.", "function"),
        ("shutil.Error", "no arguments", "Raised: no way.", "class"),
    ]


def test_a_member_without_a_call_has_no_arguments_to_tell() -> None:
    (found,) = descriptions(member_list("stat", [("filemode", "Convert a mode to a string. Yes.")]))
    assert (found.name, found.arguments, found.summary) == ("stat.filemode", "", "Convert a mode to a string.")


def test_a_class_page_describes_the_class_and_its_methods() -> None:
    page = object_page("queue.Queue", ["maxsize"], "Create a queue.", "class")
    page += "\nqueue.Queue.put(item, block=True) — Put an item.\n\nother.Queue.get() — Of another class.\n"
    assert [(found.name, found.owner_kind, found.sort, found.own_page) for found in descriptions(page)] == [
        ("queue.Queue", "module", "class", True),
        ("queue.Queue.put", "class", "method", False),
    ]


def test_a_signature_followed_by_a_signature_has_no_summary() -> None:
    page = "os is a module.\n\nos.first(a)\n\nos.second(b)\n\nDo the second.\n"
    assert [found.name for found in descriptions(page)] == ["os.second"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A page about cats. Cats are animals of the family Felidae.",
        "This function is a function of the module os.",
        "os.path.join is a function of the module json.\n\nIt joins.",
        "Call me(now)\nPlease do.",
        "os.path.join(a) — A list on no page of a module.",
    ],
)
def test_other_text_gives_nothing(text: str) -> None:
    assert list(descriptions(text)) == []


@given(st.text(max_size=400))
def test_any_text_can_be_read(text: str) -> None:
    for found in descriptions(text):
        assert found.name.startswith(found.owner + ".") or found.owner == "builtins"


@given(modules, names, st.lists(names, max_size=5, unique=True))
def test_names_and_arguments_survive_the_page(module: str, short: str, arguments: list[str]) -> None:
    (found,) = descriptions(object_page(f"{module}.{short}", arguments, "Do a thing well. Then another."))
    assert (found.name, found.owner, found.summary) == (f"{module}.{short}", module, "Do a thing well.")
    assert found.arguments == argument_sentence(", ".join(arguments))


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["Do this (e.g. that) now. Then stop."], "Do this (e.g. that) now."),
        (["Do this for the", "second line. End."], "Do this for the second line."),
        (["No full stop"], "No full stop."),
        (["Return the root of x. The value is positive."], "Return the root of x."),
        (["Version 3.11 of it is used. Yes."], "Version 3.11 of it is used."),
        (["", "Below a blank line."], "Below a blank line."),
        (["Broken off here", "", "Another paragraph."], "Broken off here."),
        (["Broken off here", "Another paragraph."], "Broken off here."),
        (["a:", "b", "c", "d", "e"], ""),
        (["A table:", "Left", "Right"], ""),
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
