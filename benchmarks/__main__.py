"""Run every benchmark: `python -m benchmarks`."""

from __future__ import annotations

import json

from benchmarks import encoding, gopher_rules
from benchmarks.texts import documentation


def main() -> None:
    """Print a line for each benchmark, then one line of JSON."""
    texts = documentation(1_500)
    results = [gopher_rules.measure(texts), encoding.measure(texts)]
    for result in results:
        print(f"{result['what']}: {result['ratio']:.2f} times {result['peer']}, results equal: {result['equal']}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
