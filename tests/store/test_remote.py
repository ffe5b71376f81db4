"""The store as a URL: the same contract on an object store as on a disk."""

from __future__ import annotations

import errno
import importlib.util
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from llm_dag.store.errors import Corrupt, LeaseLost
from llm_dag.store.files import MANIFEST, RemoteFiles, open_files
from llm_dag.store.leases import this_process
from llm_dag.store.resolve import State
from llm_dag.store.verify import verify

from .example import PAGES, House, Judged, Log, Root, Source


@pytest.fixture(params=["memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    name = uuid.uuid4().hex
    if request.param == "memory":
        yield f"memory://{name}/store"
        fsspec.filesystem("memory").rm(f"/{name}", recursive=True)
        return
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("s3fs") is None:
        pytest.skip("moto[server] and s3fs are not installed")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    _, port = server.get_host_and_port()
    for key, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }.items():
        monkeypatch.setenv(key, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # it would remember the server of the test before
    fsspec.filesystem("s3").mkdir(name)
    yield f"s3://{name}/store"
    server.stop()


@pytest.fixture
def house(url: str, tmp_path: Path) -> House:
    made = House(url, Log(tmp_path / "log.txt"))
    made.store.files.write(".touched", b"")
    return made


def remote(house: House) -> RemoteFiles:
    files = house.store.files
    assert isinstance(files, RemoteFiles)
    return files


def changed() -> Root:
    return Root(source=Source(pages={**PAGES, "00001": "other words"}))


def test_build_reuse_and_verify(house: House) -> None:
    first = house.make_all()
    house.log.ran()
    assert all(one.reused for one in house.make_all().values())
    assert house.log.ran() == []
    assert first["upper"].artifact.path("text/00000.parquet").read_text() == "ONE TWO!"
    assert first["upper"].artifact.path("text/00000.parquet").name == "00000.parquet"
    assert verify(house.store, house.log) == []
    assert remote(house).names(".leases/upper/d1") == []


def test_the_same_artifact_has_the_same_digest_on_a_disk(house: House, tmp_path: Path) -> None:
    there = house.make_all()
    here = House(str(tmp_path / "store"), house.log).make_all()
    assert {name: one.artifact.digest for name, one in here.items()} == {
        name: one.artifact.digest for name, one in there.items()
    }
    assert {one.artifact.recipe for one in here.values()} == {one.artifact.recipe for one in there.values()}


def test_unchanged_shards_are_shared(house: House) -> None:
    first = house.make_all("upper")["upper"].artifact
    second = house.make_all("upper", root=changed())["upper"].artifact
    assert second.metrics["shards_reused"] == 2
    assert second.entry("text/00000.parquet").url == first.entry("text/00000.parquet").url
    assert [second.path(name).read_text() for name in second.names()] == ["ONE TWO!", "OTHER WORDS!", "FIVE SIX!"]
    assert verify(house.store, house.log) == []


def test_a_folder_of_cached_files_has_their_names(house: House) -> None:
    made = house.make_all("vocabulary")["vocabulary"].artifact
    folder = made.folder()
    assert (folder / "words.txt").read_text().startswith("FIVE")
    assert (folder / "state" / "size.txt").read_text() == "10"
    assert [path.name for path in made.folder("state/").iterdir()] == ["size.txt"]


def test_creating_is_exclusive(house: House) -> None:
    files = remote(house)
    assert files.create("a/one.json", b"first")
    assert not files.create("a/one.json", b"second")
    assert files.read("a/one.json") == b"first"
    files.delete("a/one.json")
    assert files.create("a/one.json", b"second")


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EBUSY])
def test_a_refusal_after_a_lost_answer_is_a_success(house: House, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object store answers a condition that failed with these; the first copy of a resent request may be ours."""
    files = remote(house)
    files.write("a/one.json", b"mine")

    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(code, "at least one of the pre-conditions did not hold")

    monkeypatch.setattr(files._fs, "pipe_file", refuse)
    assert files.create("a/one.json", b"mine")
    assert not files.create("a/one.json", b"another's")
    with pytest.raises(OSError, match="pre-conditions"):
        files.create("a/two.json", b"mine")


def test_what_a_killed_upload_leaves_is_no_artifact(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    create = RemoteFiles.create

    def killed(self: RemoteFiles, name: str, content: bytes) -> bool:
        if name.endswith(MANIFEST):
            raise KeyboardInterrupt
        return create(self, name, content)

    monkeypatch.setattr(RemoteFiles, "create", killed)
    with pytest.raises(KeyboardInterrupt):
        house.make("pages")
    monkeypatch.setattr(RemoteFiles, "create", create)
    assert house.store.everything() == []
    assert verify(house.store, house.log) == []
    assert house.make("pages").state is State.RESUME
    assert verify(house.store, house.log) == []


def test_an_upload_that_lost_the_race_cannot_touch_the_files_of_the_one_that_won(house: House, tmp_path: Path) -> None:
    made = house.make("pages").artifact
    files = remote(house)
    late = tmp_path / "late"
    (late / "data/pages").mkdir(parents=True)
    (late / "data/pages/00000.parquet").write_text("other bytes")
    (late / MANIFEST).write_text("{}")
    assert not files.publish(late, made.place, files.staged(made.place))
    assert verify(house.store, house.log) == []


def test_a_lease_is_taken_and_lost(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f".leases/pages/d1/{house.resolver().resolve('pages').recipe.digest}.json"  # type: ignore[union-attr]
    staged = RemoteFiles.staged

    def stolen(self: RemoteFiles, where: str) -> str:
        self.write(name, this_process().to_bytes())
        return staged(self, where)

    monkeypatch.setattr(RemoteFiles, "staged", stolen)
    with pytest.raises(LeaseLost):
        house.make("pages")
    assert house.store.everything() == []


def test_a_file_with_other_bytes_is_noticed_on_arrival_and_by_verify(house: House) -> None:
    made = house.make("pages").artifact
    cached = made.path("pages/00001.parquet")
    assert cached.stat().st_mode & 0o222 == 0
    remote(house).write(made.entry("pages/00000.parquet").url, b"other bytes")
    remote(house).write(made.entry("pages/00001.parquet").url, b"other bytes")
    with pytest.raises(Corrupt, match=r"its manifest says sha256 \w+, its bytes have"):
        made.path("pages/00000.parquet")
    assert [fault.file for fault in verify(house.store, house.log)] == [
        "data/pages/00000.parquet",
        "data/pages/00001.parquet",
    ]


def test_held_acceptances_and_dumps_are_kept_there_too(house: House) -> None:
    made = house.make_all()
    request = house.resolver().resolve("vocabulary").request
    again = House(house.url, house.log)
    assert again.store.holder_of("vocabulary", request) == made["vocabulary"].artifact.recipe
    failed = house.make_all("judged", root=Root(judged=Judged(min_words=9)))["judged"].artifact
    again.store.accept(failed, "kept_some", "a test", "Ada")
    assert again.store.acceptances(failed)["kept_some"]["who"] == "Ada"
    again.store.register_dump("d1", {"dump": "d1", "pages": {}})
    assert again.store.dump_source("d1") == {"dump": "d1", "pages": {}}
    assert isinstance(open_files(house.url), RemoteFiles)
