"""Arithmetic problems: a generator, an exact grader, and a split by problem.

A problem is one of `a + b`, `a - b` (never negative), `a * b`, and `a / b` that divides without remainder. Its key is
the same for both orders of a commutative operation, so that `3 + 8` and `8 + 3` always lie in one split. Problems are
chosen by hash among all keys with operands from 0 to `largest` (a division: divisor from 1, quotient up to `largest`),
in turn from each operation, so that few problems still cover all four. Cost: O(largest^2) keys, each hashed once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from llm_dag.tasks.splits import rank, split_of

WORDS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
QUESTIONS = (
    "What is {a} {sign} {b}?",
    "What is {a} {word} {b}?",
    "How much is {a} {sign} {b}?",
    "Calculate {a} {sign} {b}.",
    "Can you work out {a} {word} {b}?",
)
EXPRESSION = re.compile(
    r"(?<![\d.,])(\d{1,9})\s{0,2}"
    r"(\+|-|−|\*|×|x|/|÷|plus|minus|times|multiplied by|divided by)"
    r"\s{0,2}(\d{1,9})(?!\d|[.,]\d)",
    re.IGNORECASE,
)
SIGNS = {"−": "-", "×": "*", "x": "*", "÷": "/", "plus": "+", "minus": "-", "times": "*"} | {
    "multiplied by": "*",
    "divided by": "/",
}
NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")


@dataclass(frozen=True)
class Problem:
    """`a sign b`, with operands in the order in which they are asked."""

    a: int
    sign: str
    b: int

    @property
    def key(self) -> str:
        """The problem whatever the order of its operands: what a split goes by."""
        low, high = sorted((self.a, self.b)) if self.sign in "+*" else (self.a, self.b)
        return f"{low} {self.sign} {high}"

    @property
    def answer(self) -> int:
        """The exact result. A division is one without remainder."""
        if self.sign == "+":
            return self.a + self.b
        if self.sign == "-":
            return self.a - self.b
        return self.a * self.b if self.sign == "*" else self.a // self.b

    @property
    def solution(self) -> str:
        """The sentence that answers it."""
        return f"{self.a} {self.sign} {self.b} = {self.answer}."

    def question(self, seed: int) -> str:
        """One of the phrasings, chosen by the problem and the seed."""
        form = QUESTIONS[rank(f"phrasing {self.a} {self.sign} {self.b}", seed) % len(QUESTIONS)]
        return form.format(a=self.a, b=self.b, sign=self.sign, word=WORDS[self.sign])


def generate(count: int, largest: int, seed: int) -> list[Problem]:
    """At most `count` problems, one for each key: as many of each operation as there are."""
    by_sign: dict[str, list[Problem]] = {sign: [] for sign in WORDS}
    for problem in _space(largest):
        by_sign[problem.sign].append(problem)
    for problems in by_sign.values():
        problems.sort(key=lambda problem: (rank(problem.key, seed), problem.key))
    turns = zip_longest(*by_sign.values())
    return [problem for turn in turns for problem in turn if problem is not None][:count]


def twins(problem: Problem) -> list[Problem]:
    """The problem and, where the operands may change places, its other order."""
    other = Problem(problem.b, problem.sign, problem.a)
    return [problem, other] if problem.sign in "+*" and other != problem else [problem]


def problem_split(problem: Problem, heldout: float, seed: int) -> str:
    """`train` or `heldout`; both orders of a commutative problem have the same."""
    return split_of(f"arithmetic {problem.key}", heldout, seed)


def grade(answer: int, text: str) -> bool:
    """Whether the last number of `text` is exactly `answer`: `3 + 8 = 11.` is right, `11.5` and `110` are wrong."""
    numbers = NUMBER.findall(text)
    if not numbers:
        return False
    last = numbers[-1].replace(",", "").replace("−", "-")
    whole, _, decimals = last.partition(".")
    return int(whole) == answer and not decimals.strip("0")


def problems_in(text: str) -> Iterator[Problem]:
    """The problems that a text states, in figures with a sign or a word between them."""
    for left, sign, right in EXPRESSION.findall(text):
        yield Problem(int(left), SIGNS.get(sign.lower(), sign), int(right))


def _space(largest: int) -> Iterator[Problem]:
    """One problem for each key, in a fixed order."""
    for a in range(largest + 1):
        for b in range(largest + 1):
            if a <= b:
                yield Problem(a, "+", b)
                yield Problem(a, "*", b)
            if a >= b:
                yield Problem(a, "-", b)
            if b:
                yield Problem(a * b, "/", b)
