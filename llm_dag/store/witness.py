"""Who computed an artifact, and from which commit: recorded, never part of a recipe."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")


def witness(threads: int, devices: int, nodes: int) -> dict[str, Any]:
    """What bit-identity is promised for: CPU features, device, threads, world size and torch."""
    return {
        "machine": platform.machine(),
        "cpu_features": cpu_features(),
        "device": "cpu",
        "threads": threads or os.cpu_count() or 1,
        "world_size": devices * nodes,
        "torch": importlib.metadata.version("torch"),
    }


def cpu_features() -> list[str]:
    """The features of this CPU that change which numbers a kernel gives."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return []
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "").split()
    return [feature for feature in FEATURES if feature in flags]


def process_started() -> float | None:
    """When this process started (Unix time), where the system tells."""
    try:
        ticks = float(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return None
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


def commit(package: Path) -> dict[str, Any]:
    """The git commit of the code and whether files differ from it; empty outside a checkout."""
    try:
        head = _git(package, "rev-parse", "HEAD")
        dirty = bool(_git(package, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": head, "dirty": dirty}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()
