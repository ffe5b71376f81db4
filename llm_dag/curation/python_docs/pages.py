"""Which pages a module gets, and what stands on them.

A function, class or method with enough text has a page of its own; the others stand in full on the page of their class
or module. Every page opens with sentences that say what the thing is and which arguments it takes, so that a text
remains understandable when its page's title is gone. Signatures stand in the sidebar and examples on a page of their
own: in between prose, Gopher's rule on words without letters drops four pages of five; apart, one of five.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from llm_dag.curation.python_docs import html
from llm_dag.curation.python_docs.model import Class, Function, Module
from llm_dag.curation.python_docs.prose import Block, blocks, first_sentence

FEWEST_WORDS = 33  # of prose, for a page of its own: with the opening sentences it passes 50
FEWEST_SENTENCES = 3
METHOD_WORDS = 60  # methods are better read beside their class: only long ones go
FEWEST_PAGE_WORDS = 60  # of a module's page; a shorter one says nothing that its members' pages do not
FEWEST_EXAMPLE_LINES = 30
TOLD = "{name} is a {kind} of the {owner_kind} {owner}."


@dataclass(frozen=True)
class Article:
    """A page before it is framed: where it lies on its site, its title, its HTML, and what its sidebar shows."""

    path: str
    title: str
    body: str
    signature: str = ""


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

    def entry(self, name: str, doc: str, summary: bool) -> Iterator[str]:
        """A member on the page of its owner: its name and first paragraph on one line, then the rest of its text."""
        if summary:
            if sentence := first_sentence(doc):
                yield html.entry(name, sentence)
            return
        content = blocks(doc)
        if content and content[0].kind == "paragraph":
            yield html.entry(name, content[0].text)
            yield self.prose(name, content[1:])
        elif content:
            yield html.heading(name, 3)
            yield self.prose(name, content)

    def object(
        self, member: Function | Class, name: str, owner: str, path: str, known: str, rest: Sequence[str]
    ) -> None:
        """The page of a function, method or class: what it is, what it takes, its text, and `rest`."""
        kind = "class" if isinstance(member, Class) else member.kind
        of = "class" if "method" in kind or kind == "property" else "module"
        told = TOLD.format(name=name, kind=kind, owner_kind=of, owner=owner)
        opening = " ".join(filter(None, [told, arguments_sentence(member.arguments), known]))
        title = name.removeprefix(f"{self.module}.")
        parts = [html.heading(title, 1), html.paragraph(opening), self.prose(name, blocks(member.doc)), *rest]
        self.articles.append(Article(path, name, "\n".join(parts), name + (member.signature or "")))


def module_articles(module: Module, also: str = "") -> list[Article]:
    """The pages of a module: its own first, then those of what it defines. `also` is another name of the module."""
    public = [(name, member) for name, member in module.members.items() if module.is_public(name)]
    writer = _Writer(module.name)
    entries: list[str] = []
    for name, member in public:
        full = qualified(module.name, name)
        path = f"/{module.name}/{name}.html"
        known = f"It is also known as {qualified(also, name)}." if also else ""
        if isinstance(member, Class):
            made = _write_class(writer, member, full, path, known)
        elif made := _worth(member.doc):
            writer.object(member, full, module.name, path, known, ())
        entries += writer.entry(full, member.doc, summary=made)
    below = writer.articles
    intro = f"{module.name} is a module." + _counted(public)
    parts = [
        html.heading(module.name, 1),
        html.paragraph(intro),
        writer.prose(module.name, blocks(module.doc)),
        *entries,
    ]
    body = "\n".join(parts)
    if len(re.sub(r"<[^>]+>", " ", body).split()) >= FEWEST_PAGE_WORDS:
        below = [Article(f"/{module.name}/", module.name, body), *below]
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
    entries: list[str] = []
    for one in member.members:
        name = f"{full}.{one.name}"
        own = _worth(one.doc, METHOD_WORDS)
        if own:
            writer.object(one, name, full, f"{path.removesuffix('.html')}.{one.name}.html", "", ())
        entries += writer.entry(name, one.doc, summary=own)
    writer.object(member, full, writer.module, path, known, entries)
    return True


def _worth(doc: str, words: int = FEWEST_WORDS) -> bool:
    """Whether a text is enough for a page."""
    if len(doc) < 4 * words:
        return False
    told = [block.text for block in blocks(doc) if block.kind in ("paragraph", "item", "definition")]
    return sum(len(text.split()) for text in told) >= words and sum(map(_sentences, told)) >= FEWEST_SENTENCES


def _sentences(text: str) -> int:
    return max(1, len(re.findall(r"[.!?](?:\s|$)", text)))
