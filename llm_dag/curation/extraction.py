"""Step 2: the main text of each page, without navigation and boilerplate; one paragraph a line.

`trafilatura` prefers precision and skips comments, as FineWeb does, and never compares documents with each other (its
deduplication would make the text depend on the order). `resiliparse` is some twenty times as fast and as good for
training (DCLM, Li et al. 2024, table 4). A page that opts out in a header or a meta element is dropped before that. A
page is bounded in bytes, in nesting and in processor time. The text of a data set's row is copied as it is. Records are
read one after the other, those of a file elsewhere in runs (`remote.py`); the page index holds the digest of every
payload, so a shard's key covers what is read.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import FrameType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llm_dag.curation import attribute_paths, data_rows, stored, warc
from llm_dag.curation.decoding import BodyError, decoded, to_text
from llm_dag.curation.nesting import refusal
from llm_dag.curation.opt_outs import OptOuts
from llm_dag.ledger import TextWriter, VerdictWriter, kept_rows, read_verdicts
from llm_dag.store.artifact import Artifact
from llm_dag.store.errors import Corrupt
from llm_dag.store.work import Shard, Work

SCORES = {
    "html_bytes": pa.int64(),
    "text_chars": pa.int64(),
    "encoding": pa.string(),
    "undecodable": pa.int64(),
    "opt_out": pa.string(),
    "error": pa.string(),  # the class of what an extraction_failed raised
}
PLACE = ["warc", "offset", "length", "kind", "field", "payload_digest"]
COLUMNS = ["doc_id", "url", "date", *PLACE, "charset", "encodings", "robots"]
SHORTEST = 0.001  # seconds; a timer that is set to nothing would never ring
AGAIN = 0.05  # seconds until TooSlow is raised again where it was swallowed; enough for blocks that clean up
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class TooSlow(BaseException):
    """A page took more than its time; no `except Exception` of an extractor can swallow it."""


def build(work: Work) -> None:
    """Extract the text of every page that the URL filter kept."""
    judge_shard = partial(judge, pages=work.input("raw_pages"))
    tools = {"extract": partial(extractor, work.config.extractor)}
    work.map_shards(judge_shard, reads={"raw_pages": "pages", "url_filtered": "verdicts"}, tools=tools)


def judge(shard: Shard, pages: Artifact, extract: Callable[[str], str]) -> dict[str, int]:
    """Write the shard's verdicts and texts. Raises Corrupt for a payload that is not the one that was indexed."""
    verdicts, texts = VerdictWriter(SCORES), TextWriter()
    for page, payload, replaced in stored.payloads(pages, _kept(shard)):
        if warc.payload_digest(payload) != page["payload_digest"]:
            raise Corrupt(
                f"{page['warc']}: the {page['kind']} at {page['offset']} is not the one that was indexed; run "
                "raw_pages again"
            )
        if page["kind"] in data_rows.KINDS:
            reason, text, scores = _copied(payload, replaced, shard.config.max_html_bytes)
        else:
            reason, text, scores = _extracted(page, payload, shard.config, extract)
        if not reason:
            texts.add(page["doc_id"], page["url"], page["date"], text)
        verdicts.add(page["doc_id"], page["row"], reason=reason, **scores)
    texts.write(shard.write("text"))
    counts = verdicts.write(shard.write("verdicts"))
    return counts | {"text_characters": texts.characters}


def _kept(shard: Shard) -> Iterator[dict[str, Any]]:
    judged = pq.read_table(shard.read("raw_pages"), columns=COLUMNS, partitioning=None)
    verdicts = shard.read("url_filtered")
    rows = kept_rows(judged, read_verdicts(verdicts, ["doc_id", "row", "kept"]), str(verdicts))
    for batch in rows.to_batches(max_chunksize=1_000):
        yield from batch.to_pylist()


def _copied(payload: bytes, replaced: int, limit: int) -> tuple[str, str, dict[str, Any]]:
    """(reason, text, scores) of a row whose text is ready: as it is, but for what UTF-8 cannot hold."""
    if len(payload) > limit:
        return "text_too_large", "", {}
    text = payload.decode()
    return "", text, {"text_chars": len(text), "encoding": "utf-8", "undecodable": replaced}


def _extracted(
    page: Mapping[str, Any], payload: bytes, config: Any, extract: Callable[[str], str]
) -> tuple[str, str, dict[str, Any]]:
    """(reason, text, scores) of one page; the reason is empty for a page with text."""
    asked = OptOuts(config.opt_outs, config.opt_out_agents)
    scores: dict[str, Any] = {"opt_out": asked.in_headers(page["robots"]) or None}
    if scores["opt_out"]:
        return "opt_out_header", "", scores
    try:
        body = decoded(payload, page["encodings"], config.max_html_bytes)
        scores["html_bytes"] = len(body)
        html, scores["encoding"], scores["undecodable"] = to_text(body, page["charset"])
        scores["opt_out"] = asked.in_page(html) or None
        if scores["opt_out"]:
            return "opt_out_meta", "", scores
        if refused := refusal(html):
            return refused, "", scores
        with limited(config.timeout_seconds):
            text = clean(extract(html))
    except BodyError as error:
        return error.reason, "", scores
    except TooSlow:
        return "extraction_timeout", "", scores
    except Exception as error:  # whatever a broken page does to decoders and extractors, it costs that page alone
        scores["error"] = type(error).__name__
        return "extraction_failed", "", scores
    scores["text_chars"] = len(text)
    return ("" if text else "no_text"), text, scores


def extractor(name: str) -> Callable[[str], str]:
    """The extractor by its name, warmed up: its first call must not pay for imports out of a page's time."""
    extract = {"trafilatura": _trafilatura, "resiliparse": _resiliparse}[name]
    if name == "trafilatura":
        attribute_paths.install()
    extract("<html><body><article><p>A page with one sentence, to warm up.</p></article></body></html>")
    return extract


def _trafilatura(html: str) -> str:
    from trafilatura import extract

    return extract(html, favor_precision=True, include_comments=False, deduplicate=False) or ""


def _resiliparse(html: str) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return extract_plain_text(html, main_content=True, alt_texts=False, comments=False)


def clean(text: str) -> str:
    """Text without control characters, surrogates and trailing blanks, and with at most one empty line in a row."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    lines = (line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class limited:
    """Raise TooSlow inside the block after `seconds` of computing. Outside the main thread, size alone bounds.

    What counts is the processor time of the thread, so that a busy machine drops no page which an idle one keeps; an
    extractor only computes, so nothing is lost by not counting what it waits. The timer counts all threads of the
    process and may ring early: it is then set again. It may ring late too, where the system looks at its timers seldom
    or a C function looks for no signal: a block that took too long is told so at its end. And it rings again after
    TooSlow was raised, since Python ignores an exception in a `__del__` or a callback from C.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = 0.0
        self._on = False

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
            return
        self._before = signal.signal(signal.SIGPROF, self._ring)
        self._end = time.thread_time() + self._seconds
        self._on = True
        signal.setitimer(signal.ITIMER_PROF, self._seconds)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if not self._on:
            return
        self._on = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, self._before)
        if kind is None and time.thread_time() >= self._end:
            raise TooSlow

    def _ring(self, number: int, frame: FrameType | None) -> None:
        inside = frame is None or frame.f_code not in (limited.__enter__.__code__, limited.__exit__.__code__)
        left = self._end - time.thread_time()
        if self._on:
            signal.setitimer(signal.ITIMER_PROF, max(left, SHORTEST) if left > 0 or not inside else AGAIN)
        if self._on and inside and left <= 0:  # raised while the timer is set or given back, it would stay on
            raise TooSlow
