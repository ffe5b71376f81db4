"""Pages and files in which every rule of the ci graph finds something: planted among the documentation."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ADJECTIVES = ("old", "green", "quiet", "narrow", "broken", "early", "distant", "painted", "heavy", "silent", "honest")
NOUNS = (
    *("bridge", "library", "ferry", "letter", "mayor", "clerk", "window", "harbour", "market", "orchard", "bishop"),
    *("violin", "kettle", "ladder", "garden", "barrel", "lantern", "archive", "student", "river", "trumpet", "evening"),
    *("carpet", "doctor", "island", "ticket", "journal", "engine", "castle", "compass", "meadow", "station", "curtain"),
)
VERBS = ("opened", "carried", "followed", "painted", "remembered", "borrowed", "repaired", "visited", "described")
WHEN = (
    "in spring",
    "before noon",
    "after the flood",
    "with great care",
    "for three years",
    "without a word",
    "at last",
)
QUESTION = "Which of the three mayors wrote the longest letter about the bridge that had to be painted green?"


def paragraphs(*texts: str) -> str:
    return "\n".join(f"<p>{text}</p>" for text in texts)


def about(seed: str, sentences: int = 14) -> str:
    """Sentences that are nobody else's: equal seeds give equal ones."""
    draw = random.Random(seed)

    def sentence() -> str:
        first, second, third = draw.sample(NOUNS, 3)
        adjective, other = draw.sample(ADJECTIVES, 2)
        verb, again = draw.sample(VERBS, 2)
        return draw.choice(
            [
                f"The {adjective} {first} {verb} a {second} {draw.choice(WHEN)}; nobody {again} that {other} {third}.",
                f"{draw.choice(WHEN).capitalize()} they {verb} every {second} of this {adjective} {first}.",
                f"Is it {other} to have {again} one {first} {draw.choice(WHEN)} with {adjective} {third}s?",
            ]
        )

    return " ".join(sentence() for _ in range(sentences))


TWIN = [about(f"twin {number}", 6) for number in range(4)]


class Planted(NamedTuple):
    """A page, and the step that drops it with its reason."""

    body: str
    step: str = ""
    reason: str = ""
    path: str = ""  # of the URL; the page's name where it has none


PAGES: dict[str, Planted] = {
    "marks": Planted(
        paragraphs(
            about("marks"),
            "The bridge was opened in May. [1] It was closed again in June. [citation needed] Nobody knew why.",
            "Please enable JavaScript to see the map of the whole town and of its harbour.",
            "By using this site you agree to our privacy policy and to everything else that it says.",
        )
    ),
    "lorem": Planted(paragraphs(about("lorem"), "Here stands a lorem ipsum text."), "c4_filtered", "lorem_ipsum"),
    "bracket": Planted(paragraphs(about("bracket"), "A line with { in it."), "c4_filtered", "curly_bracket"),
    "personal": Planted(
        paragraphs(
            about("mail"),
            "Write to jane.doe@mail.town.org about it.",
            "The old server was 8.8.4.4 until May, and the new one is 2606:4700:4700::1111 since.",
            "The mayor was on (212) 345-6789 all day.",
            "She paid with the card 4111 1111 1111 1111, from the account DE89 3704 0044 0532 0130 00.",
            "The form wants a number such as 123-45-6789 here.",
        )
    ),
    "longer": Planted(paragraphs(*TWIN, about("another end", 4))),
    "twin": Planted(paragraphs(*TWIN, "This one ends here, as all of them know."), "minhash_deduped", "duplicate"),
    "overlap": Planted(paragraphs(about("overlap"), f"They say that {' '.join(QUESTION.split()[:11])} of them all.")),
    "ellipses": Planted(
        paragraphs(about("ellipses"), "And then the door was opened again...", "Nobody saw #1 of them.")
    ),
    "repeated": Planted(
        paragraphs(about("first half", 20), "Read on here.", about("second half", 20), "Read on here.")
    ),
    "soft": Planted(paragraphs(about("soft")), path="chess/domination-of-the-centre"),
    "listed": Planted(
        paragraphs(about("listed")) + "<ul><li>- The first stall sells pears.</li><li>- The second has none.</li></ul>"
    ),
}


def write_canaries(folder: Path) -> Path:
    """The pages as a folder of canaries."""
    folder.mkdir(parents=True)
    entries = []
    for name, page in PAGES.items():
        title = f"<html><head><title>{name}</title></head><body><main><article><h1>About the town</h1>\n"
        (folder / f"{name}.html").write_text(f"{title}{page.body}\n</article></main></body></html>", encoding="utf-8")
        url = f"https://town.example/{page.path or name}.html"
        entries.append({"url": url, "file": f"{name}.html", "step": page.step, "reason": page.reason})
    (folder / "canaries.yaml").write_text(yaml.safe_dump(entries))
    return folder


def write_rows(folder: Path, name: str, count: int) -> None:
    """A data set of ready texts, as Parquet and as JSON lines, with a second column of each kind."""
    rows = [
        {
            "text": about(f"{name} {number}"),
            "id": f"{name}-{number}",
            "url": f"https://town.example/{name}/{number}",
            "date": "2024-05-01",
            "summary": about(f"{name} {number}", 2),
            "key": number,
            "canonical": f"https://town.example/{number}",
            "added": "2024-06-01",
        }
        for number in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_conversations(path: Path, count: int, word: str = "plain") -> Path:
    """Hand-written conversations about `count` topics."""
    with path.open("w") as file:
        for number in range(count):
            said = [
                {"role": "user", "content": f"What is the {word} topic number {number}?"},
                {"role": "assistant", "content": f"It is about the {word} thing {number * number}."},
            ]
            file.write(json.dumps({"subject": f"{word} {number}", "kind": "topic", "messages": said}) + "\n")
    return path


def write_benchmarks(path: Path, question: str = QUESTION) -> Path:
    path.write_text(json.dumps({"task": "mayors", "question": question, "answer": "The second."}) + "\n")
    return path
