"""A committed artifact, read through its manifest."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llm_dag.config.places import is_url
from llm_dag.store.canonical import digest
from llm_dag.store.errors import Corrupt, StoreError
from llm_dag.store.files import Files, fetched
from llm_dag.store.manifest import Entry, InputRef, Manifest
from llm_dag.store.remote import Remote

DATA = "data/"
WHOLE = "_"  # the folder of the one partition of an unpartitioned asset


def place(asset: str, partition: str | None, recipe: str) -> str:
    """Where an artifact lies in its store. Raises StoreError for a partition that cannot name a folder."""
    if partition is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", partition):
        raise StoreError(f"{asset}: the partition {partition!r} names a folder; wanted letters, digits, '.', '_', '-'")
    return f"{asset}/{partition or WHOLE}/{recipe}"


class Artifact:
    """What a recipe made. Files are named as in `data/`: `artifact.path("text/00000.parquet")`."""

    def __init__(self, files: Files, manifest: Manifest, open_reference: Callable[[InputRef], Artifact]) -> None:
        self._files = files
        self.manifest = manifest
        self._open = open_reference

    def __repr__(self) -> str:
        return f"Artifact({self.place})"

    def __reduce__(self) -> tuple[type[Artifact], tuple[Files, Manifest, Callable[[InputRef], Artifact]]]:
        """What a worker process gets: the files of the artifact, not what it was made from."""
        return Artifact, (self._files, self.manifest, _not_sent)

    @property
    def asset(self) -> str:
        return self.manifest.asset

    @property
    def partition(self) -> str | None:
        return self.manifest.partition

    @property
    def recipe(self) -> str:
        return self.manifest.recipe

    @property
    def digest(self) -> str:
        """The content digest: Dagster's data version."""
        return self.manifest.digest

    @property
    def metrics(self) -> Mapping[str, float]:
        return self.manifest.metrics

    @property
    def config(self) -> Mapping[str, Any]:
        return self.manifest.config

    def under(self, gates: Mapping[str, Any]) -> Artifact:
        """The same artifact as a check sees it: with the present values of its configuration's gates."""
        config = {**self.config, **gates}
        return Artifact(self._files, dataclasses.replace(self.manifest, config=config), self._open)

    @property
    def seconds(self) -> float:
        return self.manifest.seconds

    @property
    def bytes(self) -> int:
        return self.manifest.bytes

    @property
    def place(self) -> str:
        return place(self.asset, self.partition, self.recipe)

    @property
    def location(self) -> str:
        """The folder or URL of the artifact."""
        return f"{self._files.url}/{self.place}"

    @property
    def shards(self) -> tuple[str, ...]:
        """The names of the shards, sorted."""
        return tuple(sorted(self.manifest.shards))

    def names(self, prefix: str = "") -> list[str]:
        """The files of `data/` whose names start with `prefix`, sorted."""
        wanted = DATA + prefix
        return sorted(name.removeprefix(DATA) for name in self.manifest.files if name.startswith(wanted))

    def entry(self, name: str) -> Entry:
        """The manifest's entry of a file of `data/`. Raises StoreError if there is none."""
        try:
            return self.manifest.files[DATA + name]
        except KeyError:
            some = ", ".join(sorted(self.manifest.files)[:5])
            raise StoreError(f"{self.place} holds no file {DATA}{name}; it holds {some} …") from None

    def path(self, name: str) -> Path:
        """A local path of a file of `data/`. Raises StoreError if there is no such file, Corrupt if it is gone."""
        entry = self.entry(name)
        path = locate(self._files, self.place, entry)
        if not path.exists():
            raise Corrupt(f"{self.location}/{entry.path} is gone ({path}); run `llm-dag verify`")
        return path

    def elsewhere(self, name: str) -> str:
        """The URL of a file of `data/` that was referenced where it lies on the network; "" for any other file."""
        url = self.entry(name).url
        return url if is_url(url) else ""

    @property
    def workspace(self) -> Path:
        """A local folder for caches, beside the store."""
        return self._files.workspace

    def folder(self, prefix: str = "") -> Path:
        """The local folder that holds the files under `prefix`, for readers that want a folder (a tokenizer, a model).

        Every file is looked up first. Where they do not lie in one folder (on an object store, or where files are
        shared) they are linked into one, which is kept by their names and digests.
        """
        paths = {name: self.path(name) for name in self.names(prefix)}
        if not paths:
            raise StoreError(f"{self.place} holds no files under data/{prefix}")
        roots = {path.parents[len(Path(name).parts) - 1] for name, path in paths.items()}
        root = roots.pop()
        if not roots and all(root / name == path for name, path in paths.items()):
            return root / prefix
        key = digest([[name, self.entry(name).digest] for name in paths])
        return _linked(paths, self._files.workspace / "folders" / key) / prefix

    def inputs(self, name: str) -> list[Artifact]:
        """The artifacts that this one was made from, for checks and reports: a step gets its inputs from `Work`."""
        return [self._open(reference) for reference in self.manifest.inputs.get(name, ())]

    def ancestor(self, asset: str) -> Artifact:
        """The nearest artifact of `asset`, of the same dump, that this one was made from.

        Raises StoreError if there is none.
        """
        level, seen = [self], {self.place}
        while level:
            refs = [ref for one in level for refs in one.manifest.inputs.values() for ref in refs]
            above = [self._open(ref) for ref in refs if ref.partition in (None, self.partition) or not self.partition]
            for one in above:
                if one.asset == asset:
                    return one
            level = list({one.place: one for one in above if one.place not in seen}.values())
            seen |= {one.place for one in level}
        raise StoreError(f"{self.place} was not made from any {asset}")


def _not_sent(reference: InputRef) -> Artifact:
    raise StoreError(f"{reference.asset} {reference.recipe} is opened by a worker process, which got no ancestors")


def _linked(paths: Mapping[str, Path], folder: Path) -> Path:
    """A folder that holds the files under their names. It appears whole or not at all."""
    if folder.exists():
        return folder
    partial = folder.with_name(f".{uuid.uuid4().hex}")
    try:
        for name, path in paths.items():
            target = partial / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except OSError:  # another file system
                shutil.copyfile(path, target)
        with contextlib.suppress(OSError):  # somebody else has made it meanwhile
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def locate(files: Files, where: str, entry: Entry) -> Path:
    """The local path of an entry: in its artifact, in another artifact of the store, or outside the store."""
    if not entry.url:
        return files.local(f"{where}/{entry.path}", entry.digest)
    if "://" not in entry.url:
        return files.local(entry.url, entry.digest)
    if entry.url.startswith("file://"):
        return Path(entry.url.removeprefix("file://"))
    remote = Remote()

    def get(target: Path) -> None:
        with target.open("wb") as stream:
            stream.writelines(remote.read(entry.url, remote.state(entry.url)))

    return fetched(get, entry.url.partition("?")[0], entry.digest, files.workspace / "cache")
