"""The embedded site: what is read, how it is laid out, and that its bytes repeat."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llm_dag.curation import warc
from llm_dag.curation.extraction import clean, extractor
from llm_dag.curation.python_docs import prose
from llm_dag.curation.python_docs.catalog import standard_library
from llm_dag.curation.python_docs.live_reader import read_live
from llm_dag.curation.python_docs.model import Class, Function
from llm_dag.curation.python_docs.pages import arguments_sentence, module_articles
from llm_dag.curation.python_docs.site import Page, pages
from llm_dag.curation.python_docs.source_reader import read_source
from llm_dag.curation.warc_writer import write_pages

SOURCE = '''"""About shapes."""
__all__ = ["area", "Box", "draw"]
from ._hidden import draw as draw
from typing import overload

if True:
    def area(width, height=2, *, unit="m", **more):
        """Compute the area."""

@overload
def area(width): ...

def _private(): ...

class Box(object):
    """A box."""
    def __init__(self, side, /, lid=None, *things): ...
    @classmethod
    def open(cls, path): ...
    @property
    def volume(self):
        """How much it holds."""

_one = Box(1)
unpack = _one.open
'''


def test_definitions_are_read_from_syntax() -> None:
    module = read_source("kit.shapes", SOURCE.encode(), is_package=False)
    area, box = module.members["area"], module.members["Box"]
    assert isinstance(area, Function)
    assert isinstance(box, Class)
    assert (area.signature, area.arguments) == (
        "(width, height=2, *, unit='m', **more)",
        ("width", "height", "unit", "**more"),
    )
    assert (box.signature, box.arguments) == ("(side, /, lid=None, *things)", ("side", "lid", "*things"))
    assert [(one.name, one.kind) for one in box.members] == [("open", "class method"), ("volume", "property")]
    assert module.is_public("draw")
    assert not module.is_public("_private")
    assert [(item.module, item.handed_on) for item in module.imports] == [("kit._hidden", True), ("typing", False)]
    assert module.members["unpack"].name == "unpack"


def test_c_modules_are_read_by_inspection() -> None:
    builtins = read_live("builtins", "builtins")
    assert builtins is not None
    assert builtins.members["len"].arguments == ("obj",)
    assert builtins.members["print"].arguments == ("*args", "sep", "end", "file", "flush")
    assert read_live("no_such_module", "no_such_module") is None


def test_names_handed_on_from_hidden_modules_belong_to_the_public_one() -> None:
    library = standard_library()
    members = {
        name: library.module(name) for name in ("os", "os.path", "collections.abc", "json", "bisect", "math", "random")
    }
    for name, member in [("os", "getcwd"), ("os.path", "exists"), ("collections.abc", "Mapping"), ("bisect", "insort"),
                         ("math", "sqrt"), ("random", "choice"), ("os.path", "join")]:  # fmt: skip
        module = members[name]
        assert module is not None
        assert module.is_public(member)
        assert member in module.members
    assert not {"antigravity", "this", "idlelib", "test", "posix"} & set(library.public())


@pytest.mark.parametrize("name", ["trafilatura", "resiliparse"])
def test_what_a_page_says_survives_extraction(name: str) -> None:
    first = {page.url: page for page in pages([], ["os.path"], 24, ["CPython"])}
    extract = extractor(name)
    text = clean(extract(first["https://stdlib.pydocs.example/os.path/join.html"].content.decode()))
    assert "os.path.join is a function of the module os.path. It takes the arguments a and *p." in text
    assert "Join two or more pathname components, inserting '/' as needed." in text
    text = clean(extract(first["https://stdlib.pydocs.example/os.path/"].content.decode()))
    assert "os.path is a module." in text
    assert "\nos.path.isabs — Test whether a path is absolute" in text
    assert "Quick search" not in text
    assert "Rendered from" not in text


def test_arguments_in_words() -> None:
    assert arguments_sentence(()) == "It takes no arguments."
    assert arguments_sentence(("s",)) == "It takes the argument s."
    assert arguments_sentence(("a", "b", "**c")) == "It takes the arguments a, b and **c."
    assert arguments_sentence(None) == ""


def test_docstrings_become_blocks() -> None:
    text = """Count things
    that lie around.

    Parameters
    ----------
    things : list of str
        What to count,
        each once.

    Use it like this::

        count(["a"])

    - first point
      goes on
    - second point

    >>> count([])
    0

    .. versionadded:: 3.1
    :param extra: more :class:`things`
    :type extra: list
    """
    found = [(block.kind, block.term, block.text) for block in prose.blocks(text)]
    assert found == [
        ("paragraph", "", "Count things that lie around."),
        ("heading", "", "Parameters"),
        ("definition", "argument things", "What to count, each once."),
        ("paragraph", "", "Use it like this:"),
        ("code", "", 'count(["a"])'),
        ("item", "", "first point goes on"),
        ("item", "", "second point"),
        ("code", "", ">>> count([])\n0"),
        *found[8:],
    ]
    assert ("paragraph", "", "New in version 3.1.") in found or any("3.1" in block[2] for block in found[8:])


def test_names_stand_bare_in_prose() -> None:
    assert (
        prose.plain("Calls :func:`os.getcwd` and ``x``, or 'name' or foo().")
        == "Calls os.getcwd and x, or name or foo."
    )
    assert prose.plain("inserting '/' as needed, 2 * 3 * 4") == "inserting '/' as needed, 2 * 3 * 4"


def test_every_docstring_of_the_library_is_laid_out() -> None:
    """No docstring makes the reader or the layout fail; every page has a path and a title of its own."""
    library = standard_library()
    paths: set[str] = set()
    for name in library.public():
        if (module := library.module(name)) is not None:
            for article in module_articles(module):
                assert article.title
                assert article.path.startswith(f"/{name}/")
                paths.add(article.path)
    assert len(paths) > 1000
    assert "/builtins/print.html" in paths


def test_limited_pages_are_spread_and_start_with_what_comes_first() -> None:
    found = pages(["rich", "click"], ["os.path"], 60, ["CPython", "rich 1", "click 1"])
    hosts = [page.url.split("/")[2] for page in found]
    assert len(found) == 60
    assert {hosts.count(f"{name}.pydocs.example") for name in ("rich", "click")} == {10}
    assert "https://stdlib.pydocs.example/os.path/join.html" in {page.url for page in found}
    assert len({page.url for page in found}) == 60


def test_written_pages_are_read_back(tmp_path: Path) -> None:
    made = [
        Page("https://a.example/1", b"<p>x</p>"),
        Page("https://a.example/2", b"", 301, location="https://a.example/1"),
    ]
    write_pages(tmp_path / "a.warc.gz", made)
    info, *found = warc.captures(tmp_path / "a.warc.gz")
    assert info.kind == "warcinfo"
    assert [(one.url, one.status, one.payload, one.record_id, one.date) for one in found] == [
        (page.url, page.status, page.content, page.record_id, page.date) for page in made
    ]


RENDER = """
import hashlib, sys
from pathlib import Path
from llm_dag.curation.python_docs.site import pages
from llm_dag.curation.warc_writer import write_pages
made = pages(["rich", "click", "numpy"], ["os.path", "builtins", "_thread"], 400, ["CPython", "rich", "click", "numpy"])
write_pages(Path(sys.argv[1]), made)
print(hashlib.sha256(Path(sys.argv[1]).read_bytes()).hexdigest())
"""


def test_bytes_repeat_in_another_process_with_another_hash_seed(tmp_path: Path) -> None:
    digests = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        (tmp_path / seed).mkdir()
        command = [sys.executable, "-c", RENDER, str(tmp_path / seed / "00000.warc.gz")]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1


def test_no_address_or_local_path_stands_on_a_page() -> None:
    here = [str(Path(sys.prefix)), str(Path(sys.base_prefix)), str(Path.home()) + "/"]
    for page in pages(["rich"], ["builtins", "sys", "os"], 600, ["CPython", "rich"]):
        assert b" at 0x" not in page.content, page.url
        assert not any(path.encode() in page.content for path in here), page.url
