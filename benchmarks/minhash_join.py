"""How time and memory of the deduplication grow: `python -m benchmarks.minhash_join 20000 200000`.

For each number of pages a dump of short texts is made in a folder, a third of them near-copies, and the step runs over
it in a process of its own. Printed: seconds, pages a second, the peak memory of the process, and the scratch that it
used. The last line is JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from llm_dag.config.compose import compose

SHARD = 10_000
WORDS = 80


class Folder:
    """A folder that answers like a committed artifact."""

    def __init__(self, asset: str, folder: Path) -> None:
        self.place, self.folder, self.partition = asset, folder / asset, "synthetic"

    def names(self, prefix: str = "") -> list[str]:
        files = sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.parquet"))
        return [name for name in files if name.startswith(prefix)]

    def path(self, name: str) -> Path:
        return self.folder / name


def make(folder: Path, pages: int) -> None:
    """Write texts, verdicts that keep all, and signatures."""
    from llm_dag import ledger
    from llm_dag.curation.minhash_signatures import Hasher, sign
    from llm_dag.curation.shingles import Shingler
    from llm_dag.store.work import Shard

    config = compose(["curation=fineweb"]).identity.curation.minhash.signatures
    shingler, hasher, draw = Shingler(config.ngram), Hasher(config), random.Random(1)
    vocabulary = [f"word{number}" for number in range(20_000)]
    before: list[list[str]] = []
    for number, start in enumerate(range(0, pages, SHARD)):
        name = f"{number:05d}"
        texts, verdicts = ledger.TextWriter(), ledger.VerdictWriter({})
        for row in range(min(SHARD, pages - start)):
            if draw.random() < 1 / 3 and before:
                words = [*draw.choice(before)]
                words[draw.randrange(WORDS)] = "changed"
            else:
                words = draw.choices(vocabulary, k=WORDS)
                before.append(words)
            doc_id = ledger.document_id(start + row)
            texts.add(doc_id, f"https://example.org/{start + row}", "", " ".join(words))
            verdicts.add(doc_id, row)
        paths = {
            ("extracted_text", "text"): folder / f"extracted_text/text/{name}.parquet",
            ("gopher_filtered", "verdicts"): folder / f"gopher_filtered/verdicts/{name}.parquet",
        }
        texts.write(paths["extracted_text", "text"])
        verdicts.write(paths["gopher_filtered", "verdicts"])
        sign(Shard(name, config, None, paths, folder / "minhash_signatures"), shingler, hasher)


def dedupe(folder: Path) -> dict[str, Any]:
    """Run the step over a made dump."""
    from llm_dag.curation import minhash
    from llm_dag.store.work import Work

    node = compose(["curation=fineweb"]).identity.curation.minhash
    names = ("extracted_text", "gopher_filtered", "minhash_signatures")
    inputs = {name: [Folder(name, folder)] for name in names}
    work = Work("minhash_deduped", "synthetic", node, None, inputs, folder / "work")  # type: ignore[arg-type]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    minhash.build(work)
    return {
        "pages": int(work.metrics["documents_in"]),
        "kept": int(work.metrics["documents_kept"]),
        "pairs_compared": int(work.metrics["pairs_compared"]),
        "seconds": time.perf_counter() - begun,
        "megabytes_before": before / 1024,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "scratch_megabytes": sum(path.stat().st_size for path in (folder / "work/state").rglob("*.u64")) / 1e6,
    }


def main() -> None:
    """Print a line for each number of pages that is given, then one line of JSON."""
    results = []
    context = multiprocessing.get_context("spawn")
    for pages in [int(word) for word in sys.argv[1:]] or [20_000, 200_000]:
        with tempfile.TemporaryDirectory() as folder:
            for one, arguments in ((make, (Path(folder), pages)), (dedupe, (Path(folder),))):
                with context.Pool(1) as pool:
                    result = pool.apply(one, arguments)
        results.append(result)
        print(
            f"{pages:,} pages, {result['kept']:,} kept: {result['seconds']:.1f} s, "
            f"{pages / result['seconds']:,.0f} pages/s, peak {result['megabytes']:,.0f} MB "
            f"({result['megabytes_before']:,.0f} before), shingles {result['scratch_megabytes']:,.0f} MB"
        )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
