"""The store: artifacts by recipe, and the small records beside them (checks, acceptances, holds, dumps)."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import getpass
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_dag.store.artifact import WHOLE, Artifact, place
from llm_dag.store.digests import FileDigests
from llm_dag.store.errors import BlockedInput, Corrupt, StoreError
from llm_dag.store.files import MANIFEST, Files, open_files
from llm_dag.store.manifest import InputRef, Manifest, entries_in
from llm_dag.store.step import Step

CHECKS = "checks.json"
ACCEPTANCES = "acceptances.json"
NONDETERMINISM = "nondeterminism.json"


@dataclasses.dataclass(frozen=True)
class CheckRecord:
    """The result of a check as it stands beside the manifest.

    `code` is the identity of its own code and of the gates that it compared with ("": it broke).
    """

    name: str
    passed: bool
    blocking: bool
    message: str
    numbers: Mapping[str, float]
    code: str


class Store:
    """Artifacts under a folder or URL. Nothing is found by being newest: only by its recipe."""

    def __init__(self, url: str) -> None:
        self.files: Files = open_files(url)
        self.digests = FileDigests(self.files.workspace / "digests.jsonl")
        self._manifests: dict[str, Manifest] = {}  # manifests never change, so each is read once

    def find(self, asset: str, partition: str | None, recipe: str) -> Artifact | None:
        """The artifact of a recipe, or None if it is not committed. Raises Corrupt if its manifest cannot be read."""
        where = place(asset, partition, recipe)
        if where not in self._manifests:
            try:
                content = self.files.read(f"{where}/{MANIFEST}")
            except (FileNotFoundError, NotADirectoryError):
                return None
            named = f"{self.files.url}/{where}/{MANIFEST}"
            beside = entries_in(content)
            try:
                entries = self.files.read(f"{where}/{beside}") if beside else b""
            except FileNotFoundError as error:
                raise Corrupt(f"{named}: {beside}, which holds its entries, is gone") from error
            manifest = Manifest.from_bytes(content, named, entries)
            if (manifest.asset, manifest.partition, manifest.recipe) != (asset, partition, recipe):
                raise Corrupt(f"{named}: it is the manifest of {manifest.asset} {manifest.partition} {manifest.recipe}")
            self._manifests[where] = manifest
        return Artifact(self.files, self._manifests[where], self.open_reference)

    def open_reference(self, reference: InputRef) -> Artifact:
        """The artifact that a manifest names. Raises StoreError if it is gone or holds other bytes."""
        found = self.find(reference.asset, reference.partition, reference.recipe)
        if found is None:
            raise StoreError(
                f"{place(reference.asset, reference.partition, reference.recipe)} is no longer in the store"
            )
        if found.digest != reference.digest:
            raise StoreError(f"{found.place} holds {found.digest}, not {reference.digest} as when it was opened")
        return found

    def artifacts(self, asset: str, partition: str | None) -> list[Artifact]:
        """Every committed artifact of an asset's partition, by the time of its commit: for reports and explanations.

        One whose manifest cannot be read explains nothing and is left out; `verify` names it.
        """
        found = []
        for recipe in self.files.names(place(asset, partition, "").rstrip("/")):
            with contextlib.suppress(Corrupt):
                if artifact := self.find(asset, partition, recipe):
                    found.append(artifact)
        return sorted(found, key=lambda one: (one.manifest.finished, one.recipe))

    def places(self) -> list[tuple[str, str | None, str]]:
        """(asset, partition, recipe) of everything that lies where an artifact would."""
        return [
            (asset, None if partition == WHOLE else partition, recipe)
            for asset in self.files.names("")
            for partition in self.files.names(asset)
            for recipe in self.files.names(f"{asset}/{partition}")
        ]

    def everything(self) -> list[Artifact]:
        """Every committed artifact of the store. Raises Corrupt rather than leaving one out."""
        return [artifact for where in self.places() if (artifact := self.find(*where))]

    def scratch(self, asset: str, partition: str | None, recipe: str) -> Path:
        """The local folder in which a recipe is made."""
        return self.files.workspace / "scratch" / place(asset, partition, recipe)

    def checks(self, artifact: Artifact) -> dict[str, CheckRecord]:
        """The recorded results of an artifact's checks, by name."""
        return {row["name"]: CheckRecord(**row) for row in self._rows(f"{artifact.place}/{CHECKS}")}

    def record_checks(self, artifact: Artifact, records: list[CheckRecord]) -> None:
        rows = [dataclasses.asdict(record) for record in sorted(records, key=lambda record: record.name)]
        self._write_rows(f"{artifact.place}/{CHECKS}", rows)

    def acceptances(self, artifact: Artifact) -> dict[str, dict[str, str]]:
        """The accepted checks of an artifact: who, why and when, by the check's name."""
        return {row["check"]: row for row in self._rows(f"{artifact.place}/{ACCEPTANCES}")}

    def accept(self, artifact: Artifact, check: str, why: str, who: str = "") -> None:
        """Open an artifact although a check failed: as it failed now, by its present code and gates.

        Raises StoreError without a reason, for an unknown check, and for one that has passed.
        """
        if not why.strip():
            raise StoreError(f"{artifact.place}: accepting the check {check} needs a reason")
        known = self.checks(artifact)
        if check not in known:
            raise StoreError(f"{artifact.place} has no check {check}; it has {', '.join(sorted(known)) or 'none'}")
        if known[check].passed:
            raise StoreError(f"{artifact.place}: its check {check} has passed; only a failed one is accepted")
        row = {"check": check, "code": known[check].code, "who": who or getpass.getuser(), "why": why, "when": now()}
        rows = [*self._rows(f"{artifact.place}/{ACCEPTANCES}"), row]
        self._write_rows(f"{artifact.place}/{ACCEPTANCES}", rows)

    def refusals(self, artifact: Artifact, step: Step) -> list[str]:
        """Why an artifact may not be opened as an input: its blocking checks that neither passed nor were accepted.

        An acceptance is of one failure: when the check's code or gates change, it has to be given again.
        """
        if not step.blocking:
            return []
        records, accepted = self.checks(artifact), self.acceptances(artifact)
        reasons = []
        for name in step.blocking:
            record = records.get(name)
            if record and (record.passed or accepted.get(name, {}).get("code") == record.code):
                continue
            reasons.append(f"{name}: {record.message if record else 'has not been run'}")
        return reasons

    def require(self, artifact: Artifact, step: Step, reader: str) -> Artifact:
        """The artifact, if `reader` may open it. Raises BlockedInput."""
        if reasons := self.refusals(artifact, step):
            listed = "; ".join(reasons)
            raise BlockedInput(
                f"{reader} may not open {artifact.asset}: its check {listed}. Mend what made it, or accept it: "
                f'llm-dag accept {artifact.asset} {reasons[0].split(":")[0]} --why "…"'
            )
        return artifact

    def holder_of(self, asset: str, request: str) -> str | None:
        """The recipe that a held asset keeps for a request, or None."""
        try:
            recipe: str = json.loads(self.files.read(f".holds/{asset}/{request}.json"))["recipe"]
        except FileNotFoundError:
            return None
        return recipe

    def hold(self, asset: str, request: str, recipe: str) -> None:
        """Keep a recipe's artifact for a request until it is released."""
        if self.holder_of(asset, request) == recipe:
            return
        self.files.write(f".holds/{asset}/{request}.json", json.dumps({"recipe": recipe, "since": now()}).encode())

    def release(self, asset: str, request: str) -> None:
        """Let a held asset be rebuilt for a request."""
        self.files.delete(f".holds/{asset}/{request}.json")

    def register_dump(self, dump: str, source: Mapping[str, Any]) -> None:
        """Remember how a dump is crawled, so that its artifacts are found when another dump is configured."""
        place("dump", dump, "")
        content = (json.dumps(source, indent=1, sort_keys=True) + "\n").encode()
        name = f".dumps/{dump}.json"
        if not self.files.exists(name) or self.files.read(name) != content:
            self.files.write(name, content)

    def dump_source(self, dump: str) -> dict[str, Any]:
        """The `source` node with which a dump was crawled. Raises StoreError for a dump that is not known."""
        try:
            values: dict[str, Any] = json.loads(self.files.read(f".dumps/{dump}.json"))
        except FileNotFoundError:
            known = [name.removesuffix(".json") for name in self.files.names(".dumps")]
            raise StoreError(
                f"the dump {dump} has not been crawled into this store; known dumps: {', '.join(known) or 'none'}. "
                f"Crawl it first (--job refresh_data source.dump={dump}), or name the dumps to read in "
                "tokenizer.dumps, pretrain.dumps, conversations.dumps and curation.minhash.against"
            ) from None
        return values

    def note_difference(self, where: str, difference: Mapping[str, Any]) -> None:
        """Record that one recipe gave two results."""
        rows = self._rows(f"{where}/{NONDETERMINISM}")
        self._write_rows(f"{where}/{NONDETERMINISM}", [*rows, dict(difference)])

    def differences(self, artifact: Artifact) -> list[dict[str, Any]]:
        """Other results that the artifact's recipe gave."""
        return self._rows(f"{artifact.place}/{NONDETERMINISM}")

    def _rows(self, name: str) -> list[dict[str, Any]]:
        try:
            rows: list[dict[str, Any]] = json.loads(self.files.read(name))
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise Corrupt(f"{self.files.url}/{name}: not JSON ({error})") from error
        return rows

    def _write_rows(self, name: str, rows: list[dict[str, Any]]) -> None:
        self.files.write(name, (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode())


def now() -> str:
    """The time, in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
