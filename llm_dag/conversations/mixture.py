"""The asset `conversations`: what the assistant is taught with, and what it is asked afterwards.

`train.jsonl` and `heldout.jsonl` hold `{"id", "subject", "kind", "messages": [{"role", "content"}]}` a line, in an
order that only the seed decides. The split goes by subject: hand-written ones by topic, questions from the corpus by
group of objects with one description, arithmetic as `eval_sets` has split it. Objects that a hand-written train
conversation names belong to the train split. Whatever would still stand on both sides is dropped, with its reason and
place in `record/dropped.jsonl`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow.parquet as pq

from llm_dag.config.conversations import Conversations
from llm_dag.conversations import corpus_questions
from llm_dag.conversations.dialogue import Dialogue, ask
from llm_dag.conversations.leaks import BenchmarkSpans, TrainText, arithmetic_keys, mentioned_names
from llm_dag.conversations.reading import load_handwritten, read_files
from llm_dag.store.artifact import Artifact
from llm_dag.store.work import Work
from llm_dag.tasks.jsonl import read_objects, write_objects
from llm_dag.tasks.splits import rank, split_of


@dataclass
class Mixture:
    """Both splits as they grow, and what was left out of them."""

    train: list[Dialogue] = field(default_factory=list)
    heldout: list[Dialogue] = field(default_factory=list)
    dropped: list[dict[str, str]] = field(default_factory=list)

    def add(self, conversation: Dialogue, split: str) -> None:
        (self.train if split == "train" else self.heldout).append(conversation)

    def drop(self, where: str, subject: str, kind: str, reason: str, detail: str = "") -> None:
        self.dropped.append({"where": where, "subject": subject, "kind": kind, "reason": reason, "detail": detail})


def build(work: Work) -> None:
    """Gather the conversations, split them by subject, take out what leaks, and write both splits."""
    config: Conversations = work.config
    eval_sets = work.input("eval_sets")
    mixture = Mixture()
    repeated = {conversation.id for conversation in add_topics(mixture, config)}
    add_arithmetic(mixture, eval_sets)
    texts = [dump.path(name) for dump in work.inputs("pii_redacted") for name in dump.names("text/")]
    subjects = corpus_questions.read_subjects(texts, config.answer_characters)
    add_corpus(mixture, subjects, config, mentioned_names(mixture.train))
    keep_apart(mixture, eval_sets)

    lines = [
        conversation.record(number)
        for conversation in mixture.train
        for number in range(1, 1 + (config.repeat_handwritten if conversation.id in repeated else 1))
    ]
    heldout = [conversation.record() for conversation in mixture.heldout]
    for name, records in (("train", lines), ("heldout", heldout)):
        records.sort(key=lambda record: (rank(record["id"], config.seed), record["id"]))
        write_objects(work.data(f"{name}.jsonl"), records)
        work.metrics[name] = len(records)
        kinds = Counter(record["kind"] for record in records)
        work.metrics |= {f"{name}/{kind}": kinds[kind] for kind in sorted(kinds)}
    write_objects(work.record("dropped.jsonl"), mixture.dropped)
    reasons = Counter(drop["reason"] for drop in mixture.dropped)
    work.metrics |= {f"dropped/{reason}": reasons[reason] for reason in sorted(reasons)}
    work.metrics |= dict(sorted(subjects.counts.items()))


def add_topics(mixture: Mixture, config: Conversations) -> list[Dialogue]:
    """Split the hand-written conversations and the user's own by subject; return the hand-written ones."""
    handwritten = load_handwritten(config.handwritten)
    own, skipped = read_files(config.files)
    for conversation in handwritten + own:
        mixture.add(conversation, split_of(f"topic {conversation.subject}", config.heldout, config.seed))
    for bad in skipped:
        mixture.drop(bad.where, "", "file", "bad_line", bad.fault)
    return handwritten


def add_arithmetic(mixture: Mixture, eval_sets: Artifact) -> None:
    """Problems of the generator, on the side on which `eval_sets` has them."""
    for split, name in (("train", "arithmetic_train.jsonl"), ("heldout", "arithmetic.jsonl")):
        for line, record in read_objects(eval_sets.path(name)):
            problem = ask(record["key"], "arithmetic", record["question"], record["solution"], f"{name}:{line}")
            mixture.add(problem, split)


def add_corpus(mixture: Mixture, subjects: corpus_questions.Subjects, config: Conversations, named: set[str]) -> None:
    """Questions about the chosen subjects of the corpus, split by group; a group with a name in `named` is train."""
    for subject, reason in subjects.dropped:
        mixture.drop(subject.where, subject.name, "corpus", reason)
    everything = subjects.by_name.values()
    telling = corpus_questions.telling_names(everything)
    chosen = corpus_questions.choose(everything, config.max_subjects, config.seed, named)
    left_out = subjects.by_name.keys() - {subject.name for subject in chosen}
    for name in sorted(left_out):
        mixture.drop(subjects.by_name[name].where, name, "corpus", "over_max_subjects")
    for first, group in corpus_questions.groups(chosen).items():
        split = split_of(f"object {first}", config.heldout, config.seed)
        if any(subject.name in named for subject in group):
            split = "train"
        for subject in group:
            asked = corpus_questions.questions(subject, config.phrasings, config.seed, subject.name in telling)
            if split == "heldout":
                asked = corpus_questions.one_phrasing(asked, config.seed)
            for conversation in asked:
                mixture.add(conversation, split)
    subjects.counts["subjects"] = len(chosen)


def keep_apart(mixture: Mixture, eval_sets: Artifact) -> None:
    """Drop train conversations that state what is held out, then held-out ones that the train split answers."""
    benchmarks = BenchmarkSpans(pq.read_table(eval_sets.path("benchmarks.parquet"))["text"].to_pylist())
    forbidden = {record["key"] for _, record in read_objects(eval_sets.path("arithmetic.jsonl"))}
    seen: set[str] = set()

    def train_fault(conversation: Dialogue) -> str:
        if conversation.id in seen:
            return "duplicate"
        if arithmetic_keys(conversation) & forbidden:
            return "heldout_arithmetic"
        return "benchmark_item" if benchmarks.overlaps(conversation) else ""

    mixture.train = _sound(mixture, mixture.train, train_fault, seen)
    text = TrainText(mixture.train)
    mixture.heldout = _sound(
        mixture, mixture.heldout, lambda one: "duplicate" if one.id in seen else text.leak(one), seen
    )


def _sound(
    mixture: Mixture, conversations: list[Dialogue], fault: Callable[[Dialogue], str], seen: set[str]
) -> list[Dialogue]:
    """The conversations without a fault; the others are noted with theirs. What is kept is added to `seen`."""
    sound = []
    for conversation in conversations:
        if reason := fault(conversation):
            mixture.drop(conversation.where, conversation.subject, conversation.kind, reason)
        else:
            sound.append(conversation)
            seen.add(conversation.id)
    return sound
