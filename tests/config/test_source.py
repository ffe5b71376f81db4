"""Sources: what of the machine enters a recipe, and which names a dump may have."""

import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_dag.assets.graph import graph
from llm_dag.config import source
from llm_dag.config.compose import compose
from llm_dag.config.source import PythonDocs
from llm_dag.store.resolve import Resolver
from llm_dag.store.store import Store


def resolver(folder: Path) -> Resolver:
    overrides = ["scale=ci", "source.distributions=[rich, no-such-distribution]", f"compute.store={folder}"]
    return Resolver(Store(str(folder)), graph(), compose(overrides).identity)


@pytest.mark.parametrize(
    ("upgraded", "measured"),
    [
        (lambda patch: patch.setattr(source, "version", lambda name: "99.0"), "rich"),
        (lambda patch: patch.setattr(platform, "python_version", lambda: "3.99.1"), "python"),
    ],
)
def test_an_upgrade_is_another_recipe_of_the_crawl_and_the_same_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upgraded: Callable[[pytest.MonkeyPatch], None], measured: str
) -> None:
    def asked() -> tuple[str, str]:
        found = resolver(tmp_path)
        recipe = found.resolve("crawl_listing").recipe
        assert recipe is not None
        assert measured in str(recipe.config["measured"])
        return recipe.digest, found.resolve("tokenizer").request

    before = asked()
    upgraded(monkeypatch)
    after = asked()
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_a_distribution_that_is_not_installed_has_no_version() -> None:
    node = compose(["scale=ci", "source.distributions=[rich, no-such-distribution]"]).identity.source
    assert isinstance(node, PythonDocs)
    versions = node.measured()["distributions"]
    assert versions["no-such-distribution"] is None
    assert versions["rich"]
