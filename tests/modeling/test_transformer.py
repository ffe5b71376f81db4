"""The transformer against Hugging Face's Llama, and against itself: causality, the cache, padding, initialisation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from llm_dag.modeling.transformer import ModelShape, Transformer, attend_by_matmul, slot_mask

SHAPE = ModelShape(
    vocab_size=97,
    width=48,
    depth=3,
    heads=6,
    kv_heads=2,
    ffn=80,
    context=64,
    rope_theta=10_000.0,
    norm_eps=1e-5,
    tie_embeddings=True,
)


def made(shape: ModelShape = SHAPE, seed: int = 1) -> Transformer:
    model = Transformer(shape).eval()
    model.initialise(seed)
    return model


def tokens(batch: int, length: int, seed: int = 7) -> torch.Tensor:
    return torch.randint(0, SHAPE.vocab_size, (batch, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_logits_and_gradients_are_those_of_hugging_face_llama(tied: bool, kv_heads: int) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = replace(SHAPE, kv_heads=kv_heads, tie_embeddings=tied, rope_theta=500.0)
    model = made(shape)
    config = LlamaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.width,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=tied,
    )
    peer = LlamaForCausalLM(config).eval()
    missing, unexpected = peer.load_state_dict(model.state_dict(), strict=False)
    assert unexpected == []
    assert missing == (["lm_head.weight"] if tied else [])
    peer.tie_weights()

    batch = tokens(3, 40)
    ours, theirs = model(batch), peer(batch).logits
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)
    ours.pow(2).mean().backward()
    theirs.pow(2).mean().backward()
    peer_gradients = {name: weight.grad for name, weight in peer.named_parameters()}
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, peer_gradients[name], atol=1e-5, rtol=1e-3, msg=name)


def test_a_token_changes_no_earlier_logit() -> None:
    model, batch = made(), tokens(2, 30)
    before = model(batch)
    for at in (0, 1, 13, 29):
        changed = batch.clone()
        changed[:, at] = (changed[:, at] + 1) % SHAPE.vocab_size
        after = model(changed)
        assert torch.equal(after[:, :at], before[:, :at])
        assert not torch.equal(after[:, at], before[:, at])


@pytest.mark.parametrize("pieces", [[1] * 24, [24], [7, 1, 1, 9, 6]])
def test_the_cache_gives_the_logits_of_the_full_pass(pieces: list[int]) -> None:
    model, batch = made(), tokens(2, 24)
    cache = model.new_cache(2, 24, "cpu", torch.float32)
    parts, at = [], 0
    for piece in pieces:
        parts.append(model(batch[:, at : at + piece], cache))
        at += piece
    assert cache.length == 24
    full = model(batch)
    torch.testing.assert_close(torch.cat(parts, dim=1), full, atol=1e-5, rtol=1e-4)
    assert torch.equal(torch.cat(parts, dim=1).argmax(-1), full.argmax(-1))


def test_left_padded_prompts_have_the_logits_they_have_alone() -> None:
    model = made()
    prompts = [tokens(1, length, seed=length) for length in (3, 11, 8)]
    longest, more = 11, 5
    padded = torch.zeros(3, longest, dtype=torch.long)
    mask = torch.zeros(3, longest + more, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        padded[row, longest - prompt.shape[1] :] = prompt
        mask[row, longest - prompt.shape[1] :] = True
    cache = model.new_cache(3, longest + more, "cpu", torch.float32)
    positions = (mask[:, :longest].long().cumsum(-1) - 1).clamp(min=0)
    logits = model(padded, cache, positions, mask[:, :longest])
    assert torch.isfinite(logits).all()
    following = tokens(3, more, seed=99)
    last = positions[:, -1:]
    steps = [logits[:, -1:]]
    for step in range(more):
        last = last + 1
        steps.append(model(following[:, step : step + 1], cache, last, mask[:, : longest + step + 1]))
    together = torch.cat(steps, dim=1)
    for row, prompt in enumerate(prompts):
        alone = model(torch.cat([prompt, following[row : row + 1]], dim=1))[:, prompt.shape[1] - 1 :]
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-4)


def test_a_whole_mask_keeps_packed_sequences_apart() -> None:
    model = made()
    first, second = tokens(1, 9, seed=1), tokens(1, 14, seed=2)
    segments = torch.tensor([[0] * 9 + [1] * 14])
    positions = torch.cat([torch.arange(9), torch.arange(14)])[None]
    order = torch.arange(23)
    mask = (segments[:, :, None] == segments[:, None, :]) & (order[:, None] >= order[None])
    packed = model(torch.cat([first, second], dim=1), None, positions, mask)
    torch.testing.assert_close(packed[:, :9], model(first), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(packed[:, 9:], model(second), atol=1e-5, rtol=1e-4)


def test_weights_are_a_function_of_the_seed_and_the_first_loss_is_near_uniform() -> None:
    model, same, other = made(), made(), made(seed=2)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, same.state_dict()[name]), name
        assert weight.dim() < 2 or not torch.equal(weight, other.state_dict()[name]), name
    batch = tokens(8, 60)
    loss = torch.nn.functional.cross_entropy(model(batch)[:, :-1].flatten(0, 1), batch[:, 1:].flatten())
    assert loss.item() < torch.tensor(float(SHAPE.vocab_size)).log().item() + 1.0


@pytest.mark.parametrize("change", [{"heads": 5}, {"kv_heads": 4}, {"width": 42, "heads": 6, "kv_heads": 6}])
def test_a_shape_that_does_not_fit_is_refused_with_its_numbers(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(change.values())))):
        replace(SHAPE, **change)  # type: ignore[arg-type]


def test_tokens_beyond_context_or_cache_are_refused() -> None:
    model = made()
    with pytest.raises(ValueError, match="65 tokens; the model's context is 64"):
        model(tokens(1, 65))
    with pytest.raises(ValueError, match="100 slots"):
        model.new_cache(1, 100, "cpu", torch.float32)
    cache = model.new_cache(1, 4, "cpu", torch.float32)
    with pytest.raises(ValueError, match="5 tokens for a cache of 4"):
        model(tokens(1, 5), cache)
    with pytest.raises(ValueError, match="attention_mask"):
        model(tokens(1, 5), None, None, torch.ones(1, 6))


@pytest.mark.parametrize("masked", [False, True])
def test_attention_by_matmul_is_attention(masked: bool) -> None:
    draw = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(2, heads, 12, 8, generator=draw) for heads in (6, 2, 2))
    mask = slot_mask(torch.rand(2, 12, 12, generator=draw) > 0.5, 0, 12, q.device) if masked else None
    wide = [each.repeat_interleave(3, dim=1) for each in (k, v)]
    expected = torch.nn.functional.scaled_dot_product_attention(q, *wide, attn_mask=mask, is_causal=not masked)
    torch.testing.assert_close(attend_by_matmul(q, k, v, mask), expected, atol=1e-6, rtol=1e-5)
