"""Telephone numbers: international, North American, and national ones after a word that names a telephone.

International: `+`, a country code (ITU-T E.164, list of assigned codes), 8 to 15 digits in all. North American (NANPA's
rules for area codes and exchanges: neither begins with 0 or 1 nor ends with 11, an area code's second digit is no 9):
`(212) 345-6789`, `212-345-6789`, `212.345.6789`, `212 345-6789`, each also behind a 1 and before an extension.
National: 7 to 13 digits after `tel`, `phone`, `fax`, `call` and the like, and more of them after `or`; elsewhere such
digits are dates, measures and ids.

Numbers for fiction (555-0100 to 555-0199) stay; one of them is the placeholder. Cost: linear; a place looks at fewer
than 128 characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llm_dag.curation.personal_data.numbers import GAP, is_named

PLACEHOLDER = "555-0100"  # NANPA: 555-0100 to 555-0199 are reserved for fiction in every area
DASH = r"\u2010\u2011\u2013-"
APART = r"(?<![\w.+/#$€£%&@*)\u2010\u2011\u2013-])(?<![0-9],)"  # what does not stand before a number
ALONE = rf"(?:(?!\w)(?![.{DASH}][0-9])|(?=[A-Z][a-z]))"  # extractors run text together: 0871 527 8800Whether
EXTENSION = r"(?:,? ?(?:[xX]|[Ee][Xx][Tt](?:[Nn]|[Ee][Nn][Ss][Ii][Oo][Nn])?)[.:]? ?[0-9]{1,6}(?![0-9]))?"
AREA, EXCHANGE = r"(?![2-9]11)[2-9][0-8][0-9]", rf"(?![2-9]11)(?!555[ .{DASH}]01)[2-9][0-9]{{2}}"
NORTH_AMERICAN = re.compile(
    rf"{APART}(?:(?:001|1)(?:[ .{DASH}]|(?=\()))?(?:"
    rf"\({AREA}\)[ \u00a0.{DASH}]{{0,2}}{EXCHANGE}[ .{DASH}][0-9]{{4}}"
    rf"|{AREA}([.{DASH}]){EXCHANGE}\1[0-9]{{4}}"
    rf"|{AREA}[ \u00a0/]{EXCHANGE}[{DASH}][0-9]{{4}}"
    rf"){EXTENSION}{ALONE}"
)
PLUS = re.compile(rf"\+(?<![\w+)\]*^@{DASH}]\+)(?= ?\(?[1-9](?:{GAP}{{0,3}}[0-9]){{6}})")
COUNTRY = re.compile(
    r"1|7|2[07]|2[1-69][0-9]|3[0-469]|3[578][0-9]|4[013-9]|42[0-9]|5[1-8]|5[09][0-9]|6[0-6]|6[789][0-9]|8[1246]"
    r"|8[0578][0-9]|9[0-58]|9[67][0-9]|99[2-68]"
)
OF_1 = re.compile(rf"{AREA}[0-9]{{7}}")
DOUBTFUL = re.compile(r"\+ |\+\(?[0-9]{1,3}\.[0-9]{1,18}\Z")  # a term of a sum, a coordinate
RUN = re.compile(rf"[+(]?[ (]{{0,2}}[0-9](?:{GAP}{{0,3}}[0-9]){{6,17}}")
NATIONAL = re.compile(rf"{APART}\(?[0-9]")
DATE = re.compile(r"[0-3]?[0-9]([./-])[01]?[0-9]\1(?:19|20)[0-9]{2}(?![0-9])|(?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]")
GROUP = re.compile(r"[0-9]{1,18}")
TAIL = re.compile(f"{EXTENSION}{ALONE}")
IN_DOMAIN = re.compile(r"@[A-Za-z0-9.-]{1,63}\Z")  # where a placeholder would complete an e-mail address
FICTION = re.compile(rf"555[ .{DASH}]?01[0-9]{{2}}")
NAMED = re.compile(
    r"(?:\b(?:tel|ph|telephone|phone|telefono|telefon|mobile|mobil|mob|cell|cellphone|fax|hotline|helpline|whatsapp)s?\b"
    r"|\b(?:office|direct|desk):|[☎✆📞📱])[^0-9]{0,16}\Z"
    r"|\b(?:call|dial|sms)(?:ing)?(?: (?:us|me|him|her|them|now|today|toll|free|at|on|in|toll-free)){0,4}"
    r"[ :]{1,3}\(?\Z",
    re.IGNORECASE,
)
ANOTHER = re.compile(r"[ ,;|/]{0,3}(?:or|and|und|oder)?[ ]?\(?\Z")  # between two numbers of one telephone


def find(text: str, starts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Start and end of each telephone number of a text, in order; `starts` are those of its numbers."""
    abroad = [match.start() for match in PLUS.finditer(text)]
    at_home = [
        place for start in starts for place in (start - 1, start) if place == start or (start and text[place] == "(")
    ]
    done = 0
    for start in sorted((*abroad, *at_home)):
        if start >= done:
            known = 0 < done <= start <= done + 8 and ANOTHER.match(text, done, start) is not None
            end = _international(text, start) if text[start] == "+" else _national(text, start, known)
            if end:
                yield start, end
                done = end


def _international(text: str, start: int) -> int:
    """Where the number that begins with the `+` at `start` ends; 0 for none."""
    run = RUN.match(text, start)
    digits = "".join(GROUP.findall(run[0])) if run else ""
    country = COUNTRY.match(digits)
    if not run or not country or IN_DOMAIN.search(text, max(0, start - 64), start):
        return 0
    national = digits[country.end() :]
    if country[0] == "1":
        possible, doubtful = OF_1.match(national) is not None, run[0].startswith("+ ")
    else:
        possible, doubtful = not national.startswith("00"), DOUBTFUL.match(run[0]) is not None
    if not possible or (doubtful and not is_named(text, start, NAMED)):
        return 0
    return _end(text, run, *((11, 11) if country[0] in ("1", "7") else (8, 15)))


def _national(text: str, start: int, known: bool) -> int:
    """Where the national number at `start` ends; 0 for none. `known`: what stands before says that it is one."""
    if match := NORTH_AMERICAN.match(text, start):
        return match.end()
    if not NATIONAL.match(text, start) or not (known or is_named(text, start, NAMED)) or DATE.match(text, start):
        return 0
    run = RUN.match(text, start)
    return _end(text, run, 7, 13) if run else 0


def _end(text: str, run: re.Match[str], fewest: int, most: int) -> int:
    """The end of the longest beginning of a run with so many digits, extension included; groups are not cut."""
    digits, found = 0, 0
    for group in GROUP.finditer(text, run.start(), run.end() + 16):
        if group.start() > run.end():
            break
        digits += group.end() - group.start()
        if fewest <= digits <= most and (tail := TAIL.match(text, group.end())):
            found = tail.end()
    return 0 if not found or FICTION.search(text, run.start(), found) else found
