"""`llm-dag chat`: talk to the assistant; its words appear as they are made."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from llm_dag.cli.run import ConfigDir, Overrides
from llm_dag.cli.session import open_session, plain_errors
from llm_dag.store.errors import StoreError

if TYPE_CHECKING:
    from llm_dag.modeling.sampling import Sampling
    from llm_dag.modeling.transformer import Transformer
    from llm_dag.tokenization.messages import Message
    from llm_dag.tokenization.vocabulary import Vocabulary

HINT = "Ask about the standard library: What does os.path.join do?  /new starts over, /quit or ctrl-d ends."


def chat(
    overrides: Overrides = None,
    message: Annotated[list[str] | None, typer.Option("--message", "-m", help="Say this and print the answer.")] = None,
    model: Annotated[str, typer.Option(help="The model's asset.")] = "sft_model",
    temperature: Annotated[float, typer.Option(min=0.0, help="0: always the most probable token.")] = 0.0,
    top_k: Annotated[int, typer.Option(min=0, help="Choose among so many tokens; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option(min=0.01, max=1.0, help="Choose among tokens of this probability.")] = 1.0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="The longest answer.")] = 160,
    seed: Annotated[int, typer.Option(help="Fixes every draw.")] = 1,
    config_dir: ConfigDir = None,
) -> None:
    """Talk to the assistant."""
    console = Console()
    with plain_errors(console):
        artifact = open_session(overrides or [], config_dir).artifact(model)
        from llm_dag.modeling.huggingface import ModelError, load_model
        from llm_dag.modeling.sampling import Sampling

        try:
            transformer, vocabulary = load_model(artifact.folder())
        except ModelError as error:
            raise StoreError(f"{model} is no model that can answer: {error}") from error
        sampling = Sampling(temperature, top_k, top_p, max_new_tokens, seed)
    said: list[Message] = []
    if not message and sys.stdin.isatty():
        console.print(HINT, style="dim", highlight=False)
    for text in message or _typed(console):
        if text == "/quit":
            break
        if text == "/new":
            said = []
            continue
        said = _answer(said, text, transformer, vocabulary, sampling)


def _typed(console: Console) -> Iterator[str]:
    """What a person types, line by line, until the input ends."""
    while True:
        try:
            text = console.input("[bold]you[/] ").strip() if sys.stdin.isatty() else input().strip()
        except (EOFError, KeyboardInterrupt):
            return
        if text:
            yield text


def _answer(
    said: list[Message], text: str, transformer: Transformer, vocabulary: Vocabulary, sampling: Sampling
) -> list[Message]:
    """Print the answer as it is made, and return the conversation with it."""
    from llm_dag.modeling.generation import stream
    from llm_dag.tokenization.chat import Conversation, fitting_prompt
    from llm_dag.tokenization.messages import Message

    said = [*said, Message("user", text)]
    context = transformer.shape.context
    room = context - min(sampling.max_new_tokens, context // 2)
    prompt = fitting_prompt(Conversation(tuple(said)), vocabulary, room)
    answer = ""
    for piece in stream(transformer, vocabulary, prompt, sampling):
        answer += piece
        print(_safe(piece), end="", flush=True)
    print(flush=True)
    return [*said, Message("assistant", answer)]


def _safe(piece: str) -> str:
    """Text for a terminal: control characters could move its cursor or change its title."""
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in piece)
