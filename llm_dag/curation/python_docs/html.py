"""Blocks as HTML, and the frame that every page of the site has: header, navigation, sidebar, footer.

The frame is the boilerplate that extraction has to cut away again, so it is made as documentation sites make it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from llm_dag.curation.python_docs.prose import Block

STYLE = "body{margin:0;font:16px/1.5 sans-serif}.layout{display:flex}.sidebar{width:17rem}main{max-width:48rem}"
SCRIPT = "document.documentElement.classList.add('js');function toggle(id){document.getElementById(id).hidden^=true;}"


@dataclass(frozen=True)
class Link:
    """Where a page of the site lies, and what it is called there."""

    label: str
    url: str


@dataclass(frozen=True)
class Frame:
    """What surrounds a page's article: the site's name, the way down to the page, and its neighbours."""

    site: str
    title: str
    trail: Sequence[Link]
    siblings: Sequence[Link]
    before: Link | None
    after: Link | None
    origin: str  # what the page was rendered from, e.g. CPython 3.12.4
    signature: str = ""  # of what the page is about


def document(frame: Frame, article: str) -> bytes:
    """A whole HTML page, in UTF-8."""
    trail = " &#187; ".join(_anchor(link) for link in frame.trail)
    siblings = "\n".join(f"<li>{_anchor(link)}</li>" for link in frame.siblings)
    turn = " | ".join(
        f'<a rel="{rel}" href="{escape(link.url)}">{word}: {escape(link.label)}</a>'
        for rel, word, link in (("prev", "Previous", frame.before), ("next", "Next", frame.after))
        if link
    )
    signature = (
        f'<h3>Signature</h3><pre class="signature">{escape(frame.signature, quote=False)}</pre>'
        if frame.signature
        else ""
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(frame.title)} &#8212; {escape(frame.site)}</title>
<style>{STYLE}</style>
<script>{SCRIPT}</script>
</head>
<body>
<header class="site-header">
<a class="logo" href="/">{escape(frame.site)}</a>
<nav class="navbar"><ul><li><a href="/">Home</a></li><li><a href="/genindex.html">Index</a></li>
<li><a href="/modindex.html">Modules</a></li><li><a href="/about.html">About</a></li></ul></nav>
<form class="search" action="/search"><input name="q" placeholder="Quick search"><button>Go</button></form>
</header>
<nav class="breadcrumbs">{trail}</nav>
<div class="layout">
<aside class="sidebar">{signature}<h3>On this shelf</h3>
<ul>
{siblings}
</ul>
</aside>
<main role="main"><article>
{article}
</article></main>
</div>
<nav class="pager">{turn}</nav>
<footer class="footer"><p>Rendered from {escape(frame.origin)}. <a href="/license.html">License</a>
<a href="/contact.html">Contact</a> <a href="#top">Back to top</a></p></footer>
</body>
</html>
""".encode("utf-8", "replace")


def article(blocks: Iterable[Block]) -> str:
    """Blocks as HTML; consecutive items become one list."""
    parts: list[str] = []
    listing = False
    for block in blocks:
        if listing and block.kind != "item":
            parts.append("</ul>")
        elif block.kind == "item" and not listing:
            parts.append("<ul>")
        listing = block.kind == "item"
        parts.append(_block(block))
    return "\n".join([*parts, "</ul>"] if listing else parts)


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text, quote=False)}</p>"


def entry(term: str, text: str) -> str:
    """A definition on one line: a name, then what it does."""
    return f"<p><strong>{escape(term, quote=False)}</strong> &#8212; {escape(text, quote=False)}</p>"


def heading(text: str, level: int) -> str:
    """A heading of level 1 to 3."""
    return f"<h{level}>{escape(text, quote=False)}</h{level}>"


def _block(block: Block) -> str:
    text = escape(block.text, quote=False)
    if block.kind == "code":
        return f"<pre><code>{text}</code></pre>"
    if block.kind == "item":
        return f"<li>{text}</li>"
    if block.kind == "heading":
        return f"<h3>{text}</h3>"
    if block.kind == "definition":
        term = f"<strong>{escape(block.term, quote=False)}</strong>"
        return f"<p>{term}: {text}</p>" if text else f"<p>{term}</p>"
    return f"<p>{text}</p>"


def _anchor(link: Link) -> str:
    return f'<a href="{escape(link.url)}">{escape(link.label)}</a>'
