"""Which objects are asked about, how they are grouped, and what is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.config.compose import compose
from llm_dag.conversations.corpus_questions import Subject, choose, groups, one_phrasing, questions, telling_names
from llm_dag.conversations.dialogue import ask
from llm_dag.conversations.leaks import BenchmarkSpans, TrainText, mentioned_names
from llm_dag.conversations.python_pages import Description
from llm_dag.tasks.splits import split_of


def subject(name: str, summary: str, stdlib: bool = True, owner_kind: str = "module") -> Subject:
    about = Description(name, name.rpartition(".")[0], owner_kind, "the argument x", summary, "function", False)
    return Subject(about, "page", stdlib)


JOINS = [
    subject("posixpath.join", "Join paths."),
    subject("os.path.join", "Join  paths!"),
    subject("ntpath.join", "Other."),
]


def test_objects_with_one_description_are_one_group() -> None:
    found = {first: [one.name for one in group] for first, group in groups(JOINS).items()}
    assert found == {"ntpath.join": ["ntpath.join"], "os.path.join": ["os.path.join", "posixpath.join"]}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz"), st.sampled_from("123")), unique=True))
def test_every_subject_is_in_one_group_whatever_the_order(made: list[tuple[str, str, str]]) -> None:
    subjects = {f"{a}.{b}": subject(f"{a}.{b}", f"Do {number} things.") for a, b, number in made}
    found = groups(subjects.values())
    assert sorted(one.name for group in found.values() for one in group) == sorted(subjects)
    assert found == groups(reversed(list(subjects.values())))
    assert all(first == min(one.name for one in group) for first, group in found.items())


def test_a_short_name_tells_the_module_only_where_all_who_have_it_agree() -> None:
    sqrt = [subject("cmath.sqrt", "Return the root."), subject("math.sqrt", "Return the root.")]
    method = subject("queue.Queue.sqrt", "Something else.", owner_kind="class")
    assert telling_names([*JOINS, *sqrt, method]) == {"math.sqrt"}


def test_what_people_ask_about_comes_first_then_the_standard_library() -> None:
    method = subject("os.Entry.path", "Give a path.", owner_kind="class")
    other = subject("pkg.run", "Run it.", stdlib=False)
    named = subject("pkg.named", "Be named.", stdlib=False)
    chosen = choose([other, method, named, *JOINS], 5, seed=0, named={"pkg.named"})
    assert chosen[0] is named
    assert {one.name for one in chosen[1:4]} == {one.name for one in JOINS}
    assert chosen[4] is method
    assert choose([other, method], 0, seed=0, named=set()) == []


def test_each_kind_is_asked_in_as_many_forms_as_wanted() -> None:
    asked = list(questions(JOINS[1], phrasings=2, seed=1, name_tells=True))
    assert [one.kind for one in asked] == ["what", "what", "arguments", "arguments", "module", "module"]
    said = {one.kind: {message.content for message in one.messages if message.role == "assistant"} for one in asked}
    assert said == {
        "what": {"Join  paths!"},
        "arguments": {"os.path.join takes the argument x."},
        "module": {"join is in the module os.path."},
    }
    assert len({one.questions for one in asked}) == 6
    assert [one.kind for one in one_phrasing(asked, seed=1)] == ["what", "arguments", "module"]
    assert asked[0].questions == ("what does os path join do",)


@pytest.mark.parametrize(
    ("question", "answer", "leak"),
    [
        ("New?", "Nothing that was said.", ""),
        ("old?", "Nothing that was said.", "question_in_train"),
        ("New?", "return the LENGTH of it", "answer_in_train"),
        ("New?", "the length of it, always", ""),
        ("New?", "numbers from one to ten", "answer_within_train"),
    ],
)
def test_a_heldout_conversation_leaks_when_train_holds_it(question: str, answer: str, leak: str) -> None:
    train = [
        ask("a", "what", "Old?", "Return the length of it.", ""),
        ask("b", "what", "B?", "Numbers from one to ten, twice", ""),
    ]
    assert TrainText(train).leak(ask("c", "what", question, answer, "")) == leak


def test_benchmark_items_are_found_by_words_in_a_row() -> None:
    items = BenchmarkSpans(
        ["A train leaves at nine and arrives at noon; how long?\n3 hours", "Name the red planet", "42"]
    )
    hit = ask("s", "file", "Hm: a train LEAVES at nine, and arrives at noon!", "Three.", "")
    short = ask("s", "file", "Please name the red planet.", "Mars.", "")
    assert items.overlaps(hit)
    assert items.overlaps(short)
    assert not items.overlaps(ask("s", "file", "A train leaves at nine.", "42", ""))
    assert not BenchmarkSpans([]).overlaps(hit)


def test_names_in_conversations_are_found() -> None:
    one = ask("s", "k", "What about os.path.join?", "Use len(x) or path.open() e.g. here.", "")
    assert {"os.path.join", "len"} <= mentioned_names([one])
    assert "open" not in mentioned_names([one])


@pytest.mark.parametrize("option", ["default", "ci"])
def test_what_a_user_asks_first_is_in_the_train_split(option: str) -> None:
    config = compose([f"conversations={option}"]).identity.conversations
    for key in ("object os.path.join", "topic name", "topic maker", "topic abilities", "topic self_harm"):
        assert split_of(key, config.heldout, config.seed) == "train", key
