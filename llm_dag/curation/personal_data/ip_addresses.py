"""Public IPv4 and IPv6 addresses.

IPv4: four numbers that stand alone. Private and reserved addresses stay, and so do version numbers (after `v`,
`version`, `==`, or a name and a hyphen) and section numbers (after `section` and the like, or small numbers that head a
line, or stand in a row of other numbers).

IPv6: full and compressed forms (RFC 4291, section 2.2) with three groups or more of 2000::/3, the only block from which
public addresses are given out (IANA's registry of IPv6 global unicast assignments); of other blocks that are not
reserved, full forms alone. So times, `std::vector`, `a[::2]`, `face::b00c` and hardware addresses are none.

Cost: linear; a start looks at fewer than 64 characters.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence

IPV4_PLACEHOLDER = "192.0.2.1"  # RFC 5737: documentation, reaches nobody
IPV6_PLACEHOLDER = "2001:db8::1"  # RFC 3849: documentation, reaches nobody
IPV4 = re.compile(
    r"(?<![\w.])(?<![A-Za-z][-+])(?<![=<>~!]=)[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\w)(?!\.[0-9a-z]|-[A-Za-z])"
)
IPV6 = re.compile(r":(?<=[0-9A-Fa-f]:)(?=[0-9A-Fa-f]{0,4}:)")  # two colons near each other, behind a digit
HEXTET = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}\Z")
RUN = re.compile(r"[0-9A-Fa-f:.]{2,42}(?!\w)")
PUBLIC = ipaddress.IPv6Network("2000::/3")
LONGEST_IPV6 = 39  # eight groups of four and seven colons
BEFORE = 24  # characters before a number in which a word can say that it is no address
NO_ADDRESS = re.compile(
    r"(?:\bv|\bver|\bversions?|\brev|\brevision|\brelease|\bbuild|\bfirmware|\bsect?|\bsections?|\bchapter|\bclause"
    r"|\barticle|\bparagraph|\bfigure|\btable|\bappendix|§)[.:]?[ \t]{0,2}\(?\Z",
    re.IGNORECASE,
)
NUMBER_BEFORE, ADDRESS_BEFORE = re.compile(r"[0-9] \Z"), re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3} \Z")
NUMBER_BEHIND = re.compile(r" (?![0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9])[0-9]")  # beside a version: another one
LARGEST_SECTION = 40  # headings such as "1.2.3.10 Scope", lists of versions: all four numbers are at most this


def find_ipv4(text: str, starts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Start and end of each public IPv4 address of a text, in order; `starts` are those of its numbers."""
    for match in filter(None, (IPV4.match(text, start) for start in starts)):
        if _is_public_ipv4(match[0]) and not _is_numbering(text, match):
            yield match.span()


def _is_public_ipv4(number: str) -> bool:
    try:
        address = ipaddress.IPv4Address(number)
        return address.is_global and not address.is_multicast
    except ValueError:  # a part above 255, or with a leading zero
        return False


def _is_numbering(text: str, match: re.Match[str]) -> bool:
    """Whether four numbers are a version or a section."""
    start, end = match.span()
    before, after = text[max(0, start - BEFORE) : start], text[end : end + BEFORE]
    if NO_ADDRESS.search(before):
        return True
    if any(int(part) > LARGEST_SECTION for part in match[0].split(".")):
        return False
    heads_line = not before.rpartition("\n")[2].strip(" \t#") and (len(before) < BEFORE or "\n" in before)
    titled = after[:1] in (" ", "\t") and after[1:2].isalpha()
    behind_number = NUMBER_BEFORE.search(before) is not None and not ADDRESS_BEFORE.search(before)
    return behind_number or NUMBER_BEHIND.match(after) is not None or (heads_line and titled)


def find_ipv6(text: str, starts: Sequence[int] = ()) -> Iterator[tuple[int, int]]:
    """Start and end of each public IPv6 address of a text, in order."""
    done = 0
    for colon in IPV6.finditer(text):
        first = HEXTET.search(text, max(done, colon.start() - 5), colon.start()) if colon.start() >= done else None
        run = RUN.match(text, first.start()) if first else None
        if first and run:
            number = run[0].rstrip(".:")  # the end of a sentence
            done = run.end()
            if len(number) <= LONGEST_IPV6 and _is_public_ipv6(number):
                yield first.start(), first.start() + len(number)


def _is_public_ipv6(number: str) -> bool:
    try:
        address = ipaddress.IPv6Address(number)
    except ValueError:
        return False
    groups = [group for group in number.split(":") if group]
    written = len(groups) >= 3 if address in PUBLIC else len(groups) == 8 and min(map(len, groups[:4])) > 2
    return (
        written and address.is_global and not address.is_multicast
    )  # so not 2001:db8::/32, which the placeholder is of
