"""Conversation files: the project's own are strict, a user's bad lines are skipped and noted."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.conversations.dialogue import fault, normal
from llm_dag.conversations.reading import load_handwritten, read_files
from llm_dag.tasks.jsonl import BadFile

HANDWRITTEN = "assets_data/conversations/*.jsonl"
USER = {"role": "user", "content": "Hi"}
ASSISTANT = {"role": "assistant", "content": "Hello."}
SYSTEM = {"role": "system", "content": "Be brief."}


def written(folder: Path, *records: Any) -> str:
    path = folder / "talk.jsonl"
    path.write_text("\n".join(record if isinstance(record, str) else json.dumps(record) for record in records))
    return str(path)


@pytest.mark.parametrize("messages", [[USER, ASSISTANT], [SYSTEM, USER, ASSISTANT], [USER, ASSISTANT] * 2])
def test_good_messages_have_no_fault(messages: list[dict[str, str]]) -> None:
    assert fault(messages) == ""


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        (None, "null"),
        ([], "[]"),
        ("Hi", '"Hi"'),
        ([{"role": "user"}], "message 0"),
        ([{**USER, "role": "human"}, ASSISTANT], 'the role "human"'),
        ([{**USER, "content": " \n"}, ASSISTANT], "not empty"),
        ([{**USER, "content": 3}, ASSISTANT], "the content 3"),
        ([USER], "the last message is by user"),
        ([SYSTEM], "no message is by the user"),
        ([ASSISTANT], "message 0 is by assistant; wanted user"),
        ([USER, USER, ASSISTANT], "message 1 is by user; wanted assistant"),
        ([USER, ASSISTANT, SYSTEM, ASSISTANT], "message 2 is by system; wanted user"),
        ([SYSTEM, ASSISTANT], "message 1 is by assistant; wanted user"),
    ],
)
def test_a_fault_says_what_was_found(messages: Any, found: str) -> None:
    assert found in fault(messages)


def test_the_hand_written_conversations_load_and_are_varied() -> None:
    conversations = load_handwritten(HANDWRITTEN)
    kinds = Counter(conversation.kind for conversation in conversations)
    assert len(conversations) >= 300
    assert min(kinds.values()) >= 30
    assert sum(len(one.messages) > 3 for one in conversations) >= 30
    for conversation in conversations:
        for message in conversation.messages:
            assert message.content.isascii(), conversation.where
    shared = Counter(conversation.answers for conversation in conversations)
    assert max(shared.values()) <= 3


def test_a_hand_written_fault_names_file_and_line(tmp_path: Path) -> None:
    good = {"subject": "hello", "kind": "talk", "messages": [USER, ASSISTANT]}
    with pytest.raises(BadFile, match=r"talk\.jsonl:2: message 1 is by user"):
        load_handwritten(written(tmp_path, good, {**good, "messages": [USER, USER]}))
    with pytest.raises(BadFile, match=r"talk\.jsonl:3: found no JSON"):
        load_handwritten(written(tmp_path, good, "", "{"))
    with pytest.raises(BadFile, match=r'talk\.jsonl:1: found "subject"'):
        load_handwritten(written(tmp_path, {"kind": "talk", "messages": [USER, ASSISTANT]}))
    with pytest.raises(BadFile, match=r"talk\.jsonl:2: found the questions of talk\.jsonl:1 again"):
        load_handwritten(written(tmp_path, good, {**good, "subject": "other"}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["user", "assistant", "system"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_judged_and_what_passes_is_well_formed(value: Any) -> None:
    if fault(value) == "":
        roles = [message["role"] for message in value]
        assert roles[-1] == "assistant"
        assert all(first != second for first, second in pairwise(roles))


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"messages": [USER, ASSISTANT]}), encoding="utf-8-sig")
    assert len(read_files([str(path)])[0]) == 1


def test_bad_lines_of_a_user_are_skipped_and_noted(tmp_path: Path) -> None:
    good = {"messages": [USER, ASSISTANT]}
    name = written(tmp_path, good, "{", {"messages": [USER]}, {**good, "kind": 1}, {**good, "subject": "\ud800"})
    conversations, skipped = read_files([name])
    assert [(one.subject, one.kind, one.where) for one in conversations] == [("hi", "file", "talk.jsonl:1")]
    assert [bad.where for bad in skipped] == ["talk.jsonl:2", "talk.jsonl:3", "talk.jsonl:4", "talk.jsonl:5"]


def test_a_file_without_conversations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"found no conversation in it \(talk\.jsonl:1"):
        read_files([written(tmp_path, {"prompt": "Hi"})])
    with pytest.raises(BadFile, match="it is empty"):
        read_files([written(tmp_path)])


def test_the_normal_form_ignores_form_and_keeps_signs() -> None:
    assert normal("Join  two\npaths!") == normal("join two paths") == "join two paths"
    assert normal("4 / 2 = 2") != normal("4 - 2 = 2")
