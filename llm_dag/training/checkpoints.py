"""Checkpoints in scratch: written whole or not at all, and read without running anything that they hold.

A checkpoint is a temporary file, flushed to the disk and renamed to `step-<number>.pt`; the one before it stays until
the new one is there, and one more after that, so that a damaged disk block costs one interval and not the run.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

NAME = re.compile(r"step-(\d+)\.pt")
KEPT = 2


def save(folder: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write a checkpoint after `step` steps, then remove all but the `KEPT` newest. Raises OSError (disk full)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:09d}.pt"
    partial = folder / f".{path.name}.{os.getpid()}"
    try:
        with partial.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    for old in complete(folder)[:-KEPT]:
        old.unlink()
    return path


def complete(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(path for path in folder.glob("step-*.pt") if NAME.fullmatch(path.name))


def newest(folder: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The newest checkpoint that can be read, on the CPU; None without one. What cannot be read is said and passed."""
    for path in reversed(complete(folder)):
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            say(f"{path.name} cannot be read ({str(error).splitlines()[0]}); the checkpoint before it is taken")
            continue
        return state
    return None
