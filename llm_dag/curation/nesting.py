"""What a page would cost an HTML parser, told before it is parsed.

A parser holds every element in memory, and parsers for HTML5 pay in squares for three things that a small page can hold
many of: elements nested in each other (for each start tag the open elements are searched: 16,000 take 20 s), formatting
elements that were never closed (each new paragraph opens them all again, as copies with all their attributes: 61 kB
become 3.8 GB), and attributes of one tag (each is compared with all before it). They are C code, which no timer of ours
interrupts, so such a page must be refused before.

`Burden` reads tags as the standard's tokenizer does (comments, quoted values and raw text hold no tags) and keeps the
stack of open elements as its tree builder does, simplified so that it holds rather more than less. Rows of tables are
left out, and what an end tag leaves of badly nested formatting, so the true depth may be three times as large. Source:
HTML Living Standard, sections 13.2.5 and 13.2.6. Cost: about 1 µs a tag.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html import unescape
from itertools import islice

MOST_TAGS = 150_000  # 150 to 450 bytes of a parser's memory each; trafilatura takes 9 s for so many in small paragraphs
DEEPEST = 400  # nested elements; real pages stay under a hundred
DEPTHS = 15_000_000  # open elements at each tag, in sum: 3 s
COPIES = 300_000  # of formatting elements and their attributes: 0.7 s and 120 MB
ATTRIBUTES = 5_000  # of one tag: 0.1 s
SQUARES = 100_000_000  # of the attributes of long tags, in sum: 0.4 s
LONG = 400  # characters of a tag whose attributes are counted
ADOPTED = 8  # copies that one end tag can make of a formatting element with blocks in it
STEPS = 10_000_000  # through the stack in search of what a tag closes

_VALUE = r"(?:\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+'|(?![\"'>])[^\s>]++)?+)?+"
_ATTRIBUTE = re.compile(rf"[^\s/>][^\s/>=]*+{_VALUE}")
_USUAL = r"(?:\s++[^\s/>\"'=]++=\"[^\"]*+\")*+\s*+/?>"  # attributes as most pages write them: three times as fast
TAG = re.compile(rf"<(/?)([a-zA-Z][^\s/>]*+)(?:{_USUAL}|(?:[\s/]++|{_ATTRIBUTE.pattern})*+>)")
_COMMENT = re.compile(r"<!--(?:-?>|.*?--!?>)", re.DOTALL)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_RAW = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp")
}
_UNNESTED = _names(
    "area base basefont bgsound body br col colgroup embed frame frameset head hr html img input keygen link meta "
    "param source tbody tfoot thead tr track wbr"
)
_BLOCKS = _names(  # whose end tags close all that stands in them, and whose start tags close a paragraph
    "address article aside blockquote button center details dialog dir div dl fieldset figcaption figure footer h1 h2 "
    "h3 h4 h5 h6 header hgroup listing main menu nav ol pre search section summary ul"
)
_ROWS = _names("caption col colgroup tbody td tfoot th thead tr")
_CELLS = _names("caption td th")
_BEFORE_FORMATTING = (_BLOCKS - {"button"}) | _CELLS | _names("dd dt form li p table template")
_BARRIERS = _names("applet caption marquee object select table td template th")
_BUTTON_SCOPE, _ITEM_SCOPE = _BARRIERS | {"button"}, _BARRIERS | {"ol", "ul"}
_TABLE_SCOPE = _names("template")
_FORMATTING = _names("a b big code em font i nobr s small strike strong tt u")
_ORDINARY = _FORMATTING | _names(  # over these every end tag reaches an element of its kind
    "abbr acronym bdi bdo cite data del dfn ins kbd label map mark option q rp rt samp span sub sup time var"
)
_OUT_OF_FOREIGN = (_FORMATTING - {"a"}) | _names(
    "blockquote body br center dd div dl dt embed h1 h2 h3 h4 h5 h6 head hr img li listing menu meta nobr ol p pre "
    "ruby span sub sup table ul var"
)
_INTEGRATION = _names("annotation-xml desc foreignobject mi mn mo ms mtext title")
_ITEMS = {"li": _names("li"), "dd": _names("dd dt"), "dt": _names("dd dt")}  # what the start of an item closes
_CLOSE_P = _BLOCKS | _ITEMS.keys() | _names("p table form hr")
_ALONE = _names("a nobr")  # which close one of their own name, wherever it stands
_PUSHED = (
    (_ORDINARY | _names("canvas noscript picture video")) - _ALONE - {"option"}
)  # whose start tags do nothing else
_EMPTY = _UNNESTED - _ROWS - {"hr"}  # whose start tags do nothing
_CLOSING_MORE = _ROWS | {"p"}  # whose end tags do more than to close the element on top
HTML, FOREIGN, POINT = range(3)  # kinds of elements: POINT is foreign, and what stands in it is HTML

Element = tuple[str, int, str]  # name, kind, and the tag as it is written if it is a formatting element
_NOTHING: Element = ("", HTML, "")


def refusal(html: str) -> str:
    """Why a page must not be parsed: `html_too_deep`, or `html_bomb`; empty: it may be."""
    if html.count("<") > MOST_TAGS:
        return "html_bomb"
    burden = Burden(html)
    if burden.depth > DEEPEST:
        return "html_too_deep"
    return "html_bomb" if burden.too_much else ""


class Burden:
    """The deepest nesting, copies of formatting elements, and most attributes of a tag; counted up to their limits."""

    def __init__(self, html: str) -> None:
        self.depth = self.copies = self.attributes = 0
        self._steps = self._paragraphs = self._links = 0  # elements looked at, open elements p, and a or nobr
        self._depths = self._squares = 0
        self._stack: list[Element] = []
        self._again: list[Element] = []  # formatting elements that what comes next opens again
        self._read(html)

    def _read(self, html: str) -> None:
        """Account for every tag: for those that only push or pop here, since most are of these, else in `_tag`."""
        stack, find, match = self._stack, html.find, TAG.match
        at = find("<")
        while at >= 0:
            tag = match(html, at)
            if tag is None:
                at = find("<", self._other(html, at))
                continue
            name, end = tag[2], tag.end()
            top, kind, _ = stack[-1] if stack else _NOTHING
            self._depths += len(stack)
            if self._again or end - at > LONG:
                at = find("<", self._tag(tag, html))
            elif tag[1] and top == name and name not in _CLOSING_MORE:
                stack.pop()
                self._links -= name in _ALONE and kind == HTML
                at = find("<", end)
            elif tag[1] or kind == FOREIGN:
                at = find("<", self._tag(tag, html))
            elif name in _EMPTY:
                at = find("<", end)
            elif name in _PUSHED or (not self._paragraphs and name in _BLOCKS) or (not self._links and name in _ALONE):
                stack.append((name, HTML, tag[0] if name in _FORMATTING else ""))
                self._links += name in _ALONE
                self.depth = max(self.depth, len(stack))
                at = find("<", end) if self.depth <= DEEPEST else -1
            else:
                at = find("<", self._tag(tag, html))

    @property
    def too_much(self) -> bool:
        """Whether one of them is over its limit."""
        over = self.depth > DEEPEST or self.copies > COPIES or self.attributes > ATTRIBUTES
        return over or self._steps > STEPS or self._depths > DEPTHS or self._squares > SQUARES

    def _in_foreign(self) -> bool:
        return bool(self._stack) and self._stack[-1][1] == FOREIGN

    def _other(self, html: str, at: int) -> int:
        """Where reading goes on behind a `<` that begins no tag; the end of the text where nothing can follow."""
        if html.startswith("<![CDATA[", at) and self._in_foreign():
            return html.find("]]>", at) % (len(html) + 1)
        following = behind(html, at)
        if following == len(html):
            self._attributes(html, at + 1, following)  # of a tag without an end
        return following

    def _attributes(self, html: str, begin: int, end: int) -> None:
        counted = islice(_ATTRIBUTE.finditer(html, begin, end), ATTRIBUTES + 1)
        count = sum(1 for _ in counted)
        self.attributes = max(self.attributes, count)
        self._squares += count * count

    def _tag(self, tag: re.Match[str], html: str) -> int:
        """Account for a tag; returns where reading goes on: at the end, if it is too much by now."""
        name, end, stack = tag[2].lower(), tag.end(), self._stack
        if end - tag.start() > LONG:
            self._attributes(html, tag.end(2), end - 1)
        if tag[1]:
            if stack and stack[-1][0] == name and not self._again and name not in _ROWS:
                self._drop(len(stack) - 1)
                return end
            self._close(name)
        elif self._in_foreign() and name not in _OUT_OF_FOREIGN:
            if not _alone(tag[0]):
                stack.append((name, POINT if name in _INTEGRATION else FOREIGN, ""))
        elif name == "plaintext":
            return len(html)
        elif name in _RAW:
            closed = _RAW[name].search(html, end)
            return closed.start() if closed else len(html)
        else:
            self._open(name, tag[0])
        if len(stack) > self.depth:
            self.depth = len(stack)
        return len(html) if self.too_much else end

    def _open(self, name: str, written: str) -> None:
        stack = self._stack
        while self._in_foreign():
            stack.pop()
        if name in _ROWS:
            self._pop_to_table(begins=True)
        elif name in _ITEMS:
            self._close_item(_ITEMS[name])
        elif name == "option" and stack and stack[-1][0] == name:
            stack.pop()
        elif name in _ALONE:
            self._adopt(name)
        if self._paragraphs and name in _CLOSE_P:
            self._pop("p", stops_at=_BUTTON_SCOPE)
        if name in _UNNESTED:
            return
        kind = FOREIGN if name in ("svg", "math") else HTML
        element = (name, kind, written if name in _FORMATTING else "")
        self._paragraphs += name == "p"
        self._links += name in _ALONE
        if not self._again:
            stack.append(element)
        elif name in _BEFORE_FORMATTING:
            stack.append(element)
            self._reopen()
        else:
            self._reopen()
            stack.append(element)

    def _reopen(self) -> None:
        self._stack += self._again
        self.copies += sum(map(_weight, self._again))
        self._links += sum(name in _ALONE for name, _, _ in self._again)
        self._again = []

    def _adopt(self, name: str) -> None:
        """Close an open `a` or `nobr` because another one begins: it goes, and what stands in it stays."""
        self._again = [element for element in self._again if element[0] != name]
        for place in range(len(self._stack) - 1, -1, -1):
            self._steps += 1
            found = self._stack[place]
            if found[0] in _BARRIERS:
                return
            if found[0] == name:
                if place < len(self._stack) - 1:
                    self.copies += ADOPTED * _weight(found)
                else:
                    self._drop(place)
                return

    def _close_item(self, names: frozenset[str]) -> None:
        for place in range(len(self._stack) - 1, -1, -1):
            self._steps += 1
            name, kind, _ = self._stack[place]
            if name in names:
                self._cut(place)
                return
            if kind != HTML or (name not in _ORDINARY and name not in ("address", "div", "p")):
                return

    def _close(self, name: str) -> None:
        if name in _ROWS:
            self._pop_to_table(begins=False)
        elif name == "table":
            self._pop(name, stops_at=_TABLE_SCOPE)
        elif name == "p":
            self._pop(name, stops_at=_BUTTON_SCOPE)
        elif name in _ITEMS:
            self._pop(name, stops_at=_ITEM_SCOPE)
        elif name in _BLOCKS or name in _BARRIERS:
            self._pop(name, stops_at=_BARRIERS)
        elif self._again and any(again[0] == name for again in self._again):
            self._again.remove(next(again for again in self._again if again[0] == name))
        elif not self._pop(name) and name in _FORMATTING:
            open_ones = [_weight(element) for element in self._stack if element[0] == name]
            self._steps += len(self._stack)
            self.copies += ADOPTED * max(open_ones, default=0)

    def _pop(self, name: str, stops_at: frozenset[str] | None = None) -> bool:
        """Pop down to the innermost element of a name, unless another stands before it (None: one that is special)."""
        for place in range(len(self._stack) - 1, -1, -1):
            self._steps += 1
            found, kind, _ = self._stack[place]
            if found == name:
                self._cut(place)
                return True
            if kind == POINT or (
                found in stops_at if stops_at is not None else found not in _ORDINARY and kind == HTML
            ):
                break
        return False

    def _cut(self, place: int) -> None:
        """Pop all from a place on; formatting elements that were open there open again, three of equal ones at most."""
        name, _, written = self._stack[place]
        above = self._stack[place + 1 :]
        self._drop(place)
        if not above or name in _BARRIERS or written:
            return
        seen = Counter(again for _, _, again in self._again)
        for element in above:
            seen[element[2]] += 1
            if element[2] and seen[element[2]] <= 3:
                self._again.append(element)

    def _drop(self, place: int) -> None:
        if self._paragraphs or self._links:
            names = [name for name, kind, _ in self._stack[place:] if kind == HTML]
            self._paragraphs -= names.count("p")
            self._links -= sum(map(names.count, _ALONE))
        del self._stack[place:]

    def _pop_to_table(self, begins: bool) -> None:
        """Close the cell of the innermost table, and if a row or cell `begins` all else that stands in that table."""
        cell = -1
        for place in range(len(self._stack) - 1, -1, -1):
            self._steps += 1
            name, kind, _ = self._stack[place]
            if kind != HTML or name in ("template", "select"):
                return
            if name in _CELLS:
                cell = place
            if name == "table":
                if begins:
                    self._drop(place + 1)
                elif cell >= 0:
                    self._drop(cell)
                return


def behind(html: str, at: int) -> int:
    """Where reading goes on behind a `<` that begins no tag: a comment, a declaration, a mere sign, the end."""
    following = html[at + 1 : at + 2]
    if html.startswith("<!--", at):
        comment = _COMMENT.match(html, at)
        return comment.end() if comment else len(html)
    if following in ("!", "?") or (following == "/" and not html[at + 2 : at + 3].isalpha()):
        return html.find(">", at) % (len(html) + 1)
    return len(html) if following in ("", "/") or following.isalpha() else at + 1


def opened(html: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each start tag outside of comments and raw text: its name and its attributes, the first of each name."""
    at = html.find("<")
    while at >= 0:
        tag = TAG.match(html, at)
        if tag is None:
            at = html.find("<", behind(html, at))
            continue
        name, end = tag[2].lower(), tag.end()
        if not tag[1]:
            yield name, _attributes_of(html[tag.end(2) : end - 1])
            if name == "plaintext":
                return
            if name in _RAW:
                closed = _RAW[name].search(html, end)
                end = closed.start() if closed else len(html)
        at = html.find("<", end)


def _attributes_of(written: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for attribute in _ATTRIBUTE.finditer(written):
        name, _, value = attribute[0].partition("=")
        value = value.strip()
        quoted = value[:1] in ("'", '"') and value[:1]
        found.setdefault(name.strip().lower(), unescape(value.strip(quoted) if quoted else value))
    return found


def _weight(element: Element) -> int:
    """What a copy of a formatting element costs: itself, and its attributes, of four characters at least."""
    return 1 + len(element[2]) // 4


def _alone(tag: str) -> bool:
    """Whether a tag ends with a slash that belongs to no value, which closes a foreign element at once."""
    if not tag.endswith("/>"):
        return False
    end = 0
    for attribute in _ATTRIBUTE.finditer(tag, 1, len(tag) - 1):
        end = attribute.end()
    return end < len(tag) - 1
