"""Bad files, bad places and kills, through the real command: words for a person, and never half an artifact."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from llm_dag.curation.python_docs.site import Page
from llm_dag.curation.warc_writer import write_pages
from llm_dag.progress import Silent
from llm_dag.store.artifact import Artifact
from llm_dag.store.store import Store
from llm_dag.store.verify import verify
from tests.e2e.conftest import BIN, House
from tests.knobs.pages import about, paragraphs

pytestmark = pytest.mark.slow

ROOT = os.geteuid() == 0
PAGES = 30


def crawl(path: Path, pages: int = PAGES) -> Path:
    """A WARC of small pages with prose."""
    found = [
        Page(
            f"https://town.example/{number}.html",
            f"<html><body><article>{paragraphs(about(f'page {number}'))}</article></body></html>".encode(),
        )
        for number in range(pages)
    ]
    write_pages(path, found)
    return path


def members(content: bytes) -> list[int]:
    """Where the gzip members of a WARC begin."""
    import zlib

    starts, at = [], 0
    while at < len(content):
        starts.append(at)
        reader = zlib.decompressobj(wbits=31)
        reader.decompress(content[at:])
        at = len(content) - len(reader.unused_data)
    return starts


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "store", tmp_path / "dagster")


def refresh(house: House, *files: Path | str) -> subprocess.CompletedProcess[str]:
    """The curation of a WARC crawl; a corpus this small is refused by the tokenizer at the latest."""
    named = f"source.files=[{','.join(map(str, files))}]"
    return house.command(
        "llm-dag", "run", "--job", "refresh_data", "scale=ci", "source=warc", named, f"compute.store={house.store}"
    )


def artifact(house: House, asset: str) -> Artifact:
    (found,) = [one for one in Store(str(house.store)).everything() if one.asset == asset]
    return found


def reasons(found: Artifact) -> list[str]:
    """The reason of every verdict, in the order of the crawl."""
    return [
        row["reason"]
        for shard in found.shards
        for row in pq.read_table(found.path(f"verdicts/{shard}.parquet")).to_pylist()
    ]


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What the command printed, on one line; it never is a traceback."""
    printed = done.stdout + done.stderr
    assert "Traceback" not in printed, printed[-3000:]
    return " ".join(printed.split())


def assert_whole(house: House) -> None:
    """Everything in the store is what its manifest says."""
    store = Store(str(house.store))
    assert verify(store, Silent()) == []
    for asset, partition, recipe in store.places():
        assert store.find(asset, partition, recipe) is not None, f"{asset} has a folder without a manifest"


def test_a_truncated_file_keeps_what_is_whole(house: House, tmp_path: Path) -> None:
    path = crawl(tmp_path / "crawl.warc.gz")
    content = path.read_bytes()
    path.write_bytes(content[: members(content)[-1] + 100])  # the last page ends in the middle
    said(refresh(house, path))
    assert reasons(artifact(house, "raw_pages")) == [""] * (PAGES - 1) + ["clipped"]
    assert artifact(house, "pii_redacted").metrics["documents_kept"] > PAGES / 2
    assert_whole(house)


def test_a_corrupt_member_in_the_middle_costs_one_page(house: House, tmp_path: Path) -> None:
    path = crawl(tmp_path / "crawl.warc.gz")
    content = bytearray(path.read_bytes())
    start, end = members(bytes(content))[10:12]  # the first member is the warcinfo record
    middle = (start + end) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    said(refresh(house, path))
    pages = artifact(house, "raw_pages")
    assert reasons(pages) == ["" if number != 9 else "corrupt_gzip" for number in range(PAGES)]
    assert pages.metrics["dropped/corrupt_gzip"] == 1
    assert len(reasons(artifact(house, "url_filtered"))) == PAGES - 1
    assert_whole(house)


@pytest.mark.parametrize("name", ["nowhere.warc.gz", "empty/*.warc.gz"])
def test_a_source_without_files_names_what_it_looked_for(house: House, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    done = refresh(house, tmp_path / name)
    assert done.returncode in (1, 2)
    assert f"source.files[0]={tmp_path / name}: no such file or folder, and no file matches it" in said(done)
    assert_whole(house)


def test_no_file_at_all_is_told_before_any_work(house: House) -> None:
    done = refresh(house)
    assert done.returncode == 2
    assert "source.files=[]: allowed is at least one WARC file, folder or glob" in said(done)
    assert not house.store.exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"filedesc://crawl.arc 0.0.0.0 20240101000000 text/plain 76\n1 0 Archive\n", "an ARC file"),
        (b"", "no HTML page with status 200; found no record at all"),
    ],
)
def test_a_file_that_is_no_warc_is_an_error_with_its_name(
    house: House, tmp_path: Path, content: bytes, found: str
) -> None:
    path = tmp_path / "crawl.arc"
    path.write_bytes(content)
    done = refresh(house, path)
    assert done.returncode == 1
    assert found in said(done)
    assert "crawl.arc" in said(done)
    apart = {"crawl_listing", "takedowns", "quality_classifier", "eval_sets"}  # they open no page
    assert {one.asset for one in Store(str(house.store)).everything()} <= apart
    assert_whole(house)


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A small file system in memory."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(not ROOT, reason="only root may mount a file system")
def test_a_full_disk_is_named_and_what_was_made_before_stays(house: House, tmp_path: Path) -> None:
    path = crawl(tmp_path / "crawl.warc.gz")
    with mounted(house.store, "size=48k"):
        done = refresh(house, path)
        assert done.returncode in (1, 2)
        assert f"the disk that holds {house.store}" in said(done)
        assert "is full; free some space or set compute.store" in said(done)
        assert "(the whole trace" not in said(done)
        assert_whole(house)
        subprocess.run(["mount", "-o", "remount,size=64m", str(house.store)], check=True)
        refresh(house, path)
        assert artifact(house, "pii_redacted").metrics["documents_kept"] > PAGES / 2
        assert_whole(house)


@pytest.mark.skipif(not ROOT, reason="only root may mount a file system")
def test_a_read_only_store_is_named(house: House, tmp_path: Path) -> None:
    with mounted(house.store, "size=1m,ro"):
        done = refresh(house, crawl(tmp_path / "crawl.warc.gz"))
        assert done.returncode in (1, 2)
        assert f"{house.store}" in said(done)
        assert "is on a read-only file system; set compute.store to a folder that can be written" in said(done)


TRAINING = (
    "source.max_pages=120",
    "source.distributions=[]",
    "pretrain.tokens=40960",
    "compute.threads=1",
    "compute.checkpoint_seconds=0",
)


def test_killed_in_the_middle_of_pretraining_the_same_command_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, killed = (House(tmp_path / name / "store", tmp_path / name / "dagster") for name in ("whole", "killed"))
    done = pretrain(whole)
    assert done.returncode == 0, said(done)
    assert "resumed after step" not in done.stdout
    process = subprocess.Popen(
        command(killed), env=killed.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_checkpoint(killed.store, process)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert "base_model" not in {one.asset for one in Store(str(killed.store)).everything()}
    assert_whole(killed)
    again = pretrain(killed)
    assert again.returncode == 0, said(again)
    assert "resumed after step" in again.stdout
    weights = [artifact(house, "base_model").entry("model.safetensors").digest for house in (whole, killed)]
    assert weights[0] == weights[1]
    assert_whole(killed)
    assert not list((killed.store / ".work/scratch").rglob("step-*.pt"))


def command(house: House) -> Sequence[str]:
    return [str(BIN / "llm-dag"), "run", "--job", "pretrain", "scale=ci", *house.overrides, *TRAINING]


def pretrain(house: House) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(house), env=house.environment, capture_output=True, text=True, timeout=400)


def wait_for_checkpoint(store: Path, process: subprocess.Popen[bytes]) -> None:
    """Until some steps of the forty are trained."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        names = [name for _, _, files in os.walk(store / ".work/scratch/base_model") for name in files]
        if any(name >= "step-000000003.pt" for name in names if name.startswith("step-")):
            return
        time.sleep(0.005)
    raise AssertionError(f"no checkpoint of base_model was seen; the process ended with {process.poll()}")
