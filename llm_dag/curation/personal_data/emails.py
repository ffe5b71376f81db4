"""E-mail addresses: around each `@`, in a window of the lengths that RFC 5321 (section 4.5.3.1) allows.

Cost: linear, also for hostile texts; each `@` looks at 64 characters before it and 255 behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llm_dag.curation.personal_data.masks import FILLER

PLACEHOLDER = "email@example.com"  # RFC 2606: belongs to nobody
LONGEST_LOCAL, LONGEST_LABEL, LONGEST_DOMAIN = 64, 63, 255
LOCAL_REVERSED = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
DOMAIN = re.compile(r"[A-Za-z0-9.-]{1,255}")
TOP_LEVEL = re.compile(r"[A-Za-z]{2,24}(?=[0-9-]|\Z)")  # extractors run text together: jane@site.org4 Street


def find(text: str, starts: Sequence[int] = ()) -> Iterator[tuple[int, int]]:
    """Start and end of each e-mail address of a text, in order."""
    done = 0
    at = text.find("@")
    while at >= 0:
        before = LOCAL_REVERSED.match(text[max(done, at - LONGEST_LOCAL) : at][::-1])
        after = DOMAIN.match(text, at + 1, at + 1 + LONGEST_DOMAIN)
        if before and after:
            local = before[0][::-1].lstrip(".-'/=*#`{|}~^?!&$%+")
            domain = _domain(after[0])
            if text.startswith(FILLER, at + 1 + len(domain)):  # its end is hidden
                domain = ""
            if local and domain and not local.endswith("."):
                done = at + 1 + len(domain)
                yield at - len(local), done
        at = text.find("@", at + 1)


def _domain(run: str) -> str:
    """The longest beginning of a run of domain characters that is a host name with a top-level domain; or empty."""
    labels = []
    for label in run.split("."):
        if not label or label.startswith("-"):
            break
        labels.append(label[:LONGEST_LABEL].rstrip("-"))
        if label.endswith("-") or len(label) > LONGEST_LABEL:
            break
    while len(labels) > 1:
        if top := TOP_LEVEL.match(labels[-1]):
            return ".".join([*labels[:-1], top[0]])
        labels.pop()
    return ""
