"""The inputs of the training steps, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from training_world import make_inputs, pretrain_work

from llm_dag.store.work import Work
from llm_dag.training import pretrain


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("inputs")
    make_inputs(root)
    return root


@pytest.fixture(scope="session")
def base(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Work:
    """An uninterrupted pretraining."""
    work = pretrain_work(inputs, tmp_path_factory.mktemp("base"))
    pretrain.build(work)
    return work
