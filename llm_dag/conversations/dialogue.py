"""A dialogue: its messages, what makes it well formed, and the normal form in which texts are compared."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llm_dag.tokenization.messages import ROLES, Message, order_fault

TOKEN = re.compile(r"\w+|[-+*/%=<>]")


@dataclass(frozen=True)
class Dialogue:
    """Messages about one subject; `where` says which file and line, or which page, they come from."""

    subject: str
    kind: str
    messages: tuple[Message, ...]
    where: str = ""

    @property
    def id(self) -> str:
        """The kind, and 16 hex digits over subject and messages."""
        said = json.dumps([self.subject, *((message.role, message.content) for message in self.messages)])
        return f"{self.kind}/{hashlib.blake2b(said.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"

    @property
    def questions(self) -> tuple[str, ...]:
        """What the user said, in normal form."""
        return tuple(normal(message.content) for message in self.messages if message.role == "user")

    @property
    def answers(self) -> tuple[str, ...]:
        """What the assistant said, in normal form."""
        return tuple(normal(message.content) for message in self.messages if message.role == "assistant")

    def record(self, number: int = 1) -> dict[str, Any]:
        """The line of a file; `number` tells repetitions of one dialogue apart."""
        messages = [{"role": message.role, "content": message.content} for message in self.messages]
        name = self.id if number == 1 else f"{self.id}/{number}"
        return {"id": name, "subject": self.subject, "kind": self.kind, "messages": messages}


def ask(subject: str, kind: str, question: str, answer: str, where: str) -> Dialogue:
    """One question and its answer."""
    return Dialogue(subject, kind, (Message("user", question), Message("assistant", answer)), where)


def normal(text: str) -> str:
    """Words and arithmetic signs in lower case, one space between: texts that differ only in form are equal."""
    return " ".join(TOKEN.findall(text.casefold()))


def fault(messages: Any) -> str:
    """What is wrong with a list of `{"role", "content"}`, or nothing: the text says what was found and wanted."""
    if not isinstance(messages, list) or not messages:
        return f'"messages" is {_shown(messages)}; wanted a list of {{"role", "content"}}'
    roles = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            return f'message {index} is {_shown(message)}; wanted an object with "role" and "content"'
        role, content = message["role"], message["content"]
        if role not in ROLES:
            return f"message {index} has the role {_shown(role)}; wanted one of {', '.join(ROLES)}"
        if not isinstance(content, str) or not content.strip():
            return f"message {index} has the content {_shown(content)}; wanted a text that is not empty"
        roles.append(role)
    if found := order_fault(roles):
        return found
    return "" if roles[-1] == "assistant" else f"the last message is by {roles[-1]}; wanted assistant"


def parse_messages(messages: Sequence[dict[str, str]]) -> tuple[Message, ...]:
    """Messages that have no fault, without the space around their texts."""
    return tuple(Message(message["role"], message["content"].strip()) for message in messages)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
