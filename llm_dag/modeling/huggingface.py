"""Write and read a model folder: the layout of Hugging Face's `LlamaForCausalLM`, which `transformers` opens as it is.

    config.json  generation_config.json  model.safetensors
    tokenizer.json  tokenizer_config.json  chat_template.jinja    (copies of the tokenizer's own)

The model and its tokenizer are bound: `config.json` holds the vocabulary's digest, and neither is opened with another.
Equal weights give equal bytes: safetensors orders tensors by itself, and nothing else is written.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from llm_dag.modeling.transformer import ModelShape, Transformer
from llm_dag.store.errors import StoreError
from llm_dag.tokenization.vocabulary import Vocabulary

CONFIG, WEIGHTS, GENERATION = "config.json", "model.safetensors", "generation_config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
DIGEST = "llm_dag_tokenizer_digest"


class ModelError(StoreError):
    """A model folder that cannot be written or read; the message names the file and what was wanted."""


def save_model(folder: Path, shape: ModelShape, state: Mapping[str, Tensor], tokenizer: Path) -> None:
    """Write a model folder; weights keep their dtype.

    Raises:
        ModelError: `state` has not exactly the tensors of `shape`, or fewer embedding rows than the vocabulary tokens.
    """
    vocabulary = Vocabulary.load(tokenizer)
    if shape.vocab_size < vocabulary.size:
        raise ModelError(f"{shape.vocab_size} embedding rows for the {vocabulary.size} tokens of {tokenizer}")
    _verify(shape, state, str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    dtype = next(iter(tensors.values())).dtype
    _write(folder / CONFIG, config_of(shape, vocabulary, dtype))
    _write(folder / GENERATION, generation_of(vocabulary))
    for name in TOKENIZER_FILES:
        shutil.copyfile(tokenizer / name, folder / name)


def load_model(
    folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> tuple[Transformer, Vocabulary]:
    """The model in evaluation mode, in `dtype` (default: as stored), and the vocabulary it is bound to.

    Raises:
        ModelError: a file is missing or damaged, the tensors do not fit the config, or the tokenizer is another one.
    """
    config = _read(folder / CONFIG)
    vocabulary = Vocabulary.load(folder)
    if config.get(DIGEST) != vocabulary.digest:
        raise ModelError(
            f"{folder}: the model was trained with the tokenizer {config.get(DIGEST)}, but tokenizer.json is "
            f"{vocabulary.digest}; token ids would mean other words. Put the model's own tokenizer files back"
        )
    shape = shape_of(config, folder / CONFIG)
    try:
        state = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder / WEIGHTS}: {error}; wanted the weights that {CONFIG} describes") from error
    _verify(shape, state, str(folder / WEIGHTS))
    with torch.device("meta"):
        model = Transformer(shape)
    model.load_state_dict(state, assign=True)
    return model.to(device=device, dtype=dtype).eval(), vocabulary


def config_of(shape: ModelShape, vocabulary: Vocabulary, dtype: torch.dtype) -> dict[str, Any]:
    """`config.json`."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.width,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.norm_eps,
        "rope_theta": shape.rope_theta,  # read by transformers 4 and most other readers
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},  # read by transformers 5
        "tie_word_embeddings": shape.tie_embeddings,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "use_cache": True,
        "dtype": str(dtype).removeprefix("torch."),
        "bos_token_id": vocabulary.end_of_text,
        "eos_token_id": vocabulary.im_end,
        "pad_token_id": vocabulary.pad,
        DIGEST: vocabulary.digest,
    }


def generation_of(vocabulary: Vocabulary) -> dict[str, Any]:
    """`generation_config.json`: a turn ends with `<|im_end|>`, a document with `<|endoftext|>`; unless a caller says
    otherwise, tokens are drawn from the model's own distribution."""
    return {
        "bos_token_id": vocabulary.end_of_text,
        "eos_token_id": [vocabulary.im_end, vocabulary.end_of_text],
        "pad_token_id": vocabulary.pad,
        "do_sample": True,
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
    }


def shape_of(config: Mapping[str, Any], path: Path) -> ModelShape:
    """The shape that a `config.json` of this project describes. Raises ModelError for another one."""
    if config.get("model_type") != "llama":
        raise ModelError(f"{path}: model_type {config.get('model_type')!r}; wanted 'llama'")
    try:
        return ModelShape(
            vocab_size=config["vocab_size"],
            width=config["hidden_size"],
            depth=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            kv_heads=config["num_key_value_heads"],
            ffn=config["intermediate_size"],
            context=config["max_position_embeddings"],
            rope_theta=config["rope_parameters"]["rope_theta"],
            norm_eps=config["rms_norm_eps"],
            tie_embeddings=config["tie_word_embeddings"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: {error!r}; wanted a config.json written by save_model") from error


def _verify(shape: ModelShape, state: Mapping[str, Tensor], where: str) -> None:
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in Transformer(shape).state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if given != wanted:
        wrong = sorted(name for name in given.keys() | wanted.keys() if given.get(name) != wanted.get(name))
        name = wrong[0]
        raise ModelError(
            f"{where}: {len(wrong)} tensors do not fit, the first: {name} is {given.get(name, 'missing')}, "
            f"wanted {wanted.get(name, 'none of this name')}"
        )


def _write(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: {error}; wanted a model folder") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: {type(values).__name__}; wanted an object")
    return values
