"""The result of a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CheckResult:
    """What a check found: the message says what was found and what is wanted."""

    passed: bool
    message: str
    numbers: Mapping[str, float] = field(default_factory=dict)
