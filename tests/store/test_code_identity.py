"""Code identity: what a step's behaviour can depend on enters, and nothing else."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llm_dag.store.code_identity import CodeIdentity, identify
from llm_dag.store.errors import StoreError

STEP = """
import json as js
from llm_dag.tree import unused
from llm_dag.tree.words import split as cut

LIMIT = 3
OTHER = 4


def step(node):
    return lambda build: build


def helper(text):
    return text[:LIMIT]


def bystander(text):
    return OTHER


@step(node="a")
def build(work):
    \"\"\"Says what it does.\"\"\"
    # and how
    from llm_dag.tree import outer

    outer.build(helper(work))
"""

TREE = {
    "__init__.py": "",
    "config/__init__.py": "",
    "config/schema.py": "VALUE = 1\n",
    "store/__init__.py": "",
    "store/work.py": "VALUE = 1\n",
    "progress.py": "VALUE = 1\n",
    "ledger.py": "VALUE = 1\n",
    "tree/__init__.py": "",
    "tree/unused.py": "VALUE = 1\n",
    "tree/words.py": "def split(text):\n    return text.split()\n",
    "tree/outer.py": (
        "import yaml\n"
        "from llm_dag import ledger\n"
        "from llm_dag.config.schema import VALUE\n"
        "from llm_dag.store.work import VALUE as OTHER\n"
        "import llm_dag.progress\n\n\n"
        "def build(text):\n"
        '    """Builds."""\n'
        "    from llm_dag.tree.inner.deep import found\n\n"
        "    return found(text, 1)  # a comment\n"
    ),
    "tree/inner/__init__.py": "",
    "tree/inner/deep.py": "def found(text, number):\n    return [text] * number\n",
}


@dataclass
class Tree:
    """A temporary package, and a step in a file of its own."""

    root: Path
    steps: Path

    def step(self, name: str = "build") -> Callable[..., Any]:
        spec = importlib.util.spec_from_file_location("steps_of_test", self.steps)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found: Callable[..., Any] = getattr(module, name)
        return found

    def identity(self, name: str = "build") -> CodeIdentity:
        return identify(self.step(name), self.root)

    def edit(self, name: str, before: str, after: str) -> None:
        path = self.steps if name == "steps" else self.root / name
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    root = tmp_path / "llm_dag"
    for name, text in TREE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in ("llm_dag.tree", "llm_dag.tree.unused", "llm_dag.tree.words"):  # so that the file itself can be loaded
        monkeypatch.setitem(sys.modules, name, type(sys)(name))
    sys.modules["llm_dag.tree"].unused = None  # type: ignore[attr-defined]
    sys.modules["llm_dag.tree.words"].split = None  # type: ignore[attr-defined]
    steps = tmp_path / "steps_of_test.py"
    steps.write_text(STEP)
    return Tree(root, steps)


def test_every_module_reachable_by_import_statements_enters_those_inside_functions_too(tree: Tree) -> None:
    assert set(tree.identity().modules) == {
        "steps_of_test:build",
        "steps_of_test:helper",
        "steps_of_test:LIMIT",
        "llm_dag.tree.outer",
        "llm_dag.tree.inner.deep",
        "llm_dag.ledger",
    }


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("tree/outer.py", "  # a comment", ""),
        ("tree/outer.py", "# a comment", "# another comment"),
        ("tree/outer.py", '"""Builds."""', '"""Builds it."""'),
        ("tree/outer.py", '    """Builds."""\n', ""),
        ("tree/outer.py", "found(text, 1)", "found(\n        text,\n        1,\n    )"),
        ("tree/inner/deep.py", "def", '"""A module."""\n\n\ndef'),
        ("steps", "Says what it does", "Says more"),
        ("steps", "# and how", ""),
        ("steps", 'node="a"', 'node="b"'),
    ],
)
def test_a_comment_docstring_or_format_edit_changes_nothing(tree: Tree, name: str, before: str, after: str) -> None:
    identity = tree.identity()
    tree.edit(name, before, after)
    assert tree.identity() == identity


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("tree/outer.py", "found(text, 1)", "found(text, 2)"),
        ("tree/inner/deep.py", "* number", "* number * 2"),
        ("ledger.py", "1", "2"),
        ("steps", "helper(work)", "helper(work) + helper(work)"),
        ("steps", "LIMIT = 3", "LIMIT = 4"),
        ("steps", "text[:LIMIT]", "text[LIMIT:]"),
    ],
)
def test_a_code_edit_changes_the_identity(tree: Tree, name: str, before: str, after: str) -> None:
    identity = tree.identity()
    tree.edit(name, before, after)
    assert tree.identity() != identity


@pytest.mark.parametrize("name", ["config/schema.py", "store/work.py", "progress.py", "tree/unused.py"])
def test_config_store_and_progress_do_not_enter_nor_what_is_not_used(tree: Tree, name: str) -> None:
    identity = tree.identity()
    tree.edit(name, "1", "2")
    assert tree.identity() == identity


def test_what_the_file_holds_for_other_steps_does_not_enter(tree: Tree) -> None:
    identity = tree.identity()
    tree.edit("steps", "OTHER = 4", "OTHER = 5")
    tree.edit("steps", "return OTHER", "return -OTHER")
    assert tree.identity() == identity


def test_a_module_level_import_enters_when_the_step_uses_it(tree: Tree) -> None:
    tree.edit("steps", "outer.build(helper(work))", "outer.build(cut(helper(work)))")
    before = tree.identity()
    assert {"llm_dag.tree.words", "steps_of_test:cut"} <= set(before.modules)
    assert "llm_dag.tree.unused" not in before.modules
    tree.edit("tree/words.py", "text.split()", "text.split(' ')")
    assert tree.identity() != before


def test_an_edit_that_keeps_the_date_of_the_file_is_seen(tree: Tree) -> None:
    import os

    path = tree.root / "tree/outer.py"
    status, before = path.stat(), tree.identity()
    tree.edit("tree/outer.py", "found(text, 1)", "found(text, 7)")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert tree.identity() != before


def test_a_package_file_that_is_not_empty_enters_for_every_module_below_it(tree: Tree) -> None:
    before = tree.identity()
    (tree.root / "tree/inner/__init__.py").write_text("VALUE = 1\n")
    assert set(tree.identity().modules) - set(before.modules) == {"llm_dag.tree.inner"}


def test_a_leftover_folder_does_not_hide_the_module_of_its_name(tree: Tree) -> None:
    before = tree.identity()
    (tree.root / "tree/outer/__pycache__").mkdir(parents=True)
    assert tree.identity() == before


@pytest.mark.parametrize(
    "line",
    [
        "import importlib",
        "import importlib.util",
        "from importlib import import_module",
        "import runpy",
        "import pkgutil",
        "module = __import__('json')",
        "import builtins\nmodule = builtins.__import__('json')",
        "import importlib.metadata\nmodule = importlib.import_module('json')",
        "from . import words",
    ],
)
@pytest.mark.parametrize("name", ["tree/inner/deep.py", "steps"])
def test_importlib_tricks_are_refused(tree: Tree, line: str, name: str) -> None:
    if name == "steps":
        indented = "".join(f"    {one}\n" for one in line.splitlines())
        tree.edit(
            "steps",
            "    outer.build",
            f"    if work is None:\n    {indented.replace(chr(10) + ' ', chr(10) + '     ')}    outer.build",
        )
    else:
        tree.edit(name, "def found", f"{line}\n\n\ndef found")
    with pytest.raises(StoreError, match=r"identity|relative import"):
        tree.identity()


def test_reading_the_metadata_of_distributions_is_no_trick(tree: Tree) -> None:
    tree.edit(
        "tree/outer.py",
        "import yaml",
        "import yaml\nfrom importlib.metadata import distribution\nimport importlib.resources",
    )
    assert set(tree.identity().distributions) == {"PyYAML"}


def test_the_versions_of_imported_distributions_enter(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree.identity()
    assert set(before.distributions) == {"PyYAML"}
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99.0")
    after = tree.identity()
    assert after.distributions == {"PyYAML": "99.0"}
    assert after.digest != before.digest


def test_a_package_that_is_not_installed_enters_as_absent(tree: Tree) -> None:
    tree.edit("tree/outer.py", "import yaml", "try:\n    import not_there\nexcept ImportError:\n    pass")
    assert tree.identity().distributions == {"not_there": "not installed"}


def test_the_minor_version_of_python_enters_and_the_micro_version_does_not(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, info = tree.identity(), sys.version_info
    version = type("Version", (), {"major": info.major, "minor": info.minor, "micro": info.micro + 1})
    monkeypatch.setattr(sys, "version_info", version)
    assert tree.identity() == before
    version.minor += 1  # type: ignore[attr-defined]
    assert tree.identity().digest != before.digest


def test_a_function_without_a_name_in_a_file_is_refused(tree: Tree) -> None:
    bound = 3

    def closing(work: Any) -> int:
        return bound

    with pytest.raises(StoreError, match="bound of the function around it"):
        identify(closing, tree.root)
    with pytest.raises(StoreError, match="a function with a name"):
        identify(lambda work: None, tree.root)
    with pytest.raises(StoreError, match="a function in a file"):
        identify(print, tree.root)


def test_a_source_file_that_is_no_python_is_named(tree: Tree) -> None:
    tree.edit("tree/inner/deep.py", "return", "retur n")
    with pytest.raises(StoreError, match=r"deep\.py, line 2: not Python"):
        tree.identity()
