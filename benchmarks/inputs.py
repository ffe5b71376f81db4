"""What is measured: real pages where there are any, and pages that every machine has.

Real data lies in `LLM_DAG_REAL_DATA`, or in `shared/data` beside the project. The others are pages of the embedded
source, written as a WARC file.
"""

from __future__ import annotations

import json
import os
import tarfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from fastwarc import GzipWriter, WarcRecord, WarcRecordType

HOSTS = ["https://stdlib.pydocs.example"]
FIRST = ["os.path", "builtins"]
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


def real_data() -> Path | None:
    """The folder of real data, if there is one."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LLM_DAG_REAL_DATA", default))
    return folder if folder.is_dir() else None


def documentation(count: int, distributions: Sequence[str] = ()) -> list[str]:
    """The extracted text of so many pages of the documentation of the standard library, and of distributions."""
    from llm_dag.curation import extraction
    from llm_dag.curation.python_docs import site

    extract = extraction.extractor("resiliparse")
    origins = [*HOSTS, *(f"https://{name}.pydocs.example" for name in distributions)]
    texts = [extract(page.content.decode()) for page in site.pages(distributions, FIRST, count, origins)]
    return [text for text in texts if text]


def crawls(folder: Path, pages: int) -> dict[str, Path]:
    """WARC files by name: real pages of many sites, real articles in English, and `pages` embedded ones.

    Every record says `WARC-Identified-Payload-Type: text/html`, as Common Crawl's do: without it datatrove's reader
    guesses, and skips most of the articles.
    """
    from llm_dag.curation import warc
    from llm_dag.curation.python_docs import site

    found: dict[str, Path] = {}
    real = real_data()
    if real is not None and (web := real / "extraction/trafilatura_eval/pages-dev.warc.gz").is_file():
        pairs = ((one.url, one.payload) for one in warc.captures(web) if one.kind == "response")
        found["web"] = write_crawl(folder / "web.warc.gz", pairs)
    if real is not None and (real / "extraction/zyte_article_benchmark").is_dir():
        pairs = ((f"https://{name}.example/", html) for name, html, _ in articles(real))
        found["articles"] = write_crawl(folder / "articles.warc.gz", pairs)
    embedded = ((page.url, page.content) for page in site.pages([], FIRST, pages, HOSTS))
    found["documentation"] = write_crawl(folder / "documentation.warc.gz", embedded)
    return found


def articles(real: Path) -> Iterator[tuple[str, bytes, str]]:
    """(id, HTML, the article's text as people marked it) of the Zyte benchmark."""
    import zstandard

    folder = real / "extraction/zyte_article_benchmark"
    gold = json.loads((folder / "ground-truth.json").read_text())
    with (folder / "html.tar.zst").open("rb") as packed:
        stream = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(packed)
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = Path(member.name).name.removesuffix(".html")
                if name in gold and (file := archive.extractfile(member)) is not None:
                    yield name, file.read(), gold[name]["articleBody"]


def write_crawl(path: Path, pages: Iterable[tuple[str, bytes]]) -> Path:
    """A WARC file of (URL, HTML) pairs, with no charset in their HTTP headers."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    with path.open("wb") as stream:
        for url, html in pages:
            record = WarcRecord()
            record.init_headers(WarcRecordType.response, f"uuid:{uuid.uuid5(uuid.NAMESPACE_URL, url)}".encode())
            record.record_date = EPOCH
            record.headers["WARC-Target-URI"] = url
            record.headers["WARC-Identified-Payload-Type"] = "text/html"
            record.headers["Content-Type"] = "application/http; msgtype=response"
            record.set_bytes_content(head + html)
            member = GzipWriter(stream)
            record.write(member)
            member.finish()
    return path
