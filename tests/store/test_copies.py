"""Copies of files that lie elsewhere: never of other bytes, never more than there is room for, never half."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.store import transport
from llm_dag.store.copies import Copies
from llm_dag.store.errors import StoreError
from llm_dag.store.remote import Remote
from llm_dag.store.transport import Changed, Interrupted, Patience, RemoteError, State


@pytest.fixture
def bucket() -> Iterator[str]:
    name = uuid.uuid4().hex
    yield f"memory://{name}"
    fsspec.filesystem("memory").rm(f"/{name}", recursive=True)


def put(url: str, content: bytes) -> State:
    fsspec.filesystem("memory").pipe(url.removeprefix("memory:/"), content)
    return Remote().state(url)


class Counted(Remote):
    """A remote that counts the bytes that are read."""

    def __init__(self) -> None:
        super().__init__(pauses=())
        self.count = 0

    def read(self, url: str, state: State, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        for piece in super().read(url, state, start, stop):
            self.count += len(piece)
            yield piece


def test_a_file_is_fetched_once_and_read_in_parts(tmp_path: Path, bucket: str) -> None:
    remote = Counted()
    copies, url = Copies(tmp_path, 1000, remote), f"{bucket}/a"
    state = put(url, b"0123456789")
    for _ in range(2):
        with copies.held(url, state) as copy:
            assert copy.path.read_bytes() == b"0123456789"
    assert remote.count == 10
    assert copies.read(url, copy.digest, 3, 6) == b"345"
    assert copies.read(url, copy.digest, 8, 12) is None
    assert copies.read(url, "another digest", 3, 6) is None
    assert copies.read(f"{bucket}/b", copy.digest, 3, 6) is None


def test_other_bytes_under_the_same_address_are_fetched(tmp_path: Path, bucket: str) -> None:
    copies, url = Copies(tmp_path, 1000, Remote()), f"{bucket}/a"
    for content in (b"first", b"other", b"longer than that", b""):
        with copies.held(url, put(url, content)) as copy:
            assert copy.path.read_bytes() == content


def test_a_file_without_tag_and_date_is_fetched_again(tmp_path: Path, bucket: str) -> None:
    remote = Counted()
    copies, url = Copies(tmp_path, 1000, remote), f"{bucket}/a"
    state = State(put(url, b"01234").bytes)
    for _ in range(2):
        with copies.held(url, state):
            pass
    assert remote.count == 10


@pytest.mark.parametrize(("content", "fetched"), [(b"0123456789", 6), (b"abcdefghij", 10)])
def test_an_interrupted_fetch_goes_on_unless_the_file_changed(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, content: bytes, fetched: int
) -> None:
    remote = Counted()
    copies, url = Copies(tmp_path, 1000, remote), f"{bucket}/a"
    state = put(url, b"0123456789")
    read = remote.read

    def breaks(url: str, state: State, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        yield from read(url, state, start, start + 4)
        raise RemoteError("gone")

    monkeypatch.setattr(remote, "read", breaks)
    with pytest.raises(RemoteError):
        copies.held(url, state).__enter__()
    monkeypatch.setattr(remote, "read", read)
    if content != b"0123456789":
        state = put(url, content)
    remote.count = 0
    with copies.held(url, state) as copy:
        assert copy.path.read_bytes() == content
    assert remote.count == fetched


def test_a_file_that_changes_while_it_is_read_is_no_copy(tmp_path: Path, bucket: str) -> None:
    url = f"{bucket}/a"
    state = put(url, b"0123456789")
    put(url, b"abcdefghij")
    with pytest.raises(Changed, match="changed while it was read"):
        Copies(tmp_path, 1000, Remote()).held(url, state).__enter__()
    put(url, b"abc")
    with pytest.raises(Changed, match="ends at byte 3 now; 10 bytes are wanted"):
        Copies(tmp_path / "other", 1000, Remote()).held(url, state).__enter__()


def test_what_was_used_least_recently_makes_room(tmp_path: Path, bucket: str) -> None:
    copies = Copies(tmp_path, 3000, Remote())
    urls = [f"{bucket}/{number}" for number in range(4)]
    states = [put(url, url[-1:].encode() * 900) for url in urls]
    digests = {}
    for number, (url, state) in enumerate(zip(urls[:2], states, strict=False)):
        with copies.held(url, state) as copy:
            digests[url] = copy.digest
        os.utime(copy.path.with_name("note.json"), (number, number))
    assert copies.read(urls[0], digests[urls[0]], 0, 1) == b"0"  # used again
    with copies.held(urls[2], states[2]) as copy:
        digests[urls[2]] = copy.digest
    assert [copies.read(url, digests[url], 0, 1) for url in urls[:3]] == [b"0", None, b"2"]


def test_a_copy_in_use_stays_and_one_too_large_is_kept_by_nobody(tmp_path: Path, bucket: str) -> None:
    copies = Copies(tmp_path, 0, Remote())
    one, other = f"{bucket}/1", f"{bucket}/2"
    states = {url: put(url, url.encode()) for url in (one, other)}
    with copies.held(one, states[one]) as first:
        with copies.held(one, states[one]) as second, copies.held(other, states[other]):
            assert first.path == second.path
        assert first.path.read_bytes() == one.encode()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_two_who_want_one_file_fetch_it_once(tmp_path: Path, bucket: str) -> None:
    remote, url, found = Counted(), f"{bucket}/a", []
    state = put(url, b"0123456789")

    def want() -> None:
        with Copies(tmp_path, 1000, remote).held(url, state) as copy:
            found.append(copy.path.read_bytes())

    threads = [threading.Thread(target=want) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"0123456789"] * 6
    assert remote.count == 10


@given(
    content=st.binary(min_size=1, max_size=200),
    cuts=st.lists(st.integers(0, 60), max_size=7),
    bounds=st.tuples(st.integers(0, 200), st.integers(0, 200)),
    piece=st.integers(1, 70),
)
def test_whatever_breaks_every_byte_arrives_once(
    content: bytes, cuts: list[int], bounds: tuple[int, int], piece: int
) -> None:
    left = list(cuts)

    def begin(at: int) -> Iterator[bytes]:
        until = at + left.pop(0) if left else len(content)
        for place in range(at, min(until, len(content)), piece):
            yield content[place : min(place + piece, until)]
        if until < len(content):
            raise Interrupted("dropped")

    start, stop = sorted(min(bound, len(content)) for bound in bounds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport, "pause", lambda seconds: None)
        found = b"".join(Patience().resumed("a", start, stop, begin))
    assert found == content[start:stop]


def test_a_bucket_out_of_reach_is_tried_again(monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
    """Botocore's errors of connections are no OSError; a request that was dropped is made again."""
    put(f"{bucket}/a", b"0123")
    base = type("HTTPClientError", (Exception,), {"__module__": "botocore.exceptions"})
    errors = [type("ReadTimeoutError", (base,), {"__module__": "botocore.exceptions"})("timed out"), OSError("busy")]
    memory, waits = fsspec.filesystem("memory"), []
    info = memory.info

    def fail_first(path: str) -> Any:
        if errors:
            raise errors.pop(0)
        return info(path)

    monkeypatch.setattr(memory, "info", fail_first)
    monkeypatch.setattr(transport, "pause", waits.append)
    assert Remote().state(f"{bucket}/a").bytes == 4
    assert waits == [1, 2]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("NoCredentialsError", "Unable to locate credentials", "Unable to locate credentials"),
        ("ProfileNotFound", "The config profile (x) could not be found", "profile (x)"),
    ],
)
def test_a_bucket_without_credentials_is_one_line_that_says_what_is_wanted(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, said: str
) -> None:
    """As botocore raises them: no OSError, and with a module of its own."""
    error = type(name, (Exception,), {"__module__": "botocore.exceptions"})

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise error(text)

    monkeypatch.setattr(fsspec.filesystem("memory"), "info", refuse)
    with pytest.raises(StoreError) as caught:
        Remote().state("memory://bucket/a")
    line = str(caught.value)
    assert line.startswith("memory://bucket/a: S3 cannot be used (")
    assert said in line
    assert "AWS_ACCESS_KEY_ID" in line
    assert "\n" not in line
