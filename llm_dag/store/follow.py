"""What a process does that was started beside the leader: it takes no lease and commits nothing.

    wait for the leader's lease → if the step is made together: take part in a private folder → wait for the artifact

The leader (rank 0) makes every step. Nobody waits for a dead leader: one that had the lease and is gone without an
artifact has given up, and one that never takes it is waited for only so long.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from llm_dag.store.artifact import Artifact
from llm_dag.store.errors import StoreError
from llm_dag.store.leases import Watch, is_stale, read_holder
from llm_dag.store.store import Store

LEADER_SECONDS = 600.0  # for which nobody holds the lease: the leader may still check what it made before
PATIENCE_SECONDS = 180.0  # for which a lease may stand still: network file systems show old bytes for up to a minute
POLL_SECONDS = 0.25
LONGEST_POLL_SECONDS = 5.0


class PartDone(Exception):
    """A follower's part of a step is done: what was made is the leader's to write."""


class LeaderGone(StoreError):
    """The process that makes the artifact has ended without it."""


class Follower:
    """A follower at one recipe, which lies at `where`; `launch` is the key that its leader's lease bears."""

    def __init__(self, store: Store, where: str, launch: str, find: Callable[[], Artifact | None]) -> None:
        self._files, self._where, self._launch, self._find = store.files, where, launch, find
        self._watch = Watch()

    def artifact(self, take_part: Callable[[], None] | None) -> Artifact:
        """What the leader makes; `take_part` is called once while it works. Raises LeaderGone."""
        begun = lonely = time.monotonic()
        seen = False
        while True:
            living, leading = self._holder()  # looked for first: who commits lets go of the lease afterwards
            if artifact := self._find():
                return artifact
            if seen and not leading:
                raise LeaderGone(f"{self._where}: rank 0 ended without it; what it said tells why. Start all again")
            if leading and not seen:
                seen = True
                self._take_part(take_part)
                begun = time.monotonic()
            elif not living and time.monotonic() - lonely > LEADER_SECONDS:
                raise LeaderGone(
                    f"{self._where}: rank 0 has not begun to make it for {LEADER_SECONDS:.0f} s. It has failed, or "
                    "works on another recipe: all machines want the same code, versions, configuration and store"
                )
            if living:
                lonely = time.monotonic()
            waited = time.monotonic() - begun  # many wait for hours on one store: not oftener than of use
            time.sleep(min(LONGEST_POLL_SECONDS, max(POLL_SECONDS, waited / 20)))

    def _take_part(self, take_part: Callable[[], None] | None) -> None:
        try:
            if take_part:
                take_part()
        except PartDone:
            return
        except Exception as error:
            if not self._holder()[1] and self._find() is None:
                raise LeaderGone(f"{self._where}: rank 0 ended while it was made ({error})") from error
            raise

    def _holder(self) -> tuple[bool, bool]:
        """Whether somebody living holds the lease, and whether that is the leader of this launch."""
        holder = read_holder(self._files, f".leases/{self._where}.json")
        if holder is None:
            return False, False
        living = not is_stale(holder, time.time(), self._watch.unchanged(holder), PATIENCE_SECONDS)
        return living, living and holder.launch == self._launch
