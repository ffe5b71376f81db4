"""Talking to a model in the terminal: turns, what is remembered, and what is not a model."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llm_dag.cli import chat
from llm_dag.cli.main import app
from llm_dag.modeling import generation
from llm_dag.modeling.huggingface import save_model
from llm_dag.modeling.transformer import ModelShape, Transformer
from llm_dag.tokenization.tokenizer import train, write
from llm_dag.tokenization.vocabulary import Vocabulary

TEXT = "The path is joined, and the file is read; it returns what the path names.\n"
CONTEXT = 64


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights."""
    folder = tmp_path_factory.mktemp("model")
    write(train(iter([[TEXT] * 20]), "cl100k", 290), lambda name: folder / name)
    shape = ModelShape(Vocabulary.load(folder).size, 16, 1, 2, 1, 32, CONTEXT, 10_000.0, 1e-5, True)
    transformer = Transformer(shape)
    transformer.initialise(1)
    save_model(folder / "whole", shape, transformer.state_dict(), folder)
    return folder / "whole"


Talk = Callable[..., tuple[int, str]]


@pytest.fixture
def talk(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Talk:
    """Runs the command over the model, with what a person types; its exit code and what it prints."""
    session = SimpleNamespace(artifact=lambda name: SimpleNamespace(folder=lambda: model))
    monkeypatch.setattr(chat, "open_session", lambda overrides, config_dir: session)

    def run(*arguments: str, typed: str = "") -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as caught:
            app(["chat", *arguments])
        return int(caught.value.code or 0), capsys.readouterr().out

    return run


@pytest.fixture
def prompts(monkeypatch: pytest.MonkeyPatch, model: Path) -> list[str]:
    """What the model is asked, as text."""
    asked: list[str] = []
    stream = generation.stream

    def heard(transformer: Any, vocabulary: Vocabulary, prompt: list[int], sampling: Any) -> Any:
        assert len(prompt) + 8 <= CONTEXT
        asked.append(vocabulary.decode(prompt))
        return stream(transformer, vocabulary, prompt, sampling)

    monkeypatch.setattr(generation, "stream", heard)
    return asked


def test_messages_are_answered_one_line_each_and_the_same_again(talk: Talk) -> None:
    first = talk("-m", "the path", "--max-new-tokens", "8")
    assert first == talk("-m", "the path", "--max-new-tokens", "8")
    assert first[0] == 0
    assert first[1].endswith("\n")


def test_a_seed_draws_another_answer(talk: Talk) -> None:
    drawn = {
        talk("-m", "the path", "--max-new-tokens", "8", "--temperature", "1", "--seed", str(n))[1] for n in range(4)
    }
    assert len(drawn) > 1


def test_what_was_said_is_remembered_until_a_new_start(talk: Talk, prompts: list[str]) -> None:
    code, _ = talk("--max-new-tokens", "2", typed="the path\n\nthe file\n/new\nit returns\n/quit\nnever asked\n")
    assert code == 0
    assert len(prompts) == 3
    assert "the path" in prompts[1]
    assert "the file" in prompts[1]
    assert "the path" not in prompts[2]


def test_a_long_talk_forgets_its_oldest_exchanges_whole(talk: Talk, prompts: list[str]) -> None:
    code, _ = talk("--max-new-tokens", "8", typed="the path is joined\n" * 8)
    assert code == 0
    assert len(prompts) == 8
    starts = {prompt.partition("user")[0] for prompt in prompts}
    assert len(starts) == 1  # every prompt begins where a turn begins


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert chat._safe("a\x1b]0;title\x07\tb\nc\x7f") == "a�]0;title�\tb\nc�"


def test_an_asset_that_is_no_model_is_named(
    talk: Talk, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = SimpleNamespace(artifact=lambda name: SimpleNamespace(folder=lambda: tmp_path))
    monkeypatch.setattr(chat, "open_session", lambda overrides, config_dir: session)
    code, printed = talk("--model", "raw_pages", "-m", "hello")
    assert code == 2
    assert "raw_pages is no model that can answer" in printed
