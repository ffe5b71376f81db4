"""Run benchmarks: `python -m benchmarks` runs all of them, `python -m benchmarks curation scaling` the named ones.

A benchmark is a module of this package with a function `main() -> dict`, which prints lines and returns its numbers.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence

NAMES = ("gopher_rules", "minhash", "encoding", "extraction", "curation", "scaling", "hostile")


def main(chosen: Sequence[str]) -> None:
    """Run the benchmarks, then print one line of JSON: the numbers of each, by name."""
    if unknown := sorted(set(chosen) - set(NAMES)):
        sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    results = {}
    for name in chosen or NAMES:
        results[name] = importlib.import_module(f"benchmarks.{name}").main()
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
