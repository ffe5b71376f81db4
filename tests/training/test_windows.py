"""Windows over token arrays: every token's fate is counted, and what was read is known exactly."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from training_world import Folder

from llm_dag.tokenization.arrays import TokenArrays
from llm_dag.training.loop import IGNORED
from llm_dag.training.windows import HeldoutWindows, TooFewTokens, Windows, seen_documents, seen_ranges


@pytest.fixture(scope="module")
def arrays(inputs: Path) -> TokenArrays:
    return TokenArrays.open([Folder(inputs / dump, dump) for dump in ("one", "two")], "train")


def read_positions(windows: Windows, steps: int) -> Counter[int]:
    """Input positions, found by looking up each row that a run asks for."""
    rows = [windows.window(step * windows.rows + row) for step in range(steps) for row in range(windows.rows)]
    return Counter(at * windows.length + offset for at in rows for offset in range(windows.length))


@pytest.mark.parametrize("steps", [1, 3, 40])
def test_seen_documents_and_ranges_are_the_inputs_that_were_read(arrays: TokenArrays, steps: int) -> None:
    windows = Windows(arrays, 16, 4, 3)
    positions = read_positions(windows, steps)
    table = arrays.documents(0, len(arrays)).to_pylist()
    wanted = {
        row["doc_id"]: sum(positions[at] for at in range(row["first_token"], row["first_token"] + row["tokens"]))
        for row in table
    }
    found = {row["doc_id"]: row["tokens_seen"] for row in seen_documents(windows, steps).to_pylist()}
    assert found == {name: count for name, count in wanted.items() if count}
    assert sum(found.values()) == steps * 4 * 16

    starts = {(shard.dump, shard.ids.stem): int(at) for shard, at in zip(arrays.shards, arrays.starts, strict=False)}
    ranges: Counter[int] = Counter()
    for row in seen_ranges(windows, steps).to_pylist():
        begin = starts[row["dump"], row["shard"]] + row["first_token"]
        ranges.update(dict.fromkeys(range(begin, begin + row["tokens"]), row["times"]))
    assert ranges == positions


def test_an_epoch_reads_each_window_once_and_the_tail_is_counted(arrays: TokenArrays) -> None:
    windows = Windows(arrays, 16, 1, 3)
    positions = read_positions(windows, windows.count)
    assert set(positions.values()) == {1}
    assert sorted(positions) == list(range(windows.count * 16))
    assert windows.cropped == len(arrays) - len(positions)
    assert 1 <= windows.cropped <= 16
    second = [windows.window(windows.count + at) for at in range(windows.count)]
    assert sorted(second) == list(range(windows.count))
    assert second != [windows.window(at) for at in range(windows.count)]


def test_a_batch_is_a_function_of_seed_and_step(arrays: TokenArrays) -> None:
    batch = Windows(arrays, 16, 4, 3).batch(50, 0, 4)
    fresh = Windows(arrays, 16, 4, 3)
    fresh.batch(2, 0, 4)
    parts = [fresh.batch(50, at, at + 1) for at in range(4)]
    for name in ("tokens", "labels"):
        assert np.array_equal(batch[name], np.concatenate([part[name] for part in parts]))
    assert np.array_equal(batch["tokens"][:, 1:], batch["labels"][:, :-1])
    assert not np.array_equal(batch["tokens"], Windows(arrays, 16, 4, 4).batch(50, 0, 4)["tokens"])


def test_held_out_labels_are_the_whole_split_once(inputs: Path) -> None:
    arrays = TokenArrays.open([Folder(inputs / dump, dump) for dump in ("one", "two")], "heldout")
    heldout = HeldoutWindows.choose(arrays, 16, 10**9, 3)
    batch = heldout.batch(0, len(heldout) + 2)
    labels = batch["labels"].flatten().numpy()
    assert labels[labels != IGNORED].tolist() == arrays.slice(1, len(arrays) - 1).tolist()
    assert len(HeldoutWindows.choose(arrays, 16, 40, 3)) == 2


def test_some_held_out_windows_are_spread_over_the_split_by_the_seed(inputs: Path) -> None:
    arrays = TokenArrays.open([Folder(inputs / dump, dump) for dump in ("one", "two")], "heldout")
    chosen = {seed: HeldoutWindows.choose(arrays, 4, 20, seed).chosen for seed in range(8)}
    assert {len(set(one)) for one in chosen.values()} == {5}
    assert len(set(chosen.values())) > 4
    assert max(at for one in chosen.values() for at in one) > (len(arrays) - 1) // 4 // 2
    assert chosen[3] == HeldoutWindows.choose(arrays, 4, 20, 3).chosen


def test_too_few_tokens_are_refused(arrays: TokenArrays) -> None:
    with pytest.raises(TooFewTokens, match=r"pretrain\.sequence=100000 wants 100001"):
        Windows(arrays, 100_000, 1, 1)
