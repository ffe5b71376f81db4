"""Where a store's bytes lie: a local folder, or any fsspec URL.

Both kinds offer the same few operations over names relative to the store's root. Writing a small file is atomic;
`create` succeeds for one caller only; `publish` makes a finished folder appear, its manifest last. `staged` says where
the bytes of a folder will lie once it is published as `name`: the manifest says so too, wherever that is.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from llm_dag.store.canonical import BLOCK, file_digest
from llm_dag.store.errors import Corrupt, StoreError

MANIFEST = "manifest.json"
S3_WANTS = "wanted: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or FSSPEC_S3_ANON=true for public files"


class Files(Protocol):
    """The operations of a store's root; `name` is a relative path with forward slashes."""

    url: str
    workspace: Path  # a local folder for scratch, leases' guards and caches

    def exists(self, name: str) -> bool: ...
    def read(self, name: str) -> bytes: ...
    def write(self, name: str, content: bytes) -> None: ...
    def create(self, name: str, content: bytes) -> bool: ...
    def delete(self, name: str) -> None: ...
    def names(self, folder: str) -> list[str]: ...
    def local(self, name: str, digest: str) -> Path: ...
    def hashed(self, name: str) -> str: ...
    def staged(self, name: str) -> str: ...
    def publish(self, folder: Path, name: str, staged: str) -> bool: ...


def open_files(url: str) -> Files:
    """The files of a store: `folder`, `file:///folder`, or a URL of an fsspec filesystem (`s3://bucket/prefix`)."""
    if "://" not in url:
        return LocalFiles(Path(url).expanduser().absolute())
    if url.startswith("file://"):
        return LocalFiles(Path(url.removeprefix("file://")))
    return RemoteFiles(url)


class LocalFiles:
    """A local folder. Publishing is a rename, so an artifact is there whole or not at all."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)
        self.workspace = root / ".work"

    def exists(self, name: str) -> bool:
        return (self.root / name).exists()

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(partial, 0o644)
            os.replace(partial, path)
            _sync(path.parent)
        finally:
            Path(partial).unlink(missing_ok=True)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file that must not exist yet: by a hard link, so that nobody sees it half written."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
            os.link(partial, path)
        except FileExistsError:
            return False
        finally:
            Path(partial).unlink(missing_ok=True)
        return True

    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; hidden ones are the store's own and left out."""
        path = self.root / folder
        return sorted(item.name for item in path.iterdir() if item.name[0] != ".") if path.is_dir() else []

    def local(self, name: str, digest: str) -> Path:
        return self.root / name

    def hashed(self, name: str) -> str:
        """The digest of a file's bytes as they are now."""
        return file_digest(self.root / name)

    def staged(self, name: str) -> str:
        return name

    def publish(self, folder: Path, name: str, staged: str) -> bool:
        """Move a finished folder to `name`. False: somebody else's is there already."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        for path in [*folder.rglob("*"), folder]:
            _sync(path)
        try:
            os.rename(folder, target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        _sync(target.parent)
        return True


class RemoteFiles:
    """An fsspec filesystem. Publishing uploads every file and creates the manifest last.

    Object stores have no rename of folders; what a killed upload leaves has no manifest, so it is not an artifact. Each
    upload has a folder of its own, so that one which lost the race cannot overwrite the files of the one that won.
    Files are read through a local cache by digest, and the digest is checked on arrival.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url.rstrip("/")
        self._fs: Any
        self._fs, self._root = fsspec.core.url_to_fs(self.url)
        cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
        self.workspace = cache / "llm_dag" / hashlib.sha256(self.url.encode()).hexdigest()[:16]

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def exists(self, name: str) -> bool:
        self._fs.invalidate_cache()
        return bool(self._fs.exists(self._at(name)))

    def read(self, name: str) -> bytes:
        content: bytes = self._fs.cat_file(self._at(name))
        return content

    def write(self, name: str, content: bytes) -> None:
        self._fs.pipe_file(self._at(name), content)

    def create(self, name: str, content: bytes) -> bool:
        try:
            self._fs.pipe_file(self._at(name), content, mode="create")
        except OSError as error:
            # S3 says "precondition failed" (EINVAL here), or "conflict" (EBUSY) to one of two at once; and a request
            # that was sent again after a lost answer is refused although its first copy was written
            if not isinstance(error, FileExistsError) and error.errno not in (errno.EINVAL, errno.EBUSY):
                raise
            try:
                return self.read(name) == content
            except FileNotFoundError:
                raise error from None
        return True

    def delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def names(self, folder: str) -> list[str]:
        self._fs.invalidate_cache()
        try:
            found = self._fs.ls(self._at(folder), detail=False)
        except FileNotFoundError:
            return []
        names = (str(item).rstrip("/").rsplit("/", 1)[-1] for item in found)
        return sorted(name for name in names if name and name[0] != ".")

    def local(self, name: str, digest: str) -> Path:
        path = self._at(name)
        return fetched(lambda target: self._fs.get_file(path, str(target)), path, digest, self.workspace / "cache")

    def hashed(self, name: str) -> str:
        """The digest of a file's bytes as they are now, not as they are cached."""
        hasher = hashlib.sha256()
        with self._fs.open(self._at(name), "rb") as stream:
            while block := stream.read(BLOCK):
                hasher.update(block)
        return hasher.hexdigest()

    def staged(self, name: str) -> str:
        return f"{name}/{uuid.uuid4().hex[:12]}"

    def publish(self, folder: Path, name: str, staged: str) -> bool:
        for path in sorted(item for item in folder.rglob("*") if item.is_file()):
            relative = path.relative_to(folder).as_posix()
            if relative != MANIFEST:
                beside = path.parent == folder  # a part of the manifest
                self._fs.put_file(str(path), self._at(f"{name if beside else staged}/{relative}"))
        published = self.create(f"{name}/{MANIFEST}", (folder / MANIFEST).read_bytes())
        if published:
            shutil.rmtree(folder)
        return published


def fetched(get: Callable[[Path], None], path: str, digest: str, cache: Path) -> Path:
    """A local copy of a remote file, kept under its digest and name. Raises Corrupt if the bytes are others."""
    target = cache / digest / path.rsplit("/", 1)[-1]
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{uuid.uuid4().hex}")
    try:
        get(partial)
        found = file_digest(partial)
        if found != digest:
            raise Corrupt(f"{path}: its manifest says sha256 {digest}, its bytes have {found}")
        partial.chmod(0o444)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def explain(error: Exception, place: str) -> StoreError | None:
    """What a full disk, a read-only store or missing credentials mean to a person; None for an error of another kind.

    An error of a write names no file, only one of opening does; `place`, a store or a URL, stands in.
    """
    if any(kind.__module__.startswith(("botocore.", "aiobotocore.")) for kind in type(error).__mro__):
        told = " ".join(str(error).split())  # of S3: no credentials, no such profile, an endpoint out of reach
        return StoreError(f"{place}: S3 cannot be used ({told}); {S3_WANTS}")
    if not isinstance(error, OSError):
        return None
    place = error.filename or place
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return StoreError(f"the disk that holds {place} is full; free some space or set compute.store, then run again")
    if error.errno == errno.EROFS:
        return StoreError(f"{place} is on a read-only file system; set compute.store to a folder that can be written")
    if error.errno in (errno.EACCES, errno.EPERM):
        if "://" in place:
            return StoreError(f"{place}: access is refused ({error}); {S3_WANTS}")
        return StoreError(f"no permission to write {place}; set compute.store to a folder that can be written")
    return None
