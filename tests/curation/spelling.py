"""Other spellings of a URL that name the same page."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from urllib.parse import quote


def spellings(host: str, rest: str, draw: random.Random, count: int) -> Iterator[str]:
    """URLs of the page at `https://host` + rest: every rule of `addresses` is used now and then."""
    for _ in range(count):
        scheme = draw.choice(["http://", "https://", "HTTPS://", "https:\\\\"])
        user = draw.choice(["", "", "me@", "me:w%40rd@"])
        port = draw.choice(["", "", ":80", ":443", ":"])
        fragment = draw.choice(["", "#top", "#a?b/c"])
        path, mark, query = rest.partition("?")
        dots = draw.choice(["", "/.", "/more/..", "/%2e"])
        yield f"{scheme}{user}{_host(host, draw)}{port}{dots}{_coded(path, draw)}{mark}{_coded(query, draw)}{fragment}"


def _host(host: str, draw: random.Random) -> str:
    labels = []
    for label in host.split("."):
        other = draw.choice(
            [label, label.upper() if label.isascii() else label, quote(label), f"%{ord(label[0]):02x}{label[1:]}"]
        )
        if not label.isascii():
            other = draw.choice([label, quote(label), f"xn--{label.encode('punycode').decode()}".upper()])
        labels.append(other)
    return draw.choice([".", ".", "。"]).join(labels) + draw.choice(["", "."])


def _coded(text: str, draw: random.Random) -> str:
    """Some characters encoded that need not be, and some that need it left as they are."""
    return "".join(
        part if len(part) > 1 or part in "/?&=+%;*" or draw.random() < 0.5 else _percent(part, draw)
        for part in re.findall(r"%[0-9A-Fa-f]{2}|.", text, re.DOTALL)
    )


def _percent(sign: str, draw: random.Random) -> str:
    coded = "".join(f"%{byte:02x}" for byte in sign.encode())
    return coded.upper() if draw.random() < 0.5 else coded
