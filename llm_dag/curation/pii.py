"""Personal data: e-mail addresses and public IPv4 addresses become fixed placeholders.

An e-mail address is looked for around each `@`, in a window of the lengths that RFC 5321 allows. An IPv4 address is
four numbers that stand alone; private and reserved addresses stay, and so do version numbers (after `v`, `version`,
`==`, or a name and a hyphen) and section numbers (after `section` and the like, or small numbers that head a line).
The ledger holds counts, never a value. Cost: linear, also for hostile texts: every quantifier is bounded, and each `@`
and each digit looks at a bounded window.

Nothing is dropped here. The text that is left is what tokenizers and models see; `split` says on which side of the
held-out split its duplicate cluster falls, by the key that the deduplication gave it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from llm_dag import ledger
from llm_dag.config.curation import Pii
from llm_dag.store.work import Shard, Work
from llm_dag.tasks.splits import split_of

EMAIL = "email@example.com"  # RFC 2606: belongs to nobody
IP = "192.0.2.1"  # RFC 5737: documentation, reaches nobody
LONGEST_LOCAL, LONGEST_DOMAIN = 64, 255
LOCAL_REVERSED = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
DOMAIN = re.compile(r"[A-Za-z0-9.-]{1,255}")
TOP_LEVEL = re.compile(r"[A-Za-z]{2,24}(?=[0-9-]|\Z)")  # extractors run text together: jane@site.org4 Street
ADDRESS = re.compile(r"(?<![\w.])(?<![A-Za-z][-+])(?<![=<>~!]=)[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\w)(?!\.[0-9a-z])")
BEFORE = 24  # characters before a number in which a word can say that it is no address
NO_ADDRESS = re.compile(
    r"(?:\bv|\bver|\bversions?|\brev|\brevision|\brelease|\bbuild|\bfirmware|\bsect?|\bsections?|\bchapter|\bclause"
    r"|\barticle|\bparagraph|\bfigure|\btable|\bappendix|§)[.:]?[ \t]{0,2}\(?\Z",
    re.IGNORECASE,
)
LARGEST_SECTION = 40  # headings such as "1.2.3.10 Scope": all four numbers are at most this

SCORES = {"emails": pa.int64(), "ips": pa.int64(), "characters_replaced": pa.int64()}


def build(work: Work) -> None:
    """Write the clean text of every page that is kept."""
    work.map_shards(judge, reads={"c4_filtered": "text", "custom_filtered": "verdicts"})


def judge(shard: Shard) -> dict[str, int]:
    """Write the shard's verdicts and clean texts."""
    verdicts = ledger.VerdictWriter(SCORES)
    texts = ledger.TextWriter({"cluster": pa.string(), "split": pa.string()})
    config: Pii = shard.config
    totals = {"emails": 0, "ips": 0, "heldout": 0}
    for document in ledger.documents(shard.read("c4_filtered"), shard.read("custom_filtered")):
        text, counts = redact(document.text, config)
        split = split_of(document.extra["split_key"], config.heldout_fraction, config.heldout_seed)
        texts.add(document.doc_id, document.url, document.date, text, cluster=document.extra["cluster"], split=split)
        verdicts.add(document.doc_id, document.row, reason="", **counts)
        totals["emails"] += counts["emails"]
        totals["ips"] += counts["ips"]
        totals["heldout"] += split == "heldout"
    texts.write(shard.write("text"))
    return {**verdicts.write(shard.write("verdicts")), "characters": texts.characters, **totals}


@dataclass(frozen=True)
class Span:
    """A piece of text to replace."""

    start: int
    end: int
    kind: str
    placeholder: str


def redact(text: str, config: Pii) -> tuple[str, dict[str, int]]:
    """The text with placeholders, and how many of each kind; the same text again gives itself."""
    found = [*(emails(text) if config.emails else ()), *(addresses(text) if config.ips else ())]
    spans: list[Span] = []
    for span in sorted(found, key=lambda span: (span.start, span.kind)):
        if not spans or span.start >= spans[-1].end:  # an address inside an e-mail's local part goes with it
            spans.append(span)
    parts, end = [], 0
    for span in spans:
        parts += [text[end : span.start], span.placeholder]
        end = span.end
    counts = {
        "emails": sum(span.kind == "email" for span in spans),
        "ips": sum(span.kind == "ip" for span in spans),
        "characters_replaced": sum(span.end - span.start for span in spans),
    }
    return "".join([*parts, text[end:]]), counts


def emails(text: str) -> Iterator[Span]:
    """The e-mail addresses of a text, in order."""
    done = 0
    at = text.find("@")
    while at >= 0:
        before = LOCAL_REVERSED.match(text[max(done, at - LONGEST_LOCAL) : at][::-1])
        after = DOMAIN.match(text, at + 1, at + 1 + LONGEST_DOMAIN)
        if before and after:
            local = before[0][::-1].lstrip(".-'/=*#`{|}~^?!&$%+")
            domain = _domain(after[0])
            if f"{local}@{domain}".startswith(EMAIL):
                done = at - len(local) + len(EMAIL)  # replaced before
            elif local and domain and not local.endswith("."):
                done = at + 1 + len(domain)
                yield Span(at - len(local), done, "email", EMAIL)
        at = text.find("@", at + 1)


def _domain(run: str) -> str:
    """The longest beginning of a run of domain characters that is a host name with a top-level domain; or empty."""
    labels = []
    for label in run.split("."):
        if not 0 < len(label) <= 63 or label.startswith("-"):
            break
        labels.append(label.rstrip("-"))
        if label.endswith("-"):
            break
    while len(labels) > 1:
        if top := TOP_LEVEL.match(labels[-1]):
            return ".".join([*labels[:-1], top[0]])
        labels.pop()
    return ""


def addresses(text: str) -> Iterator[Span]:
    """The public IPv4 addresses of a text, in order."""
    for match in ADDRESS.finditer(text):
        if match[0] != IP and _is_public(match[0]) and not _is_numbering(text, match):
            yield Span(match.start(), match.end(), "ip", IP)


def _is_public(number: str) -> bool:
    try:
        address = ipaddress.IPv4Address(number)
        return address.is_global and not address.is_multicast
    except ValueError:  # a part above 255, or with a leading zero
        return False


def _is_numbering(text: str, match: re.Match[str]) -> bool:
    """Whether four numbers are a version or a section."""
    start, end = match.span()
    before = text[max(0, start - BEFORE) : start]
    if NO_ADDRESS.search(before):
        return True
    heads_line = not before.rpartition("\n")[2].strip(" \t#") and (len(before) < BEFORE or "\n" in before)
    titled = text[end : end + 1] in (" ", "\t") and text[end + 1 : end + 2].isalpha()
    return heads_line and titled and all(int(part) <= LARGEST_SECTION for part in match[0].split("."))
