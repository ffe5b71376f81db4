"""Questions and answers from the clean text of the corpus: what X does, which arguments it takes, which module has it.

Only documents of the corpus's train split are asked about: text that is held out from pretraining must not come back
through SFT. A subject is a qualified name. Subjects with the same description (`posixpath.join` and `os.path.join`)
are one group, and a split goes by group. Subjects are taken up to `max_subjects` in a fixed order: those that the
hand-written conversations name, since people ask about them; then the standard library, members of modules before
members of classes, by hash.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from llm_dag.conversations.dialogue import Dialogue, ask, normal
from llm_dag.conversations.python_pages import Description, descriptions
from llm_dag.ledger import documents
from llm_dag.tasks.splits import rank

STDLIB = "://stdlib.pydocs.example/"
GENERIC = 6  # subjects with one description: more of them, and it says nothing about any ("Initialize self.")
FEWEST_WORDS = 3

WHAT_CLASS = (
    "What is {name}?",
    "What does {name} do?",
    "What is {name} for?",
    "Explain {name}.",
)
WHAT = (
    "What does {name} do?",
    "What is {name} for?",
    "Tell me what {name} does.",
    "Explain {name}.",
)
ARGUMENTS = (
    "Which arguments does {name} take?",
    "What arguments does {name} take?",
    "What are the arguments of {name}?",
    "What can I pass to {name}?",
)
MODULE = (
    "Which module has {short}?",
    "Which module has the {sort} {short}?",
    "In which module is {short}?",
    "Where do I find {short}?",
)


@dataclass(frozen=True)
class Subject:
    """One object that can be asked about, the document it was read from, and whether the standard library has it."""

    about: Description
    where: str
    stdlib: bool

    @property
    def name(self) -> str:
        return self.about.name

    @property
    def short(self) -> str:
        return self.about.name.rpartition(".")[2]


@dataclass
class Subjects:
    """The subjects of a corpus, and what was read and left out on the way."""

    by_name: dict[str, Subject] = field(default_factory=dict)
    dropped: list[tuple[Subject, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def read_subjects(texts: Iterable[Path], answer_characters: int) -> Subjects:
    """The subjects that text shards describe; of two descriptions of a name, an object's own page wins.

    A document of the held-out split gives none and is counted, as is one without a description.
    """
    found = Subjects()
    for path in texts:
        for document in documents(path):
            found.counts["pages"] += 1
            if document.extra.get("split", "train") != "train":
                found.counts["pages_heldout"] += 1
                continue
            about = list(descriptions(document.text))
            found.counts["pages_without_description"] += not about
            for one in about:
                before = found.by_name.get(one.name)
                if before is None or (one.own_page and not before.about.own_page):
                    found.by_name[one.name] = Subject(one, document.doc_id, STDLIB in document.url)
    _drop_unusable(found, answer_characters)
    return found


def groups(subjects: Iterable[Subject]) -> dict[str, list[Subject]]:
    """Subjects with equal descriptions, under the first of their names."""
    by_summary: dict[str, list[Subject]] = defaultdict(list)
    for subject in subjects:
        by_summary[normal(subject.about.summary)].append(subject)
    sorted_groups = (sorted(group, key=lambda subject: subject.name) for group in by_summary.values())
    return {group[0].name: group for group in sorted(sorted_groups, key=lambda group: group[0].name)}


def choose(subjects: Iterable[Subject], count: int, seed: int, named: Collection[str]) -> list[Subject]:
    """The first `count` subjects in the order in which they are worth asking about (see the module's text)."""

    def order(subject: Subject) -> tuple[bool, bool, bool, int, str]:
        about = subject.about
        likely = (about.name not in named, not subject.stdlib, about.owner_kind != "module")
        return (*likely, rank(about.name, seed), about.name)

    return sorted(subjects, key=order)[:count]


def telling_names(subjects: Iterable[Subject]) -> set[str]:
    """The qualified names of those whose last part alone tells which module is meant.

    All members of modules with that last part have one description; the one with the shortest module name is meant
    (`asyncio.Timeout`, not `asyncio.timeouts.Timeout`). A `join` that modules describe differently tells nothing.
    """
    having: dict[str, list[Subject]] = defaultdict(list)
    for subject in subjects:
        if subject.about.owner_kind == "module":
            having[subject.short].append(subject)
    return {
        min(same, key=lambda subject: (len(subject.name), subject.name)).name
        for same in having.values()
        if len({normal(subject.about.summary) for subject in same}) == 1
    }


def questions(subject: Subject, phrasings: int, seed: int, name_tells: bool) -> Iterator[Dialogue]:
    """The conversations about one subject: each kind in `phrasings` forms, the plainest one always among them."""
    about = subject.about
    names = {"name": about.name, "short": subject.short, "sort": about.sort}
    answers = {"what": (WHAT_CLASS if about.sort == "class" else WHAT, about.summary)}
    if about.arguments:
        answers["arguments"] = (ARGUMENTS, f"{about.name} takes {about.arguments}.")
    if name_tells:
        answers["module"] = (MODULE, f"{subject.short} is in the module {about.owner}.")
    for kind, (forms, answer) in answers.items():
        others = sorted(forms[1:], key=lambda form: rank(f"{about.name} {form}", seed))
        for form in [forms[0], *others][:phrasings]:
            yield ask(about.name, kind, form.format(**names), answer, subject.where)


def one_phrasing(conversations: Iterable[Dialogue], seed: int) -> Iterator[Dialogue]:
    """One conversation of each kind, chosen by hash: what the held-out split asks about a subject."""
    kinds: dict[str, list[Dialogue]] = defaultdict(list)
    for conversation in conversations:
        kinds[conversation.kind].append(conversation)
    for same in kinds.values():
        yield min(same, key=lambda conversation: rank(conversation.id, seed))


def _drop_unusable(found: Subjects, answer_characters: int) -> None:
    """Take out subjects whose description is no answer, and note why."""
    shared = Counter(normal(subject.about.summary) for subject in found.by_name.values())
    for name in sorted(found.by_name):
        subject = found.by_name[name]
        reason = _unusable(subject, answer_characters)
        if not reason and shared[normal(subject.about.summary)] > GENERIC:
            reason = "generic_description"
        if reason:
            found.dropped.append((subject, reason))
            del found.by_name[name]


def _unusable(subject: Subject, answer_characters: int) -> str:
    summary = subject.about.summary
    if any(part.startswith("_") for part in subject.name.split(".")):
        return "private_name"
    if not summary:
        return "no_description"
    if len(summary) > answer_characters:
        return "long_description"
    if len(summary.split()) < FEWEST_WORDS:
        return "short_description"
    if not re.match(r"[A-Z]", summary) or "->" in summary or ">>>" in summary:
        return "not_a_sentence"
    return ""
