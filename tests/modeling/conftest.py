"""A small tokenizer, and small models with its vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from llm_dag.modeling.transformer import ModelShape, Transformer
from llm_dag.tokenization.tokenizer import train, write
from llm_dag.tokenization.vocabulary import Vocabulary

TEXT = "The path is joined, and the file is read; it returns what the path names. Über 日本語 \N{PARTY POPPER}!\n"

# A slow machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small lose more to waiting threads than they gain, up to twentyfold on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    write(train(iter([[TEXT] * 20]), "cl100k", 300), lambda name: folder / name)
    return folder


@pytest.fixture(scope="session")
def vocabulary(tokenizer_folder: Path) -> Vocabulary:
    return Vocabulary.load(tokenizer_folder)


@pytest.fixture(scope="session")
def make(vocabulary: Vocabulary) -> Callable[..., Transformer]:
    """Build a model with random weights; keywords change its shape."""

    def model(**changes: Any) -> Transformer:
        values: dict[str, Any] = {
            "vocab_size": vocabulary.size,
            "width": 32,
            "depth": 2,
            "heads": 4,
            "kv_heads": 2,
            "ffn": 64,
            "context": 48,
            "rope_theta": 10_000.0,
            "norm_eps": 1e-5,
            "tie_embeddings": True,
        }
        made = Transformer(ModelShape(**(values | changes))).eval()
        made.initialise(3)
        return made

    return model
