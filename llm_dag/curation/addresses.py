"""URLs in one form, so that every spelling of an address is the same text.

What RFC 3986 (section 6.2.2) and the URL Standard's host parser make equal is equal here: letter case and a trailing
dot of the host, a Unicode host and its `xn--` form (UTS #46, which is what browsers look up), an encoded host, user
names, default ports, hexadecimal digits, encoded characters that need no encoding, dot segments, an empty path. The
scheme and the fragment name no other page, so they are left out. Cost: a few microseconds a URL.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote

import idna

_ENDS = "".join(map(chr, range(33)))  # control characters and the space: not part of a URL that begins or ends so
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:(?=[/\\]{2})|https?:)[/\\]*|[/\\]{2,}|", re.IGNORECASE)
_PORT = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?")
_NO_HOST = re.compile(r"[\x00-\x20\x7f#/:<>?@\[\\\]^|%]")
# RFC 3986's unreserved characters, and those that no server tells from their encoded form: pages are linked as
# `Bank_(river)` and as `Bank_%28river%29`.
_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$'(),:@")
_ENCODED = re.compile(r"%[0-9a-fA-F]{2}")
_TO_ENCODE = re.compile(r"[^\x21-\x7e]|[\"<>\\^`{|}]|%(?![0-9a-fA-F]{2})")


@dataclass(frozen=True)
class Address:
    """Where a page is: host (`xn--` form, without a trailing dot), port (`:8080`, or none) and path with query."""

    host: str
    port: str
    rest: str

    def __str__(self) -> str:
        return f"//{self.host}{self.port}{self.rest}"


def address(url: str) -> Address | None:
    """The address of a URL, with or without its scheme. None where no host can be read."""
    text = re.sub(r"[\t\r\n]", "", url.strip(_ENDS)).partition("#")[0]
    text = text[_SCHEME.match(text).end() :]  # type: ignore[union-attr]  # it matches the empty text
    end = next((at for at, sign in enumerate(text) if sign in "/\\?"), len(text))
    parts = _PORT.fullmatch(text[:end].rpartition("@")[2])
    name = host_name(parts[1]) if parts else ""
    port = int((parts and parts[2]) or 0)
    if not name or port > 65535:
        return None
    path, _, query = text[end:].partition("?")
    rest = _path(path) + (f"?{_encoded(query)}" if query else "")
    return Address(name, f":{port}" if port not in (0, 80, 443) else "", rest)


def host_name(text: str) -> str:
    """A host in the form in which it is looked up; empty for a text that is none."""
    if text.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(text[1:-1]).compressed}]"
        except ValueError:
            return ""
    name = unquote(text) if "%" in text else text
    if not name.isascii():
        try:
            name = idna.uts46_remap(name, std3_rules=False)
        except idna.IDNAError:  # characters that no host may have
            return ""
    name = ".".join(map(_label, name.lower().split("."))).rstrip(".")
    return "" if _NO_HOST.search(name) else name


def _label(label: str) -> str:
    return label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}"


def _path(text: str) -> str:
    """A path from its first slash on, without dot segments (RFC 3986, section 5.2.4)."""
    segments = _encoded(text.replace("\\", "/")).split("/")[1:] or [""]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _encoded(text: str) -> str:
    """A part of a URL in which exactly those characters are encoded that need it, in capital digits."""
    return _ENCODED.sub(_shortest, _TO_ENCODE.sub(_percent, text))


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _shortest(match: re.Match[str]) -> str:
    sign = chr(int(match[0][1:], 16))
    return sign if sign in _BARE else match[0].upper()
