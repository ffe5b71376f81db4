"""Which pages a module gets, and what stands on them.

A function, class or method with enough text has a page of its own; the others stand in full on the page of their class
or module. Every page opens with sentences that say what the thing is and which arguments it takes, so that a text
remains understandable when its page's title is gone. Signatures stand in the sidebar and examples on a page of their
own: in between prose, Gopher's rule on words without letters drops four pages of five; apart, one of five.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from llm_dag.curation.python_docs import html
from llm_dag.curation.python_docs.model import Class, Function, Module
from llm_dag.curation.python_docs.prose import Block, blocks, first_sentence

FEWEST_WORDS = 33  # of prose, for a page of its own: with the opening sentences it passes 50
FEWEST_SENTENCES = 3
METHOD_WORDS = 60  # methods are better read beside their class: only long ones go
FEWEST_PAGE_WORDS = 60  # of a module's page; a shorter one says nothing that its members' pages do not
FEWEST_EXAMPLE_LINES = 30
PART = 12  # members on one page; C4 drops a page for one curly bracket, so long lists stand on several
TOLD = "{name} is a {kind} of the {owner_kind} {owner}."


@dataclass(frozen=True)
class Article:
    """A page before it is framed: where it lies on its site, its title, its HTML, and what its sidebar shows."""

    path: str
    title: str
    body: str
    signature: str = ""


@dataclass(frozen=True)
class Entry:
    """A member as it stands on the page of its owner."""

    name: str
    body: str


@dataclass
class _Writer:
    """Collects the articles of one module, and its examples by name."""

    module: str
    articles: list[Article] = field(default_factory=list)
    examples: list[tuple[str, Block]] = field(default_factory=list)

    def prose(self, name: str, content: Sequence[Block]) -> str:
        """Blocks as HTML without their examples, which are set aside, and without headings that stand over nothing."""
        self.examples += [(name, block) for block in content if block.kind == "code"]
        left = [
            block for block in content if block.kind != "code" and (block.kind != "paragraph" or block.text != name)
        ]
        followed = [*(block.kind for block in left), "heading"][1:]
        return html.article(
            block for block, after in zip(left, followed, strict=True) if (block.kind, after) != ("heading", "heading")
        )

    def entry(self, name: str, doc: str, summary: bool) -> Entry:
        """A member on the page of its owner: its name and first paragraph on one line, then the rest of its text."""
        if summary:
            sentence = first_sentence(doc)
            return Entry(name, html.entry(name, sentence) if sentence else "")
        content = blocks(doc)
        if content and content[0].kind == "paragraph":
            return Entry(name, html.entry(name, content[0].text) + "\n" + self.prose(name, content[1:]))
        return Entry(name, html.heading(name, 3) + "\n" + self.prose(name, content) if content else "")

    def object(
        self, member: Function | Class, name: str, owner: str, path: str, known: str = "", rest: Sequence[Entry] = ()
    ) -> None:
        """The page of a function, method or class: what it is, what it takes, its text, and the entries of `rest`."""
        kind = "class" if isinstance(member, Class) else member.kind
        of = "class" if "method" in kind or kind == "property" else "module"
        told = TOLD.format(name=name, kind=kind, owner_kind=of, owner=owner)
        opening = " ".join(filter(None, [told, arguments_sentence(member.arguments), known]))
        title = name.removeprefix(f"{self.module}.")
        parts = [html.heading(title, 1), html.paragraph(opening), self.prose(name, blocks(member.doc))]
        parts += [entry.body for entry in rest]
        self.articles.append(Article(path, name, "\n".join(parts), name + (member.signature or "")))


def module_articles(module: Module, also: str = "") -> list[Article]:
    """The pages of a module: its own first, then those of what it defines. `also` is another name of the module."""
    public = [(name, member) for name, member in module.members.items() if module.is_public(name)]
    writer = _Writer(module.name)
    entries: list[Entry] = []
    for name, member in public:
        full = qualified(module.name, name)
        path = f"/{module.name}/{name}.html"
        other = member.also or (qualified(also, name) if also else "")
        known = f"It is also known as {other}." if other else ""
        if isinstance(member, Class):
            made = _write_class(writer, member, full, path, known)
        elif made := _worth(member.doc):
            writer.object(member, full, module.name, path, known)
        entries.append(writer.entry(full, member.doc, summary=made))
    first, *others = _parts(entries)
    told = f"{module.name} is a module."
    own = writer.prose(module.name, blocks(module.doc))
    heads = [html.heading(module.name, 1), html.paragraph(told + _counted(public)), own]
    below = [Article(f"/{module.name}/", module.name, "\n".join([*heads, *(one.body for one in first)]))]
    below += [
        _further(f"/{module.name}/{number}.html", module.name, told, part) for number, part in enumerate(others, 2)
    ]
    below = [article for article in below if _words(article.body) >= FEWEST_PAGE_WORDS] + writer.articles
    if sum(len(block.text.splitlines()) for _, block in writer.examples) >= FEWEST_EXAMPLE_LINES:
        below = [*below, examples_article(f"/{module.name}/examples.html", module.name, writer.examples)]
    return below


def qualified(module: str, name: str) -> str:
    """The name that people use: built-in names stand alone."""
    return name if module == "builtins" else f"{module}.{name}"


def arguments_sentence(arguments: Sequence[str] | None) -> str:
    """Which arguments something takes; empty where Python does not tell."""
    if arguments is None:
        return ""
    if not arguments:
        return "It takes no arguments."
    if len(arguments) == 1:
        return f"It takes the argument {arguments[0]}."
    return f"It takes the arguments {', '.join(arguments[:-1])} and {arguments[-1]}."


def text_articles(path: str, title: str, content: Sequence[Block]) -> list[Article]:
    """A page of running text, and one of its examples."""
    writer = _Writer(title)
    body = "\n".join([html.heading(title, 1), writer.prose(title, content)])
    made = [Article(path, title, body)]
    if sum(len(block.text.splitlines()) for _, block in writer.examples) >= FEWEST_EXAMPLE_LINES:
        made.append(examples_article(path.removesuffix(".html") + ".examples.html", title, writer.examples))
    return made


def examples_article(path: str, title: str, examples: Sequence[tuple[str, Block]]) -> Article:
    """A page of examples, under the names of what they show."""
    parts = [html.heading(f"Examples of {title}", 1)]
    shown = ""
    for name, block in examples:
        if name != shown:
            parts.append(html.heading(name, 2))
            shown = name
        parts.append(html.article([block]))
    return Article(path, f"Examples of {title}", "\n".join(parts))


def _counted(public: Sequence[tuple[str, Function | Class]]) -> str:
    functions = sum(isinstance(member, Function) for _, member in public)
    counts = [(functions, "function", "functions"), (len(public) - functions, "class", "classes")]
    told = [f"{_number(count)} {one if count == 1 else many}" for count, one, many in counts if count]
    return f" It defines {' and '.join(told)}." if told else ""


def _number(count: int) -> str:
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    return words[count - 1] if count <= len(words) else str(count)


def _write_class(writer: _Writer, member: Class, full: str, path: str, known: str) -> bool:
    """Write the page of a class and those of its long methods; False if there is too little to say."""
    if not _worth("\n\n".join([member.doc, *(one.doc for one in member.members)])):
        return False
    entries: list[Entry] = []
    stem = path.removesuffix(".html")
    for one in member.members:
        name = f"{full}.{one.name}"
        own = _worth(one.doc, METHOD_WORDS)
        if own:
            writer.object(one, name, full, f"{stem}.{one.name}.html")
        entries.append(writer.entry(name, one.doc, summary=own))
    first, *others = _parts(entries)
    writer.object(member, full, writer.module, path, known, first)
    for number, part in enumerate(others, 2):
        article = _further(f"{stem}.{number}.html", full, f"These are further members of the class {full}.", part)
        if _words(article.body) >= FEWEST_PAGE_WORDS:
            writer.articles.append(article)
    return True


def _parts(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries in pages' worth; the first part is there even if it is empty."""
    told = [entry for entry in entries if entry.body]
    return [told[start : start + PART] for start in range(0, max(1, len(told)), PART)]


def _further(path: str, name: str, told: str, part: Sequence[Entry]) -> Article:
    """A page that goes on with the members of a module or class."""
    title = f"{name}, {part[0].name.rpartition('.')[2]} to {part[-1].name.rpartition('.')[2]}"
    return Article(path, title, "\n".join([html.heading(title, 1), html.paragraph(told), *(one.body for one in part)]))


def _words(body: str) -> int:
    return len(re.sub(r"<[^>]+>", " ", body).split())


def _worth(doc: str, words: int = FEWEST_WORDS) -> bool:
    """Whether a text is enough for a page."""
    if len(doc) < 4 * words:
        return False
    told = [block.text for block in blocks(doc) if block.kind in ("paragraph", "item", "definition")]
    return sum(len(text.split()) for text in told) >= words and sum(map(_sentences, told)) >= FEWEST_SENTENCES


def _sentences(text: str) -> int:
    return max(1, len(re.findall(r"[.!?](?:\s|$)", text)))
