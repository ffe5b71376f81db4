"""Text files that a person wrote: rules and lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def read_utf8(path: Path, what: str, error: Callable[[str], Exception]) -> str:
    """The text of a file. Raises `error` with the line and the byte that is not UTF-8; `what` says what the file is."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as wrong:
        line = content.count(b"\n", 0, wrong.start) + 1
        found = f"found the byte 0x{content[wrong.start]:02x}, which is not UTF-8"
        raise error(f"{path}, line {line}: {found}; {what} UTF-8 text") from None
