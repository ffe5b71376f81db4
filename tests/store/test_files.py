"""Files on a local disk: read-only once committed, the manifest last, and what a disk can do to them."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_dag.store.errors import Corrupt, StoreError
from llm_dag.store.files import LocalFiles, open_files
from llm_dag.store.resolve import State
from llm_dag.store.step import Graph, Step
from llm_dag.store.verify import verify
from llm_dag.store.work import Work

from .example import SLOW, House, Log, Root, Slow, SlowRoot

NOBODY = 65534


def test_files_are_read_only_once_committed(house: House) -> None:
    made = house.make_all("upper")["upper"].artifact
    for path in Path(made.location).rglob("*"):
        if path.name != "checks.json":
            assert path.stat().st_mode & 0o222 == 0, path


def test_only_an_entry_of_the_manifest_is_a_file_of_the_artifact(house: House) -> None:
    made = house.make_all("pages")["pages"].artifact
    (Path(made.location) / "data/pages").chmod(0o755)
    (Path(made.location) / "data/pages/99999.parquet").write_text("not of the artifact")
    found = house.store.find("pages", "d1", made.recipe)
    assert found is not None
    assert found.names() == [f"pages/{name}.parquet" for name in ("00000", "00001", "00002")]
    with pytest.raises(StoreError, match=r"holds no file data/pages/99999\.parquet"):
        found.path("pages/99999.parquet")


def test_the_manifest_is_written_last_its_presence_means_complete(house: House) -> None:
    made = house.make_all("pages")["pages"].artifact
    (Path(made.location) / "manifest.json").rename(Path(made.location) / "other.json")
    assert house.store.find("pages", "d1", made.recipe) is None
    assert house.resolver().resolve("pages").state is State.BUILD


def test_verify_names_a_corrupted_file_and_a_missing_one(house: House) -> None:
    made = house.make_all("upper")
    assert verify(house.store, house.log) == []
    corrupted = made["pages"].artifact.path("pages/00001.parquet")
    corrupted.chmod(0o644)
    corrupted.write_text("three fuor")
    missing = made["upper"].artifact.path("text/00002.parquet")
    missing.parent.chmod(0o755)
    missing.unlink()
    faults = {(fault.artifact, fault.file): fault.found for fault in verify(house.store, house.log)}
    assert set(faults) == {
        (made["pages"].artifact.place, "data/pages/00001.parquet"),
        (made["upper"].artifact.place, "data/text/00002.parquet"),
    }
    assert "instead of" in faults[made["pages"].artifact.place, "data/pages/00001.parquet"]
    with pytest.raises(Corrupt, match=r"data/text/00002\.parquet is gone .*llm-dag verify"):
        made["upper"].artifact.path("text/00002.parquet")


def test_verify_names_a_corrupted_shared_file_in_every_artifact_that_shares_it(house: House) -> None:
    first = house.make_all("upper")["upper"].artifact
    other = Root()
    other.source.pages = {**other.source.pages, "00001": "other words"}
    second = house.make_all("upper", root=other)["upper"].artifact
    first.path("text/00000.parquet").chmod(0o644)
    first.path("text/00000.parquet").write_text("ONE TOW!")
    assert {fault.artifact for fault in verify(house.store, house.log)} == {first.place, second.place}


def edit_json(change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    def edited(content: bytes) -> bytes:
        values = json.loads(content)
        return json.dumps(change(values) or values).encode()

    return edited


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda content: b"", "not a manifest"),
        (lambda content: content[: len(content) // 2], "not a manifest"),
        (lambda content: b"\xff\xfe" + content, "not a manifest"),
        (lambda content: b"[]", "not a manifest"),
        (lambda content: b"{}", "not a manifest .KeyError"),
        (edit_json(lambda values: values.update(schema=99)), "manifest schema 99; this version reads 1"),
        (edit_json(lambda values: values.pop("recipe")), "not a manifest"),
        (edit_json(lambda values: values.update(inputs=[])), "not a manifest"),
        (edit_json(lambda values: values["files"][0].update(digest="0" * 64)), "it states"),
        (edit_json(lambda values: values.update(files=values["files"][1:])), "it states"),
        (edit_json(lambda values: values.update(files={"in": "entries-0.parquet", "count": 3})), "is gone"),
        (edit_json(lambda values: values.update(asset="judged")), "it is the manifest of judged"),
    ],
)
def test_a_corrupt_or_truncated_manifest_is_a_clear_error(
    house: House, spoil: Callable[[bytes], bytes], says: str
) -> None:
    made = house.make_all("upper")["pages"].artifact
    path = Path(made.location) / "manifest.json"
    path.chmod(0o644)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(Corrupt, match=says) as error:
        house.store.find("pages", "d1", made.recipe)
    assert str(path) in str(error.value)
    faults = verify(house.store, house.log)
    assert [(fault.artifact, fault.file) for fault in faults] == [(made.place, "manifest.json")]
    with pytest.raises(Corrupt):
        house.store.everything()


def test_a_corrupt_manifest_of_another_recipe_stops_nothing(house: House) -> None:
    made = house.make_all("upper")["upper"].artifact
    path = Path(made.location) / "manifest.json"
    path.chmod(0o644)
    path.write_text("{")
    other = Root()
    other.source.pages = {**other.source.pages, "00001": "other words"}
    assert house.make_all("upper", root=other)["upper"].state is State.BUILD


def test_corrupt_records_beside_a_manifest_are_named(house: House) -> None:
    made = house.make_all("judged")["judged"].artifact
    (Path(made.location) / "checks.json").write_text("[{")
    with pytest.raises(Corrupt, match=r"checks\.json: not JSON"):
        house.make("upper")


def test_a_small_file_is_written_whole_and_created_once(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    assert files.create("a/one.json", b"first")
    assert not files.create("a/one.json", b"second")
    assert files.read("a/one.json") == b"first"
    files.write("a/one.json", b"third")
    assert files.read("a/one.json") == b"third"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["one.json"]
    files.delete("a/one.json")
    files.delete("a/one.json")
    assert files.names("a") == []


def test_a_store_is_named_by_a_folder_or_a_file_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_files("store").url == str(tmp_path / "store")
    assert open_files(f"file://{tmp_path}/store").url == str(tmp_path / "store")


def big(work: Work) -> None:
    """Writes more than a small disk holds."""
    with work.data("big.bin").open("wb") as stream:
        for _ in range(64):
            stream.write(os.urandom(1 << 16))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte; needs the right to mount."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_an_error_that_names_the_place_and_leaves_no_half_artifact(
    small_disk: Path, tmp_path: Path
) -> None:
    house = House(str(small_disk / "store"), Log(tmp_path / "log.txt"), Graph([Step("big", big, "g", "upper")]))
    with pytest.raises(StoreError, match=rf"the disk that holds {small_disk}.* is full; free some space"):
        house.make("big")
    assert house.store.places() == []
    assert verify(house.store, house.log) == []
    assert list((small_disk / "store" / ".leases").rglob("*.json")) == []


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))


def test_a_disk_that_is_full_before_the_step_starts_is_named_too(small_disk: Path, tmp_path: Path) -> None:
    house = House(str(small_disk / "store"), Log(tmp_path / "log.txt"))
    house.make("pages")
    fill(small_disk / "filler")
    with pytest.raises(StoreError, match="is full"):
        house.make("judged")
    (small_disk / "filler").unlink()
    assert house.make("judged").artifact.shards == ("00000", "00001", "00002")


def test_a_read_only_store_is_read_and_a_write_is_an_error_that_names_the_place(
    small_disk: Path, tmp_path: Path
) -> None:
    house = House(str(small_disk / "store"), Log(tmp_path / "log.txt"))
    house.make_all("vocabulary")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert house.make("vocabulary").state is State.FRESH
    assert house.make("judged").artifact.shards == ("00000", "00001", "00002")
    assert verify(house.store, house.log) == []
    with pytest.raises(StoreError, match=rf"{small_disk}.* is on a read-only file system; set compute\.store"):
        house.make("funnel")


def as_nobody(task: Callable[[str], None], url: str) -> int | None:
    """Run a task in a process without the rights of root, which ignore read-only files."""

    def run() -> None:
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        task(url)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    return process.exitcode


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that belongs to nobody, where pytest's own belongs to root alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=True)
    shutil.rmtree(folder)


def resume_a_sealed_run(url: str) -> None:
    """A run that was stopped in the middle of its commit, when everything was read-only already, is resumed."""
    house = House(url, Log(Path(url).parent / "log.txt"), Graph(SLOW))
    root = SlowRoot(Slow(seconds=0.0))
    house.make("listed", root)
    recipe = house.resolver(root).resolve("slow").recipe
    assert recipe is not None
    made = house.make("slow", root).artifact
    scratch = house.store.scratch("slow", "d1", recipe.digest)
    scratch.mkdir(parents=True)
    Path(made.location).rename(scratch / "out")
    (scratch / "out" / "checks.json").unlink(missing_ok=True)
    assert house.resolver(root).resolve("slow").state is State.RESUME
    again = house.make("slow", root).artifact
    assert again.digest == made.digest
    assert not scratch.exists()


def no_rights(url: str) -> None:
    """A store that belongs to somebody else."""
    with pytest.raises(StoreError, match=r"no permission to write .*store; set compute\.store"):
        House(f"{url}/store", Log(Path("/dev/null"))).make("pages")


def test_a_run_that_was_stopped_while_it_committed_is_resumed_without_the_rights_of_root(open_folder: Path) -> None:
    assert as_nobody(resume_a_sealed_run, str(open_folder / "store")) == 0


def test_a_store_that_may_not_be_written_is_an_error_that_names_the_place(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    assert as_nobody(no_rights, str(open_folder)) == 0
