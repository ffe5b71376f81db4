"""Conversations as token ids: `<|im_start|>role<|im_sep|>content<|im_end|>` for each message, nothing between.

Words are encoded on their own, with specials disabled, and the five special ids are put around them; so a message that
spells `<|im_end|>` cannot end its turn. The loss mask is true on the assistant's words and the `<|im_end|>` that ends
them, and nowhere else: the model learns what to say and when to stop, not what users ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from llm_dag.tokenization.messages import Message, order_fault
from llm_dag.tokenization.vocabulary import Vocabulary


class ChatError(ValueError):
    """Messages that are no conversation."""


@dataclass(frozen=True)
class Conversation:
    """Messages in order: perhaps one `system` message, then `user` and `assistant` in turn, the user first.

    Raises:
        ChatError: an unknown role, or roles in another order.
    """

    messages: tuple[Message, ...]

    def __post_init__(self) -> None:
        if fault := order_fault([message.role for message in self.messages]):
            raise ChatError(fault)

    @classmethod
    def of(cls, *pairs: tuple[str, str]) -> Conversation:
        """A conversation of (role, content) pairs."""
        return cls(tuple(Message(role, content) for role, content in pairs))


@dataclass
class Rendered:
    """Token ids, and for each whether the model is trained to say it."""

    ids: list[int] = field(default_factory=list)
    mask: list[bool] = field(default_factory=list)

    def add(self, ids: Sequence[int], trained: bool) -> None:
        self.ids += ids
        self.mask += [trained] * len(ids)


def render(conversation: Conversation, vocabulary: Vocabulary) -> Rendered:
    """The ids and the loss mask of a whole conversation, of equal length."""
    rendered = Rendered()
    for message in conversation.messages:
        trained = message.role == "assistant"
        rendered.add(_opening(message.role, vocabulary), False)
        rendered.add([*vocabulary.encode(message.content), vocabulary.im_end], trained)
    return rendered


def render_prompt(conversation: Conversation, vocabulary: Vocabulary) -> list[int]:
    """The ids up to where the assistant's next words begin.

    Raises:
        ChatError: the last message is the assistant's own.
    """
    if conversation.messages[-1].role == "assistant":
        raise ChatError("the last message is the assistant's; wanted the user's, for the assistant to answer")
    return [*render(conversation, vocabulary).ids, *_opening("assistant", vocabulary)]


def fitting_prompt(conversation: Conversation, vocabulary: Vocabulary, limit: int) -> list[int]:
    """`render_prompt` in at most `limit` ids: the oldest exchanges are left out whole, the system message stays.

    The last question is never left out, so what is returned may still be longer than `limit`.
    """
    messages = conversation.messages
    first = 1 if messages[0].role == "system" else 0
    while True:
        prompt = render_prompt(Conversation(messages), vocabulary)
        if len(prompt) <= limit or len(messages) <= first + 1:
            return prompt
        messages = (*messages[:first], *messages[first + 2 :])


def _opening(role: str, vocabulary: Vocabulary) -> list[int]:
    return [vocabulary.im_start, *vocabulary.encode(role), vocabulary.im_sep]
