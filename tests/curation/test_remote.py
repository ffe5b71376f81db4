"""WARC files that lie elsewhere: what a server may do, what is asked of it, and what a person is told."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from llm_dag.curation import checks_crawl, remote
from llm_dag.progress import Silent
from llm_dag.store import transport
from llm_dag.store.artifact import Artifact
from llm_dag.store.errors import StoreError
from llm_dag.store.remote import Remote
from llm_dag.store.store import Store
from llm_dag.store.transport import Changed, RemoteError
from llm_dag.store.verify import verify

from .crawling import build, numbered, rows
from .web_server import Files, serving

SIZE = 300_000
CONTENT = hashlib.shake_256(b"a file").digest(SIZE)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of every pause, none of which is made."""
    found: list[float] = []
    monkeypatch.setattr(transport, "pause", found.append)
    return found


@pytest.fixture
def server(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Files({"a.bin": CONTENT})) as files:
        yield files


def whole(files: Files, path: str = "a.bin", reader: Remote | None = None) -> bytes:
    reader, url = reader or Remote(), f"{files.url}/{path}"
    return b"".join(reader.read(url, reader.state(url)))


def test_a_file_is_known_by_its_size_and_its_strong_entity_tag(server: Files) -> None:
    state = Remote().state(f"{server.url}/a.bin")
    assert (state.bytes, state.etag, state.ranges) == (SIZE, server.tag("a.bin").strip('"'), True)
    for tag in ("", 'W/"{}"'):
        server.etag = tag
        assert Remote().state(f"{server.url}/a.bin").etag == ""


def test_the_reader_says_who_it_is_and_takes_bytes_as_they_are_stored(server: Files) -> None:
    server.content["a.gz"] = gzip.compress(b"a page")
    server.headers = {"Content-Encoding": "gzip"}  # as some servers say of every file whose name ends so
    assert whole(server, "a.gz") == server.content["a.gz"]
    assert {headers["User-Agent"].split("/")[0] for _, headers in server.asked} == {"llm_dag"}
    assert {headers["Accept-Encoding"] for _, headers in server.asked} == {"identity"}


def test_a_dropped_connection_goes_on_where_it_stopped(server: Files, waits: list[float]) -> None:
    server.drops = [100_000, 50_000]
    said: list[str] = []
    assert whole(server, reader=Remote(said.append)) == CONTENT
    assert server.bodies("a.bin") == ["", f"bytes=100000-{SIZE - 1}", f"bytes=150000-{SIZE - 1}"]
    assert [headers["If-Range"] for _, headers in server.asked[2:]] == [server.tag("a.bin")] * 2
    assert waits == [1, 2]
    assert "connection broke" in said[0]
    assert said[0].endswith("again in 1 s")


def test_a_server_without_ranges_is_read_again_and_what_is_known_is_skipped(server: Files) -> None:
    server.ranges = False
    server.drops = [100_000, 200_000]
    assert not Remote().state(f"{server.url}/a.bin").ranges
    assert whole(server) == CONTENT


@pytest.mark.parametrize(
    ("refusals", "waited"),
    [
        ([(503, {"Retry-After": "7"}), (503, {})], [7, 2]),
        ([(429, {}), (500, {"Retry-After": "soon"})], [1, 2]),
        ([(503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})], [1]),
    ],
)
def test_a_busy_server_is_given_the_time_that_it_asks_for(
    server: Files, waits: list[float], refusals: list[Any], waited: list[float]
) -> None:
    server.refusals = refusals
    assert whole(server) == CONTENT
    assert waits == waited


def test_patience_ends_with_what_was_found(server: Files, waits: list[float]) -> None:
    server.refusals = [(503, {})] * 20
    with pytest.raises(RemoteError, match=r"/a\.bin: the server answered 503 Service Unavailable; tried 8 times"):
        whole(server)
    assert waits == list(transport.PAUSES)
    server.refusals = [(503, {"Retry-After": "3600"})]
    with pytest.raises(RemoteError, match=r"asks to wait 3600 s; at most 600"):
        whole(server)


def test_progress_makes_patience_whole_again(server: Files, waits: list[float]) -> None:
    server.content["b.bin"] = CONTENT * 40
    server.drops = [transport.STEP] * 11
    assert hashlib.sha256(whole(server, "b.bin")).digest() == hashlib.sha256(CONTENT * 40).digest()
    assert waits == [1] * 11


def test_a_file_that_changes_while_it_is_read_is_noticed(server: Files) -> None:
    reader = Remote()
    url = f"{server.url}/a.bin"
    state = reader.state(url)
    pieces = reader.read(url, state)
    server.drops = [100_000]
    next(pieces)
    server.content["a.bin"] = CONTENT[::-1]
    with pytest.raises(Changed, match=r"changed while it was read: 300000 bytes and entity tag \w+; .* are wanted"):
        list(pieces)
    server.content["a.bin"] = CONTENT[:1000]
    with pytest.raises(Changed, match="changed while it was read: 1000 bytes"):
        list(reader.read(url, state, 5000, 6000))


@pytest.mark.parametrize(
    ("path", "words"),
    [("none.bin", r"404 Not Found \(no such file\); 200 or 206 is wanted"), ("", "404")],
)
def test_a_file_that_is_not_there_is_said_at_once(server: Files, waits: list[float], path: str, words: str) -> None:
    with pytest.raises(RemoteError, match=words):
        whole(server, path)
    assert waits == []


def test_a_server_that_is_not_there_is_named_with_the_cause(waits: list[float]) -> None:
    with pytest.raises(RemoteError, match=r"http://127\.0\.0\.1:9/a: cannot be reached \(.*refused\); tried 8 times"):
        Remote().state("http://127.0.0.1:9/a")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://", "http://: "),
        ("nosuch://a/b", "nosuch://a/b: Protocol not known: nosuch"),
        ("memory://nowhere/a.warc.gz", "memory://nowhere/a.warc.gz: no such file"),
    ],
)
def test_a_url_that_cannot_be_read_is_named(url: str, words: str) -> None:
    with pytest.raises(RemoteError, match=words):
        Remote().state(url)


# --- through the graph


def members(*numbers: int, **more: Any) -> bytes:
    return b"".join(gzip.compress(numbered(number, **more), mtime=0) for number in numbers)


def pages_of(store: Path, *urls: str, until: str = "raw_pages", more: tuple[str, ...] = ()) -> dict[str, Artifact]:
    files = f"source.files=[{','.join(urls)}]"
    return build(store, "source=warc", files, f"compute.store={store}", *more, until=until)


def test_a_remote_file_is_referred_to_and_read_to_its_texts(server: Files, tmp_path: Path) -> None:
    server.content["w/a.warc.gz"] = members(1, 2, 3)
    url = f"{server.url}/w/a.warc.gz"
    made = pages_of(tmp_path / "store", url, until="extracted_text")
    entry = made["raw_pages"].entry("warc/a.warc.gz")
    assert (entry.url, entry.bytes) == (url, len(server.content["w/a.warc.gz"]))
    assert entry.digest == hashlib.sha256(server.content["w/a.warc.gz"]).hexdigest()
    assert len(rows(made["extracted_text"], "text")) == 3
    assert checks_crawl.records_found_again(made["raw_pages"]).passed
    assert server.bodies("w/a.warc.gz") == [""]  # one download for the index, the check and the texts
    folder = tmp_path / "store" / "raw_pages"
    assert not [path for path in folder.rglob("*") if path.is_file() and path.read_bytes()[:2] == b"\x1f\x8b"]
    server.asked.clear()
    pages_of(tmp_path / "store", url, until="extracted_text")
    assert server.asked == []  # what is fresh asks nobody
    local = tmp_path / "a.warc.gz"
    local.write_bytes(server.content["w/a.warc.gz"])
    there = build(tmp_path / "local", "source=warc", f"source.files=[{local}]", until="raw_pages")
    assert there["raw_pages"].digest == made["raw_pages"].digest


def test_without_copies_the_pages_of_a_shard_cost_a_request_for_a_run_of_them(server: Files, tmp_path: Path) -> None:
    server.content["a.warc.gz"] = members(*range(400))
    made = pages_of(
        tmp_path / "store", f"{server.url}/a.warc.gz", until="extracted_text", more=("compute.copies_gb=0",)
    )
    assert made["extracted_text"].metrics["documents_kept"] == 400
    assert not [path for path in (tmp_path / "store/.work/copies").rglob("*") if path.is_file()]
    index, check, texts = server.bodies("a.warc.gz")  # the check reads a sample that spans the file, as a run too
    assert (index, check[:8], texts) == ("", "bytes=0-", "")


def test_a_server_without_ranges_is_asked_once_a_shard(server: Files, tmp_path: Path) -> None:
    server.content["a.warc.gz"] = members(*range(40))
    server.ranges = False
    more = ("compute.copies_gb=0", "source.shard_documents=20")
    made = pages_of(tmp_path / "store", f"{server.url}/a.warc.gz", more=more)
    server.asked.clear()
    found = list(remote.records(made["raw_pages"], rows(made["raw_pages"], "pages")[::7]))
    assert [capture.url for _, capture in found] == [f"https://site.example/{number}" for number in range(0, 40, 7)]
    assert server.bodies("a.warc.gz") == [""]


def test_rows_become_runs_that_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "RUN", 100)
    monkeypatch.setattr(remote, "GAP", 10)
    places = [
        ("a", 0, 40),
        ("a", 45, 40),
        ("a", 85, 30),
        ("a", 126, 20),
        ("b", 146, 20),
        ("b", 100, 300),
        ("b", 400, 1),
    ]
    found = [
        [(row["warc"], row["offset"]) for row in run]
        for run in remote.runs({"warc": name, "offset": at, "length": length} for name, at, length in places)
    ]
    assert found == [
        [("a", 0), ("a", 45)],
        [("a", 85)],
        [("a", 126)],
        [("b", 146)],
        [("b", 100)],
        [("b", 400)],
    ]


def test_what_an_interrupted_run_fetched_is_gone_on_with(server: Files, tmp_path: Path) -> None:
    server.content["a.warc.gz"] = members(*range(200))
    size = len(server.content["a.warc.gz"])
    server.drops = [10_000]
    server.refusals = []
    url = f"{server.url}/a.warc.gz"

    def killed(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport, "pause", killed)
        with pytest.raises(KeyboardInterrupt):
            pages_of(tmp_path / "store", url)
    assert Store(str(tmp_path / "store")).find("raw_pages", "local-crawl", "x" * 40) is None
    assert pages_of(tmp_path / "store", url)["raw_pages"].metrics["documents_kept"] == 200
    assert server.bodies("a.warc.gz") == ["", f"bytes=10000-{size - 1}"]


def test_a_file_that_was_listed_and_then_changed_is_refused_with_both(server: Files, tmp_path: Path) -> None:
    for tag in ('"{}"', ""):
        server.etag = tag
        server.content["a.warc.gz"] = members(1, 2)
        store = tmp_path / ("tagged" if tag else "untagged")
        listing = pages_of(store, f"{server.url}/a.warc.gz", until="crawl_listing")["crawl_listing"]
        server.content["a.warc.gz"] = members(1, 3)
        with pytest.raises(
            StoreError, match=r"a\.warc\.gz has changed since it was listed: .* listed were \d+"
        ) as caught:
            pages_of(store, f"{server.url}/a.warc.gz")
        assert listing.location in str(caught.value)
        assert Store(str(store)).artifacts("raw_pages", "local-crawl") == []


def test_a_file_that_changed_after_it_was_indexed_is_noticed(server: Files, tmp_path: Path) -> None:
    server.content["a.warc"] = numbered(1) + numbered(2, body="<html>first</html>")
    url, more = f"{server.url}/a.warc", ("compute.copies_gb=0",)
    made = pages_of(tmp_path / "store", url, more=more)["raw_pages"]
    server.content["a.warc"] = numbered(1) + numbered(2, body="<html>other</html>")
    with pytest.raises(StoreError, match="is not the one that was indexed; run raw_pages again"):
        pages_of(tmp_path / "store", url, until="extracted_text", more=more)
    server.content["a.warc"] += numbered(3)
    with pytest.raises(StoreError, match=r"bytes now; \d+ were indexed: run raw_pages again"):
        list(remote.records(made, rows(made, "pages")))


def test_verify_names_a_reference_that_is_gone_or_has_another_size(server: Files, tmp_path: Path) -> None:
    server.content["a.warc.gz"] = members(1)
    made = pages_of(tmp_path / "store", f"{server.url}/a.warc.gz")["raw_pages"]
    store = Store(str(tmp_path / "store"))

    def faults() -> list[tuple[str, str, str]]:
        return [(one.artifact, one.file, one.found) for one in verify(store, Silent())]

    assert faults() == []
    server.content["a.warc.gz"] += b"more"
    ((artifact, file, found),) = faults()
    assert (artifact, file) == (made.place, "data/warc/a.warc.gz")
    assert f"{server.url}/a.warc.gz has" in found
    del server.content["a.warc.gz"]
    assert "404 Not Found" in faults()[0][2]


def test_files_elsewhere_and_here_are_one_crawl_in_their_order(server: Files, tmp_path: Path) -> None:
    bucket = uuid.uuid4().hex
    memory = fsspec.filesystem("memory")
    memory.pipe(f"/{bucket}/b.warc.gz", members(3))
    memory.pipe(f"/{bucket}/a.warc", numbered(2))
    memory.pipe(f"/{bucket}/notes.txt", b"no WARC")
    server.content["z.warc.gz"] = members(1)
    (tmp_path / "local.warc.gz").write_bytes(members(4))
    try:
        made = pages_of(
            tmp_path / "store",
            f"{server.url}/z.warc.gz",
            f"memory://{bucket}/*.warc*",
            f"file://{tmp_path}/local.warc.gz",
        )
    finally:
        memory.rm(f"/{bucket}", recursive=True)
    urls = [row["url"] for row in rows(made["raw_pages"], "pages")]
    assert urls == [f"https://site.example/{number}" for number in (1, 2, 3, 4)]
    assert made["raw_pages"].entry("warc/local.warc.gz").url == f"file://{tmp_path}/local.warc.gz"


def test_a_glob_over_http_takes_the_links_of_a_page(server: Files) -> None:
    links = "".join(f'<a href="{name}">{name}</a>' for name in ("b.warc.gz", "a.warc.gz", "a.cdx", "../"))
    server.content["w/"] = f"<html>{links}</html>".encode()
    found = Remote().named(f"{server.url}/w/*.warc.gz")
    assert found == [f"{server.url}/w/{name}" for name in ("a.warc.gz", "b.warc.gz")]
    with pytest.raises(RemoteError, match=r"/w/\*\.arc: no such file or folder, and no file matches it"):
        Remote().named(f"{server.url}/w/*.arc")
    assert all(headers["User-Agent"].startswith("llm_dag/") for _, headers in server.asked)
    signed = f"{server.url}/a.warc.gz?signature=a%2Ab"
    assert Remote().named(signed) == [signed]
    with pytest.raises(RemoteError, match=r"http://127\.0\.0\.1:9/\*\.warc: "):
        Remote().named("http://127.0.0.1:9/*.warc")


def test_a_folder_elsewhere_is_all_its_files(server: Files) -> None:
    memory, bucket = fsspec.filesystem("memory"), uuid.uuid4().hex
    memory.pipe({f"/{bucket}/b/2.warc": b"2", f"/{bucket}/1.warc": b"1"})
    try:
        assert Remote().named(f"memory://{bucket}") == [f"memory:///{bucket}/1.warc", f"memory:///{bucket}/b/2.warc"]
        with pytest.raises(RemoteError, match="is a directory; a file is wanted"):
            Remote().state(f"memory://{bucket}")
    finally:
        memory.rm(f"/{bucket}", recursive=True)


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed")
def test_the_package_that_reads_a_bucket_is_named_where_it_is_missing() -> None:
    with pytest.raises(RemoteError, match=r"s3://bucket/a\.warc: a package .* is not installed: Install s3fs"):
        Remote().state("s3://bucket/a.warc")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"filedesc://a.arc 0.0.0.0 20240301 text/plain 1\n", "a.warc.gz: an ARC file"),
        (b"<html>not found</html>", "a.warc.gz: starts with b'<html>"),
        (b"", "no record at all"),
    ],
)
def test_what_is_no_warc_is_named_by_its_url(server: Files, tmp_path: Path, content: bytes, words: str) -> None:
    server.content["a.warc.gz"] = content
    with pytest.raises(StoreError, match=words) as caught:
        pages_of(tmp_path / "store", f"{server.url}/a.warc.gz")
    assert ".work" not in str(caught.value)


def test_the_same_bytes_at_two_addresses_are_refused(server: Files, tmp_path: Path) -> None:
    server.content |= {"a.warc.gz": members(1), "b.warc.gz": members(1)}
    with pytest.raises(StoreError, match="hold the same bytes"):
        pages_of(tmp_path / "store", f"{server.url}/a.warc.gz", f"{server.url}/b.warc.gz")
