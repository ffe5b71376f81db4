"""The kinds of personal data, one after the other over a text: what is found, and the text without it.

Each kind sees the text with the finds of the kinds before it masked, so no piece is found twice: an address inside an
e-mail's local part goes with the e-mail. Placeholders of a kind that stand in the text already are masked before it is
searched. A mask is as long as what it hides, and begins and ends with a digit or a letter as the placeholder does, so a
kind decides of what stands beside it as it would beside the placeholder: that is why a second pass changes nothing.

Cost: linear in the text, as for each kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from llm_dag.config.curation import Pii
from llm_dag.curation.personal_data import cards, emails, ibans, ip_addresses, phones, ssns
from llm_dag.curation.personal_data.masks import masked
from llm_dag.curation.personal_data.numbers import starts


class Kind(NamedTuple):
    """One kind of personal data."""

    switch: str  # its key in `curation.pii`, and the name of its count
    name: str  # what a span of it is called
    placeholder: str  # what stands for it
    find: Callable[[str, Sequence[int]], Iterator[tuple[int, int]]]  # start and end of each, in order and apart


KINDS = (
    Kind("emails", "email", emails.PLACEHOLDER, emails.find),
    Kind("ibans", "iban", ibans.PLACEHOLDER, ibans.find),
    Kind("credit_cards", "credit_card", cards.PLACEHOLDER, cards.find),
    Kind("ipv6", "ipv6", ip_addresses.IPV6_PLACEHOLDER, ip_addresses.find_ipv6),
    Kind("ipv4", "ipv4", ip_addresses.IPV4_PLACEHOLDER, ip_addresses.find_ipv4),
    Kind("ssns", "ssn", ssns.PLACEHOLDER, ssns.find),
    Kind("phones", "phone", phones.PLACEHOLDER, phones.find),
)


class Span(NamedTuple):
    """A piece of text that is personal data: from character `start` up to `end`."""

    start: int
    end: int
    kind: Kind


def find(text: str, config: Pii) -> list[Span]:
    """The personal data of a text that the configuration asks for, in order; no two overlap."""
    spans: list[Span] = []
    numbers = starts(text)  # masks keep every character in its place, so these hold for all kinds
    for kind in KINDS:
        if kind.placeholder in text:
            replaced = [match.span() for match in re.finditer(_whole(kind.placeholder), text)]
            text = masked(text, replaced, kind.placeholder)
        if getattr(config, kind.switch) and (found := list(kind.find(text, numbers))):
            spans += (Span(start, end, kind) for start, end in found)
            text = masked(text, found, kind.placeholder)
    return sorted(spans, key=lambda span: span.start)


def replace(text: str, spans: Sequence[Span]) -> str:
    """The text with placeholders for its spans."""
    parts, end = [], 0
    for span in spans:
        parts += [text[end : span.start], span.kind.placeholder]
        end = span.end
    return "".join([*parts, text[end:]])


def _whole(placeholder: str) -> str:
    """A pattern of the placeholder; one that ends in a digit is no part of a longer number."""
    return rf"(?<![0-9]){placeholder}(?![0-9])" if placeholder[-1].isdecimal() else placeholder
