"""Arithmetic problems: exact answers, an exact grader, and a split that keeps twins together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.tasks.arithmetic import WORDS, Problem, generate, grade, problem_split, problems_in, twins

numbers = st.integers(0, 500)
problems = st.one_of(
    st.builds(Problem, numbers, st.sampled_from("+*"), numbers),
    st.builds(lambda a, b: Problem(a + b, "-", b), numbers, numbers),
    st.builds(lambda a, b: Problem(a * b, "/", b), numbers, st.integers(1, 500)),
)


@given(problems, st.integers(0, 9))
def test_a_question_states_its_problem_and_the_solution_is_graded_right(problem: Problem, seed: int) -> None:
    assert list(problems_in(problem.question(seed))) == [problem]
    assert list(problems_in(problem.solution)) == [problem]
    assert grade(problem.answer, problem.solution)
    assert not grade(problem.answer + 1, problem.solution)


@given(problems, st.floats(0.05, 0.95), st.integers(0, 99))
def test_twins_share_a_split_and_an_answer(problem: Problem, heldout: float, seed: int) -> None:
    both = twins(problem)
    assert problem in both
    assert len({(twin.key, twin.answer, problem_split(twin, heldout, seed)) for twin in both}) == 1


@pytest.mark.parametrize(
    ("answer", "text", "right"),
    [
        (11, "3 + 8 = 11.", True),
        (11, "11", True),
        (11, "It is 11.0", True),
        (1234, "That makes 1,234.", True),
        (-4, "The result is -4.", True),
        (11, "It is 11.5.", False),
        (11, "110", False),
        (11, "11 or 12", False),
        (11, "eleven", False),
        (11, "", False),
        (3, "model v3", False),
    ],
)
def test_the_grader_takes_the_last_number_exactly(answer: int, text: str, right: bool) -> None:
    assert grade(answer, text) is right


def test_generated_problems_are_distinct_and_cover_every_operation() -> None:
    made = generate(200, 12, seed=3)
    assert len(made) == 200
    assert len({problem.key for problem in made}) == 200
    counts = [sum(problem.sign == sign for problem in made) for sign in WORDS]
    assert min(counts) == max(counts) == 50
    assert generate(200, 12, seed=3) == made
    assert generate(200, 12, seed=4) != made
    assert all(problem.answer >= 0 for problem in made)


def test_the_generator_ends_where_the_problems_end() -> None:
    made = generate(10_000, 3, seed=0)
    assert len(made) == 10 + 10 + 10 + 12


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("What is 8 plus 3, and 2 × 5?", ["3 + 8", "2 * 5"]),
        ("6÷3 and 7 multiplied by 2", ["6 / 3", "2 * 7"]),
        ("Python 3.11 and 2024-01", ["2024 - 1"]),
        ("no figures", []),
        ("3 + 8.5", []),
    ],
)
def test_problems_are_found_in_text(text: str, keys: list[str]) -> None:
    assert [problem.key for problem in problems_in(text)] == keys
