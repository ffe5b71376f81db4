"""Files on HTTP(S) servers, read through `requests` (proxies and certificates come from the environment, as usual).

A file is looked at by asking for its first byte, not by HEAD: the answer says whether parts can be asked for, and
addresses that are signed for GET alone work. Each request names the entity tag that is wanted (`If-Range`), so a file
that changed is noticed at once. A server that ignores ranges sends the file from its start; what is known is skipped.
Bytes are taken as they are stored: no content coding is asked for, and none is undone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version

import requests
from requests import exceptions as refused
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util.retry import Retry

from llm_dag.store.transport import STEP, Changed, Interrupted, Patience, RemoteError, State

TIMEOUT = (20, 60)  # seconds for a connection, and for the next bytes of an answer
PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses that may be another a moment later
HINTS = {401: " (it wants credentials)", 403: " (not allowed, or no such file)", 404: " (no such file)"}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_NEVER = (refused.InvalidURL, refused.MissingSchema, refused.InvalidSchema, refused.TooManyRedirects)


class HttpReader:
    """Reads over one session, which keeps its connections."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": agent(), "Accept-Encoding": "identity"})

    def state(self, url: str) -> State:
        def ask() -> State:
            with closing(self._answer(url, {"Range": "bytes=0-0"})) as answer:
                return State(
                    _size(url, answer),
                    _etag(answer),
                    answer.headers.get("Last-Modified", ""),
                    answer.status_code != 200,
                )

        return self._patience.until(url, ask)

    def read(self, url: str, state: State, start: int, stop: int) -> Iterator[bytes]:
        return self._patience.resumed(url, start, stop, lambda at: self._from(url, state, at, stop))

    def _from(self, url: str, state: State, at: int, stop: int) -> Iterator[bytes]:
        headers = {} if (at, stop) == (0, state.bytes) else {"Range": f"bytes={at}-{stop - 1}"}
        if headers and state.etag:
            headers["If-Range"] = f'"{state.etag}"'
        with closing(self._answer(url, headers)) as answer:
            known = at - _begins(url, state, answer, at)
            try:
                for chunk in answer.raw.stream(STEP, decode_content=False):
                    if len(chunk) > known:
                        yield chunk[known:]
                    known = max(0, known - len(chunk))
            except (HTTPError, OSError) as error:
                raise Interrupted(f"the connection broke ({_short(error)})") from error

    def _answer(self, url: str, headers: dict[str, str]) -> requests.Response:
        """An answer with status 200, 206 or 416, its body not yet read. Raises RemoteError, or Interrupted."""
        try:
            answer = self._session.get(url, headers=headers, stream=True, timeout=TIMEOUT)
        except _NEVER as error:
            raise RemoteError(f"{url}: {_short(error)}; a URL that can be read is wanted") from error
        except (refused.RequestException, HTTPError, OSError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise RemoteError(f"{url}: the server's certificate is not trusted ({_short(error)})") from error
            raise Interrupted(f"cannot be reached ({_short(error)})") from error
        if answer.status_code in (200, 206, 416):
            return answer
        told = f"the server answered {answer.status_code} {answer.reason}"
        answer.close()
        if answer.status_code in PASSING:
            raise Interrupted(told, _asked(answer))
        raise RemoteError(f"{url}: {told}{HINTS.get(answer.status_code, '')}; 200 or 206 is wanted")


def agent() -> str:
    """The User-Agent: who reads, and with what."""
    try:
        ours = f"llm_dag/{version('llm_dag')}"
    except PackageNotFoundError:  # run from a checkout that is not installed
        ours = "llm_dag"
    return f"{ours} (WARC reader) python-requests/{version('requests')}"


def _size(url: str, answer: requests.Response) -> int:
    """The size of the whole file. Raises RemoteError where the answer does not say it."""
    stated = answer.headers.get("Content-Range", "")
    if answer.status_code == 206 and (found := _RANGE.fullmatch(stated)):
        return int(found[3])
    if answer.status_code == 416 and stated == "bytes */0":
        return 0
    length = answer.headers.get("Content-Length", "")
    if answer.status_code == 200 and length.isdigit():
        return int(length)
    raise RemoteError(
        f"{url}: the answer {answer.status_code} has Content-Length {length or 'none'} and Content-Range "
        f"{stated or 'none'}; a size is wanted, or nobody could tell whether the file is whole"
    )


def _begins(url: str, state: State, answer: requests.Response, at: int) -> int:
    """The byte at which an answer's body begins. Raises Changed if it is not of the file in `state`."""
    if answer.status_code == 416:
        raise Changed(f"{url}: has no byte {at} any more; {state.bytes} bytes are wanted")
    size, etag = _size(url, answer), _etag(answer)
    if size != state.bytes or (etag and state.etag and etag != state.etag):
        raise Changed(
            f"{url}: changed while it was read: {size} bytes and entity tag {etag or 'none'}; "
            f"{state.bytes} bytes and {state.etag or 'none'} are wanted"
        )
    if answer.status_code == 200:
        return 0
    found = _RANGE.fullmatch(answer.headers["Content-Range"])
    if found is None or int(found[1]) != at:
        raise RemoteError(f"{url}: asked for bytes from {at} on, the server sends {answer.headers['Content-Range']}")
    return at


def _etag(answer: requests.Response) -> str:
    """The strong entity tag; a weak one (`W/…`) says nothing of bytes."""
    tag = answer.headers.get("ETag", "")
    return tag[1:-1] if len(tag) > 2 and tag[0] == tag[-1] == '"' else ""


def _asked(answer: requests.Response) -> float:
    """The seconds of Retry-After, which may also be a date; 0 where it is missing or makes no sense."""
    try:
        return float(Retry().get_retry_after(answer.raw) or 0)
    except InvalidHeader:
        return 0.0


def _short(error: Exception) -> str:
    """What lies at the bottom of an error of requests or urllib3, in one line."""
    cause: BaseException = error
    while isinstance(reason := getattr(cause, "reason", None) or (cause.args or (None,))[0], BaseException):
        cause = reason
    text = re.sub(r"^HTTPS?Connection(Pool)?\(.*?\): |Failed to establish a new connection: ", "", str(cause))
    return " ".join(text.split()) or type(cause).__name__
