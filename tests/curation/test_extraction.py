"""Extraction: encodings, codings, bombs, time, and text that keeps its paragraphs."""

from __future__ import annotations

import contextlib
import gzip
import re
import signal
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_dag.curation import extraction
from llm_dag.curation.decoding import BodyError, decoded, to_text
from llm_dag.curation.extraction import TooSlow, clean, extractor, limited

from .crawling import PROSE, build, from_files, numbered, rows, write_warc

HTML = ("Content-Type: text/html",)


@pytest.mark.parametrize("name", ["trafilatura", "resiliparse"])
def test_paragraphs_stay_lines_and_boilerplate_goes(name: str) -> None:
    html = (
        "<html><body><nav><a href='/'>Home</a> <a href='/x'>Index</a></nav><main><article><h1>On walks</h1>"
        f"<p>{PROSE}</p><p>Another paragraph says something else, and it says so in a sentence of some length. "
        "It goes on for a while, since an extractor looks twice at a page with very little text on it.</p>"
        "</article></main><footer>Imprint and contact</footer></body></html>"
    )
    lines = [line for line in clean(extractor(name)(html)).splitlines() if line]
    assert PROSE in lines
    assert len(lines) == 3
    assert not any("Imprint" in line or "Home" in line for line in lines)


@pytest.mark.parametrize(
    ("body", "charset", "text", "encoding", "undecodable"),
    [
        ("café".encode(), "utf-8", "café", "utf-8", 0),
        ("café".encode("latin-1"), "iso-8859-1", "café", "cp1252", 0),
        (
            b'<meta charset="windows-1251">' + "мир".encode("cp1251"),
            "",
            '<meta charset="windows-1251">мир',
            "cp1251",
            0,
        ),
        (b"\xef\xbb\xbf" + "café".encode(), "iso-8859-1", "café", "utf-8", 0),
        ("café".encode("utf-16-le"), "utf-16le", "café", "utf-16-le", 0),
        (b"ok \xff ok", "utf-8", "ok ÿ ok", "cp1252", 0),
        ("日本語のページです。".encode("shift_jis") * 20, "", "日本語のページです。" * 20, "shift_jis", 0),
        ("naïve".encode("cp1252"), "no-such-charset", "na\ufffdve", "utf-8", 1),
    ],
)
def test_the_encoding_is_found(body: bytes, charset: str, text: str, encoding: str, undecodable: int) -> None:
    assert to_text(body, charset) == (text, encoding, undecodable)


def test_a_declared_encoding_that_does_not_fit_gives_way() -> None:
    body = b"<meta charset='windows-1252'>" + "Café “déjà vu”, naïve".encode("cp1252")
    text, _, lost = to_text(body, "utf-8")
    assert "Café “déjà vu”" in text
    assert lost == 0


@pytest.mark.parametrize(("charset", "meta"), [("iso-8859-1", ""), ("", "windows-1252"), ("gbk", "gbk"), ("", "")])
def test_what_is_valid_utf8_is_utf8_whatever_the_page_declares(charset: str, meta: str) -> None:
    """Pages that were converted keep their old declaration: they read “MondayÂ” in it."""
    text = f"<meta charset='{meta}'>The café’s opening — on Monday\xa0— was “quiet”"
    assert to_text(text.encode(), charset) == (text, "utf-8", 0)
    assert to_text(b"all ASCII", "iso-8859-1") == ("all ASCII", "cp1252", 0)


def test_undecodable_bytes_are_counted() -> None:
    text, _, lost = to_text("Größe ".encode() * 20 + b"\x81\x8d\xff", "utf-8")
    assert lost >= 1
    assert text.count("Größe") == 20


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


@pytest.mark.parametrize(
    ("payload", "encodings"),
    [
        (b"<p>x</p>", ""),
        (gzip.compress(b"<p>x</p>"), "gzip"),
        (zlib.compress(b"<p>x</p>"), "deflate"),
        (zlib.compress(b"<p>x</p>")[2:-4], "deflate"),
        (chunked(b"<p>x</p>"), "chunked"),
        (chunked(gzip.compress(b"<p>x</p>")), "chunked, gzip"),
        (b"<p>x</p>", "chunked"),  # named, and not used
        (b"<p>x</p>", "gzip"),
        (b"<p>x</p>", "br"),
    ],
)
def test_codings_are_undone(payload: bytes, encodings: str) -> None:
    assert decoded(payload, encodings, 1000) == b"<p>x</p>"


@pytest.mark.parametrize(
    ("payload", "encodings", "reason"),
    [
        (gzip.compress(b"a" * 10_000_000), "gzip", "html_too_large"),
        (b"a" * 2000, "", "html_too_large"),
        (b"\x1f\x8b\x08broken", "gzip", "undecodable_body"),
        (b"x", "rot13", "undecodable_body"),
    ],
)
def test_bodies_that_cannot_be_had(payload: bytes, encodings: str, reason: str) -> None:
    with pytest.raises(BodyError) as caught:
        decoded(payload, encodings, 1000)
    assert caught.value.reason == reason


def test_a_brotli_bomb_is_refused() -> None:
    brotli = pytest.importorskip("brotli")
    assert decoded(brotli.compress(b"<p>x</p>"), "br", 1000) == b"<p>x</p>"
    with pytest.raises(BodyError, match="html_too_large"):
        decoded(brotli.compress(b"a" * 50_000_000), "br", 1000)


def compute(seconds: float) -> None:
    begun = time.thread_time()
    while time.thread_time() < begun + seconds:
        pass


def test_time_is_limited_in_the_main_thread() -> None:
    with pytest.raises(TooSlow), limited(0.05):
        compute(30)
    with limited(30):
        pass


def test_a_function_that_stays_in_c_is_stopped() -> None:
    with pytest.raises(TooSlow), limited(0.05):
        re.match(r"(a+)+$", "a" * 60 + "b")  # it would take years


def test_an_exception_handler_of_an_extractor_does_not_hide_it() -> None:
    def careless() -> None:
        with contextlib.suppress(Exception):
            compute(30)

    with pytest.raises(TooSlow), limited(0.05):
        careless()


def test_an_extractor_that_swallows_it_is_stopped_again() -> None:
    swallowed = []

    def careless() -> None:
        for _ in range(2):
            try:
                compute(30)
            except BaseException as error:  # as Python does in `__del__` and in callbacks from C
                swallowed.append(type(error))
        compute(30)

    with pytest.raises(TooSlow), limited(0.05):
        careless()
    assert swallowed == [TooSlow, TooSlow]
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    compute(0.2)  # nothing rings any more


def test_a_timer_that_rings_too_late_keeps_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may look at its timers seldom, and some C functions look for no signal."""
    monkeypatch.setattr(signal, "setitimer", lambda *wanted: None)
    with pytest.raises(TooSlow), limited(0.05):
        compute(0.1)
    with limited(30):
        compute(0.1)


def test_waiting_and_the_work_of_others_do_not_count() -> None:
    """Else pages would be dropped by how busy the machine is."""
    other = threading.Thread(target=compute, args=(0.4,))
    other.start()
    with limited(0.2):
        other.join()
        time.sleep(0.3)
    with pytest.raises(TooSlow), limited(0.05):
        compute(30)


def test_the_timer_and_its_signal_are_given_back() -> None:
    before = signal.getsignal(signal.SIGPROF)
    with pytest.raises(ZeroDivisionError), limited(30):
        raise ZeroDivisionError
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGPROF) == before


def test_another_thread_works_without_a_limit() -> None:
    done: list[str] = []

    def work() -> None:
        with limited(0.01):
            done.append("worked")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["worked"]


def test_clean_text_is_storable() -> None:
    assert clean("a\x00b \r\nc\ud800\n\n\n\nd  ") == "ab\nc\n\nd"


def test_what_an_extractor_raises_costs_its_page_alone_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extractor(name: str) -> Callable[[str], str]:
        def extract(html: str) -> str:
            if "second" in html:
                raise RecursionError("a page like no other")
            return html

        return extract

    monkeypatch.setattr(extraction, "extractor", extractor)
    records = [numbered(number, body=f"<p>The {name} page.</p>") for number, name in enumerate(("first", "second"))]
    made = build(tmp_path / "store", *from_files(write_warc(tmp_path / "a.warc", records)))["extracted_text"]
    found = [(row["reason"], row["error"]) for row in rows(made, "verdicts")]
    assert found == [("", None), ("extraction_failed", "RecursionError")]


def test_pages_go_through_the_step_with_reasons(tmp_path: Path) -> None:
    body = f"<html><body><article><p>{PROSE}</p><p>{PROSE} Again.</p></article></body></html>".encode()
    records = [
        numbered(
            1,
            body=chunked(gzip.compress(body)),
            headers=(*HTML, "Content-Encoding: gzip", "Transfer-Encoding: chunked"),
        ),
        numbered(2, body=b"<html><body>" + b"<div>" * 3000 + b"</body></html>"),
        numbered(3, body=gzip.compress(b"<p>" * 1_000_000), headers=(*HTML, "Content-Encoding: gzip")),
        numbered(4, body=b"\x1f\x8b\x08broken", headers=(*HTML, "Content-Encoding: gzip")),
        numbered(5, body="<html><body><img src='a.png'></body></html>"),
        numbered(
            6,
            body=body.replace(b"library", "bibliothèque".encode("latin-1")),
            headers=("Content-Type: text/html; charset=latin1",),
        ),
    ]
    path = write_warc(tmp_path / "a.warc.gz", records)
    made = build(tmp_path / "store", *from_files(path), "curation=fast", "curation.extraction.max_html_bytes=100000")
    verdicts = rows(made["extracted_text"], "verdicts")
    assert [row["reason"] for row in verdicts] == [
        "", "html_too_deep", "html_too_large", "undecodable_body", "no_text", "",
    ]  # fmt: skip
    texts = rows(made["extracted_text"], "text")
    assert [row["url"][-1] for row in texts] == ["1", "6"]
    assert "bibliothèque" in texts[1]["text"]
    assert verdicts[0]["html_bytes"] == len(body)
    assert verdicts[0]["text_chars"] == len(texts[0]["text"])
