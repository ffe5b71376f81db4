"""What a conversation consists of: messages, who may speak, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Message:
    """One turn: who speaks (`system`, `user` or `assistant`), and the words."""

    role: str
    content: str


def order_fault(roles: Sequence[str]) -> str:
    """What is wrong with an order of roles, or nothing: perhaps one system message, then user and assistant in turn."""
    unknown = [(place, role) for place, role in enumerate(roles) if role not in ROLES]
    if unknown:
        return f"message {unknown[0][0]} has the role {unknown[0][1]!r}; wanted one of {', '.join(ROLES)}"
    first = 1 if roles and roles[0] == "system" else 0
    for place, role in enumerate(roles[first:], first):
        wanted = ("user", "assistant")[(place - first) % 2]
        if role != wanted:
            return f"message {place} is by {role}; wanted {wanted}: the sides take turns, a system message only first"
    return "" if len(roles) > first else "no message is by the user"
