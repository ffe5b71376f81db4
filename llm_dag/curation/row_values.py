"""The values of a row of a data set: what the ledger can hold of them, and what is wrong with a row.

Text is taken as it is. The one thing that UTF-8, and so the ledger, cannot hold is half of a surrogate pair, which JSON
can spell (`"\\ud800"`): each becomes U+FFFD and is counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llm_dag.config.source import Rows
from llm_dag.curation.warc import Capture
from llm_dag.store.errors import StoreError

_SURROGATE = re.compile("[\ud800-\udfff]")


class RowsError(StoreError):
    """A data set that cannot be read as it is described: the message names file, column, what was found and wanted."""


def stored(text: str) -> tuple[bytes, int]:
    """A text as UTF-8, and how many halves of surrogate pairs became U+FFFD."""
    try:
        return text.encode(), 0
    except UnicodeEncodeError:
        text, count = _SURROGATE.subn("\ufffd", text)
        return text.encode(), count


def text_of(value: Any) -> tuple[bytes, int, str]:
    """(UTF-8, characters replaced, problem) of a text; bytes are checked to be UTF-8."""
    if value is None:
        return b"", 0, "no_text"
    if isinstance(value, bytes):
        try:
            text, content, replaced = value.decode(), value, 0
        except UnicodeDecodeError:
            return b"", 0, "not_utf8"
    elif isinstance(value, str):
        text = value
        content, replaced = stored(text)
    else:
        return b"", 0, "wrong_type"
    return (b"", 0, "no_text") if not text or text.isspace() else (content, replaced, "")


def word_of(value: Any) -> str | None:
    """An id, a URL or a date as text, empty for none; None for what is neither text nor a whole number."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return stored(value)[0].decode()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def described(place: Capture, values: Mapping[str, Any], columns: Rows) -> Capture:
    """The capture of a row at a place from the values of its columns `text`, `id`, `url` and `date`."""
    text, _, problem = text_of(values["text"])
    words = {key: word_of(values.get(key)) for key in ("id", "url", "date")}
    if None in words.values() and not problem:
        problem = "wrong_type"
    return replace(
        place,
        url=words["url"] or "",
        date=words["date"] or "",
        record_id=(words["id"] or "").strip("<>"),  # as the ids of WARC records, which FineWeb's are
        content_type="text/plain",
        charset="utf-8",
        field=columns.text,
        payload=text,
        problem=problem,
    )
