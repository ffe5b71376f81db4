"""The real UI in a real browser: a person sees the graph that is declared."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_dag.assets.graph import graph

BIN = Path(sys.executable).parent
PROJECT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
STARTS = 180  # seconds that the UI may take
PATIENCE = 60_000  # milliseconds until a text must be there
GRAPH = graph()

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of `dagster dev` as `make ui` starts it, on a home of its own."""
    home = tmp_path_factory.mktemp("dagster_home")
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    port = free_port()
    with (home / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [str(BIN / "dagster"), "dev", "--workspace", "workspace.yaml", "--host", "127.0.0.1", "--port", str(port)],
            cwd=PROJECT,
            env={**os.environ, "DAGSTER_HOME": str(home)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that all of its processes can be ended together
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/server_info", process, home / "log.txt")
            yield f"http://127.0.0.1:{port}"
        finally:
            end(process)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise AssertionError(f"the UI did not start: {log.read_text()[-3000:]}")


def end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
    with contextlib.suppress(ProcessLookupError):  # children that outlived the leader of their group
        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def page(ui: str) -> Iterator[Any]:
    """A tab of a headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser.new_page(viewport={"width": 1800, "height": 1400})
        finally:
            browser.close()


def expect_text(page: Any, text: str) -> None:
    from playwright.sync_api import expect

    expect(page.get_by_text(text, exact=True).first).to_be_visible(timeout=PATIENCE)


def test_the_lineage_shows_every_group(ui: str, page: Any) -> None:
    page.goto(f"{ui}/asset-groups", wait_until="domcontentloaded")
    for group in sorted({step.group for step in GRAPH.values()}):
        expect_text(page, group)


@pytest.mark.parametrize("group", sorted({step.group for step in GRAPH.values()}))
def test_a_group_shows_its_assets(ui: str, page: Any, group: str) -> None:
    page.goto(f"{ui}/locations/llm_dag/asset-groups/{group}/lineage", wait_until="domcontentloaded")
    for name in [name for name, step in GRAPH.items() if step.group == group]:
        expect_text(page, name)


def test_an_asset_shows_what_it_is(ui: str, page: Any) -> None:
    page.goto(f"{ui}/assets/pii_redacted?view=overview", wait_until="domcontentloaded")
    expect_text(page, GRAPH["pii_redacted"].description)
    page.goto(f"{ui}/assets/pii_redacted?view=checks", wait_until="domcontentloaded")
    expect_text(page, "canaries_met_their_fate")


def test_the_jobs_are_listed(ui: str, page: Any) -> None:
    page.goto(f"{ui}/jobs", wait_until="domcontentloaded")
    for job in ("assistant", "refresh_data", "pretrain", "curate"):
        expect_text(page, job)
