"""Which pages a module gets, and what stands on them.

A function, class or method with enough text has a page of its own; the others stand in full on the page of their class or
module. Every page opens with sentences that say what the thing is and which arguments it takes, so that a text
remains understandable when its page's title is gone. `TOLD` and its neighbours are the one place for these forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llm_dag.curation.python_docs import html
from llm_dag.curation.python_docs.model import Class, Function, Module
from llm_dag.curation.python_docs.prose import Block, blocks, first_sentence

FEWEST_WORDS = 35  # of prose, for a page of its own: with the opening sentences it passes 50
FEWEST_SENTENCES = 3
METHOD_WORDS = 60  # methods are better read beside their class: only long ones go
TOLD = "{name} is a {kind} of the {owner_kind} {owner}."


@dataclass(frozen=True)
class Article:
    """A page before it is framed: where it lies on its site, its title, and the HTML of its text."""

    path: str
    title: str
    body: str


def module_articles(module: Module, also: str = "") -> list[Article]:
    """The pages of a module: its own first, then those of what it defines. `also` is another name of the module."""
    public = [(name, member) for name, member in module.members.items() if module.is_public(name)]
    below: list[Article] = []
    entries: list[str] = []
    for name, member in public:
        full = qualified(module.name, name)
        path = f"/{module.name}/{name}.html"
        known = f" It is also known as {qualified(also, name)}." if also else ""
        if isinstance(member, Class):
            made = _class_articles(member, full, module.name, path, known)
        else:
            made = [_function_article(member, full, module.name, "module", path, known)] if _worth(member.doc) else []
        below += made
        entries += _entry(full + (member.signature or ""), member.doc, summary=bool(made))
    own = blocks(module.doc)
    if not entries and not _worth(module.doc):
        return below
    intro = f"{module.name} is a module." + (_listed(public) if public else "")
    body = "\n".join([html.heading(module.name, 1), html.paragraph(intro), html.article(own), *entries])
    return [Article(f"/{module.name}/", module.name, body), *below]


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


def _listed(public: Sequence[tuple[str, Function | Class]]) -> str:
    functions = sum(isinstance(member, Function) for _, member in public)
    counts = [(functions, "function", "functions"), (len(public) - functions, "class", "classes")]
    told = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    return f" It defines {' and '.join(told)}."


def _function_article(member: Function, full: str, owner: str, owner_kind: str, path: str, known: str) -> Article:
    told = TOLD.format(name=full, kind=member.kind, owner_kind=owner_kind, owner=owner)
    opening = " ".join(filter(None, [told, arguments_sentence(member.arguments)])) + known
    parts = [html.heading(full, 1), html.signature(full + (member.signature or "")), html.paragraph(opening)]
    return Article(path, full, "\n".join([*parts, html.article(blocks(member.doc))]))


def _class_articles(member: Class, full: str, owner: str, path: str, known: str) -> list[Article]:
    """The page of a class, and those of its long methods; nothing if there is too little to say."""
    texts = "\n\n".join([member.doc, *(one.doc for one in member.members)])
    if not _worth(texts):
        return []
    told = TOLD.format(name=full, kind="class", owner_kind="module", owner=owner)
    opening = " ".join(filter(None, [told, arguments_sentence(member.arguments)])) + known
    parts = [html.heading(full, 1), html.signature(full + (member.signature or "")), html.paragraph(opening)]
    parts.append(html.article(blocks(member.doc)))
    below = []
    for one in member.members:
        name = f"{full}.{one.name}"
        own = _worth(one.doc, METHOD_WORDS)
        if own:
            below.append(
                _function_article(one, name, full, "class", path.removesuffix(".html") + f".{one.name}.html", "")
            )
        parts += _entry(name + (one.signature or ""), one.doc, summary=own)
    return [Article(path, full, "\n".join(parts)), *below]


def _entry(called: str, doc: str, summary: bool) -> Iterator[str]:
    """A member on the page of its owner: its call and first paragraph on one line, then the rest of its text."""
    if summary:
        if sentence := first_sentence(doc):
            yield html.entry(called, sentence)
        return
    own = blocks(doc)
    if not own:
        return
    if own[0].kind == "paragraph":
        yield html.entry(called, own[0].text)
        yield html.article(own[1:])
    else:
        yield html.signature(called)
        yield html.article(own)


def _worth(doc: str, words: int = FEWEST_WORDS) -> bool:
    """Whether a text is enough for a page."""
    if len(doc) < 4 * words:
        return False
    told = [block.text for block in blocks(doc) if block.kind in ("paragraph", "item", "definition")]
    return sum(len(text.split()) for text in told) >= words and sum(map(_sentences, told)) >= FEWEST_SENTENCES


def _sentences(text: str) -> int:
    return max(1, len(re.findall(r"[.!?](?:\s|$)", text)))


def text_article(path: str, title: str, content: Sequence[Block]) -> Article:
    """A page of running text."""
    return Article(path, title, "\n".join([html.heading(title, 1), html.article(content)]))
