"""Numbers as a person reads them."""

from __future__ import annotations

import math
import unicodedata

MISSING = "not recorded"
GAP = "\u00a0"  # no line ends between a number and its unit
TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # bidirectional classes of pure controls


def count(value: float | None) -> str:
    """12345 → `12,345`."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:,.0f}"


def about(value: float | None) -> str:
    """5712000 → `5.71 million`; under ten thousand the number itself."""
    if value is None or not math.isfinite(value):
        return MISSING
    for power, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if value >= 0.9995 * power:
            return f"{value / power:.3g} {word}"
    return f"{value / 1e3:.0f} thousand" if value >= 1e4 else f"{value:,.0f}"


def short(value: float) -> str:
    """1500000 → `1.5M`: a tick of an axis."""
    for power, word in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= power:
            return f"{value / power:g}{word}"
    return f"{value:g}"


def size(value: float | None) -> str:
    """1536 → `1.54 kB`, in powers of ten."""
    if value is None:
        return MISSING
    for power, word in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= power:
            return f"{value / power:.3g} {word}"
    return f"{value:.0f} bytes"


def duration(seconds: float | None) -> str:
    """271.4 → `4 min 31 s`; under ten seconds with a decimal."""
    if seconds is None:
        return MISSING
    if seconds < 9.95:
        return f"{seconds:.1f}{GAP}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{GAP}s"
    if whole < 3600:
        return f"{whole // 60}{GAP}min {whole % 60}{GAP}s"
    return f"{whole // 3600}{GAP}h {whole % 3600 // 60}{GAP}min"


def percent(value: float | None) -> str:
    """0.1234 → `12.3 %`."""
    return MISSING if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def decimal(value: float | None, places: int = 3) -> str:
    """1.32149 → `1.321`."""
    return MISSING if value is None or not math.isfinite(value) else _minus(f"{value:.{places}f}")


def between(low: float | None, high: float | None) -> str:
    """An interval: `1.29 to 1.35`, or that there is none."""
    return "no interval" if low is None or high is None else f"{decimal(low)} to {decimal(high)}"


def _minus(number: str) -> str:
    return number.replace("-", "−")


def phrase(name: str) -> str:
    """`too_few_words` → `too few words`."""
    return name.replace("_", " ")


def visible(text: str) -> str:
    """Text whose control characters, those that turn its direction among them, show as U+FFFD instead of acting."""
    return "".join("\ufffd" if _acts(character) else character for character in text)


def _acts(character: str) -> bool:
    if character in "\n\t":
        return False
    return unicodedata.category(character) in ("Cc", "Cs") or unicodedata.bidirectional(character) in TURNS
