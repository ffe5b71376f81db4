from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, GenerationConfig, LlamaForCausalLM

from llm_dag.modeling.generation import generate
from llm_dag.modeling.huggingface import ModelError, load_model, save_model
from llm_dag.modeling.sampling import Sampling
from llm_dag.modeling.transformer import Transformer
from llm_dag.store.errors import StoreError
from llm_dag.tokenization.chat import Conversation, render_prompt
from llm_dag.tokenization.tokenizer import train, write
from llm_dag.tokenization.vocabulary import Vocabulary

GREEDY = Sampling(temperature=0.0, top_k=0, top_p=1.0, max_new_tokens=12, seed=0)


def saved(model: Transformer, folder: Path, tokenizer: Path) -> Path:
    save_model(folder, model.shape, model.state_dict(), tokenizer)
    return folder


@pytest.mark.parametrize("tie_embeddings", [True, False])
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_transformers_opens_the_folder_and_computes_the_same_logits(
    make: Callable[..., Transformer], tokenizer_folder: Path, tmp_path: Path, tie_embeddings: bool, kv_heads: int
) -> None:
    model = make(tie_embeddings=tie_embeddings, kv_heads=kv_heads, rope_theta=5_000.0, norm_eps=1e-6)
    folder = saved(model, tmp_path, tokenizer_folder)
    peer, report = LlamaForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    loaded, _ = load_model(folder)
    assert loaded.shape == model.shape
    tokens_BT = torch.randint(0, model.shape.vocab_size, (3, 48), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits_BTV = peer(tokens_BT).logits
        torch.testing.assert_close(loaded(tokens_BT), logits_BTV, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(model(tokens_BT), loaded(tokens_BT), atol=0, rtol=0)


def test_transformers_says_the_same_greedily(
    make: Callable[..., Transformer], tokenizer_folder: Path, tmp_path: Path
) -> None:
    folder = saved(make(), tmp_path, tokenizer_folder)
    model, vocabulary = load_model(folder)
    peer, tokenizer = LlamaForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    talk = [{"role": "user", "content": "the path"}]
    prompt = tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_dict=False)
    assert prompt == render_prompt(Conversation.of(("user", "the path")), vocabulary)
    asked = {"do_sample": False, "max_new_tokens": GREEDY.max_new_tokens}
    said = peer.generate(torch.tensor([prompt]), **asked)[0, len(prompt) :].tolist()
    assert said == generate(model, vocabulary, [prompt], GREEDY)[0].ids


def test_generation_config_ends_turns_and_documents(
    make: Callable[..., Transformer], tokenizer_folder: Path, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    stored = GenerationConfig.from_pretrained(saved(make(), tmp_path, tokenizer_folder))
    assert stored.eos_token_id == [vocabulary.im_end, vocabulary.end_of_text]
    assert stored.pad_token_id == vocabulary.pad
    assert (stored.do_sample, stored.temperature, stored.top_k, stored.top_p) == (True, 1.0, 0, 1.0)


def test_equal_weights_give_equal_bytes(
    make: Callable[..., Transformer], tokenizer_folder: Path, tmp_path: Path
) -> None:
    model = make()
    state = model.state_dict()
    save_model(tmp_path / "a", model.shape, state, tokenizer_folder)
    save_model(tmp_path / "b", model.shape, dict(reversed(state.items())), tokenizer_folder)
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab")
    assert first == second
    assert len(first) == 6


def test_weights_keep_their_precision(make: Callable[..., Transformer], tokenizer_folder: Path, tmp_path: Path) -> None:
    folder = saved(make().bfloat16(), tmp_path, tokenizer_folder)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    assert load_model(folder)[0].head_weight_VW.dtype == torch.bfloat16
    assert load_model(folder, dtype=torch.float32)[0].head_weight_VW.dtype == torch.float32


def test_another_tokenizer_is_refused(make: Callable[..., Transformer], tokenizer_folder: Path, tmp_path: Path) -> None:
    folder = saved(make(), tmp_path, tokenizer_folder)
    write(train(iter([["another text " * 9, "other words " * 9]]), "gpt2", 290), lambda name: folder / name)
    with pytest.raises(ModelError, match=r"tokenizer files back") as raised:
        load_model(folder)
    assert Vocabulary.load(tokenizer_folder).digest in str(raised.value)
    assert Vocabulary.load(folder).digest in str(raised.value)


def test_wrong_tensors_are_named(make: Callable[..., Transformer], tokenizer_folder: Path, tmp_path: Path) -> None:
    model = make()
    state = model.state_dict()
    with pytest.raises(ModelError, match=r"lm_head.weight is \(2, 2\), wanted none"):
        save_model(tmp_path, model.shape, {**state, "lm_head.weight": torch.zeros(2, 2)}, tokenizer_folder)
    del state["model.norm.weight"]
    with pytest.raises(ModelError, match=r"model.norm.weight is missing, wanted \(32,\)"):
        save_model(tmp_path, model.shape, state, tokenizer_folder)
    small = make(vocab_size=100)
    with pytest.raises(ModelError, match="100 embedding rows"):
        save_model(tmp_path, small.shape, small.state_dict(), tokenizer_folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("content", [None, b"", b"[]"])
def test_a_broken_file_is_named(
    make: Callable[..., Transformer], tokenizer_folder: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    folder = saved(make(), tmp_path, tokenizer_folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(StoreError, match=name):
        load_model(folder)


def test_a_foreign_config_is_refused(make: Callable[..., Transformer], tokenizer_folder: Path, tmp_path: Path) -> None:
    folder = saved(make(), tmp_path, tokenizer_folder)
    stored = json.loads((folder / "config.json").read_text())
    for changes, message in [({"model_type": "gpt2"}, "model_type 'gpt2'"), ({"num_attention_heads": 5}, "5 heads")]:
        (folder / "config.json").write_text(json.dumps(stored | changes))
        with pytest.raises(ModelError, match=message):
            load_model(folder)
