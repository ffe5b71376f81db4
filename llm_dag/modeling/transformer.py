"""The Llama architecture, named as Hugging Face names it, so that a state dict moves both ways without a conversion.

Each layer adds attention and then a gated feed-forward network to the residual stream, both on RMS-normalised input
(Zhang & Sennrich 2019): rotary positions in the half-rotation layout (Su et al. 2021), grouped-query attention
(Ainslie et al. 2023), SwiGLU (Shazeer 2020), no biases. A token costs about 2 FLOPs for each non-embedding parameter
and 4 · depth · width FLOPs for each earlier token that it attends to; a cached token holds 2 · depth · kv_heads ·
head_dim numbers.

The modules hold no buffers: rotary angles are computed from positions in float32 (a table would lose digits when the
model is cast to bfloat16), so a model may be built on the meta device and loaded with `assign=True`.

Axes, written behind a tensor's name: B sequences, T new tokens, S slots (cached and new), W width, H query heads,
K key-value heads, D head dimension, V vocabulary, L layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class ModelShape:
    """Everything that fixes a model's tensors and arithmetic. Raises ValueError where the numbers do not fit."""

    vocab_size: int  # rows of the embedding
    width: int  # size of the residual stream
    depth: int  # layers
    heads: int  # query heads; the head dimension is width / heads
    kv_heads: int  # key-value heads, each shared by heads / kv_heads query heads
    ffn: int  # hidden size of the feed-forward network
    context: int  # longest sequence, in tokens
    rope_theta: float  # base of the rotary wavelengths
    norm_eps: float  # added to the mean square under the root
    tie_embeddings: bool  # the output head is the embedding

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} over {self.heads} heads: an even head dimension is wanted")
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads over {self.kv_heads} kv_heads: a whole number is wanted")

    @property
    def head_dim(self) -> int:
        return self.width // self.heads


class KeyValueCache:
    """Keys and values of the tokens seen so far, of which `length` slots are filled."""

    def __init__(self, shape: ModelShape, batch: int, length: int, device: torch.device | str, dtype: torch.dtype):
        if length > shape.context:
            raise ValueError(f"a cache of {length} slots; the model's context is {shape.context}")
        size = (shape.depth, batch, shape.kv_heads, length, shape.head_dim)
        self.keys_LBKSD = torch.zeros(size, device=device, dtype=dtype)
        self.values_LBKSD = torch.zeros(size, device=device, dtype=dtype)
        self.length = 0

    @property
    def capacity(self) -> int:
        return self.keys_LBKSD.shape[3]

    def extend(self, layer: int, keys_BKTD: Tensor, values_BKTD: Tensor) -> tuple[Tensor, Tensor]:
        """Write one layer's new tokens behind the filled slots; returns that layer's keys and values, BKSD.

        `length` moves on when all layers have written, in `Transformer.hidden`. Raises ValueError if they do not fit.
        """
        end = self.length + keys_BKTD.shape[2]
        if end > self.capacity:
            raise ValueError(f"{end} tokens for a cache of {self.capacity} slots")
        self.keys_LBKSD[layer, :, :, self.length : end] = keys_BKTD
        self.values_LBKSD[layer, :, :, self.length : end] = values_BKTD
        return self.keys_LBKSD[layer, :, :, :end], self.values_LBKSD[layer, :, :, :end]


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) · weight, the mean and the root in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x_BTW: Tensor) -> Tensor:
        wide_BTW = x_BTW.float()
        scale_BT1 = torch.rsqrt(wide_BTW.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * (wide_BTW * scale_BT1).to(x_BTW.dtype)


def rotary_angles(positions_BT: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines B1TD in float32: dimension i and i + D/2 turn by position · theta^(-2i/D)."""
    steps = torch.arange(0, head_dim, 2, device=positions_BT.device, dtype=torch.float32)
    angles_BTd = positions_BT[:, :, None].float() * (1.0 / theta ** (steps / head_dim))
    angles_B1TD = torch.cat((angles_BTd, angles_BTd), dim=-1)[:, None]
    return angles_B1TD.cos(), angles_B1TD.sin()


def rotate(x_BHTD: Tensor, cosines_B1TD: Tensor, sines_B1TD: Tensor) -> Tensor:
    """Turn each pair (i, i + D/2) by its angle, in float32; returned in the dtype of `x`."""
    first, second = x_BHTD.chunk(2, dim=-1)
    turned_BHTD = torch.cat((-second, first), dim=-1)
    return (x_BHTD * cosines_B1TD + turned_BHTD * sines_B1TD).to(x_BHTD.dtype)


def attend_by_matmul(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask_B1TS: Tensor | None) -> Tensor:
    """Attention as two batched products around a softmax in float32, causal where there is no mask.

    It holds all T · S scores, and is what a compiled CPU step wants: the products run as fast as other matrices and the
    softmax is fused, where the tiled kernel of `scaled_dot_product_attention` takes three times as long, forward and
    backward, at 256 tokens (docs/experiments.md). Query heads of one group are stacked, so keys are never copied.
    """
    batch, heads, new, head_dim = q_BHTD.shape
    kv_heads, slots = k_BKSD.shape[1:3]
    q_BKGD = q_BHTD.reshape(batch, kv_heads, -1, head_dim)
    scores_BHTS = (q_BKGD @ k_BKSD.transpose(-1, -2)).view(batch, heads, new, slots).float() / math.sqrt(head_dim)
    if mask_B1TS is None:
        mask_B1TS = torch.ones(new, slots, dtype=torch.bool, device=q_BHTD.device).tril(slots - new)
    weights_BHTS = scores_BHTS.masked_fill(~mask_B1TS, -torch.inf).softmax(-1).to(v_BKSD.dtype)
    return (weights_BHTS.view(batch, kv_heads, -1, slots) @ v_BKSD).view(q_BHTD.shape)


class Attention(nn.Module):
    """Grouped-query attention with rotary positions."""

    def __init__(self, shape: ModelShape, layer: int) -> None:
        super().__init__()
        self.layer, self.head_dim, self.groups = layer, shape.head_dim, shape.heads // shape.kv_heads
        self.q_proj = nn.Linear(shape.width, shape.heads * shape.head_dim, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.kv_heads * shape.head_dim, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.kv_heads * shape.head_dim, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head_dim, shape.width, bias=False)

    def forward(
        self, x_BTW: Tensor, angles: tuple[Tensor, Tensor], mask_B1TS: Tensor | None, cache: KeyValueCache | None
    ) -> Tensor:
        """Without a mask: causal where several tokens come, all slots where a single one does."""
        batch, new, _ = x_BTW.shape
        q_BHTD = self.q_proj(x_BTW).view(batch, new, -1, self.head_dim).transpose(1, 2)
        k_BKSD = self.k_proj(x_BTW).view(batch, new, -1, self.head_dim).transpose(1, 2)
        v_BKSD = self.v_proj(x_BTW).view(batch, new, -1, self.head_dim).transpose(1, 2)
        q_BHTD, k_BKSD = rotate(q_BHTD, *angles), rotate(k_BKSD, *angles)
        if cache is not None:
            k_BKSD, v_BKSD = cache.extend(self.layer, k_BKSD, v_BKSD)
        if x_BTW.device.type == "cpu" and torch.compiler.is_compiling():
            y_BHTD = attend_by_matmul(q_BHTD, k_BKSD, v_BKSD, mask_B1TS)
        else:
            k_BHSD, v_BHSD = (each.repeat_interleave(self.groups, dim=1) for each in (k_BKSD, v_BKSD))
            causal = mask_B1TS is None and new > 1
            y_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHSD, v_BHSD, attn_mask=mask_B1TS, is_causal=causal)
        out_BTW: Tensor = self.o_proj(y_BHTD.transpose(1, 2).reshape(batch, new, -1))
        return out_BTW


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate(x)) · up(x))."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.ffn, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.ffn, bias=False)
        self.down_proj = nn.Linear(shape.ffn, shape.width, bias=False)

    def forward(self, x_BTW: Tensor) -> Tensor:
        out_BTW: Tensor = self.down_proj(F.silu(self.gate_proj(x_BTW)) * self.up_proj(x_BTW))
        return out_BTW


class Layer(nn.Module):
    """One block: x + attention(norm(x)), then x + feed_forward(norm(x))."""

    def __init__(self, shape: ModelShape, layer: int) -> None:
        super().__init__()
        self.self_attn = Attention(shape, layer)
        self.mlp = FeedForward(shape)
        self.input_layernorm = RMSNorm(shape.width, shape.norm_eps)
        self.post_attention_layernorm = RMSNorm(shape.width, shape.norm_eps)

    def forward(
        self, x_BTW: Tensor, angles: tuple[Tensor, Tensor], mask_B1TS: Tensor | None, cache: KeyValueCache | None
    ) -> Tensor:
        x_BTW = x_BTW + self.self_attn(self.input_layernorm(x_BTW), angles, mask_B1TS, cache)
        fed_BTW: Tensor = self.mlp(self.post_attention_layernorm(x_BTW))
        return x_BTW + fed_BTW


class Decoder(nn.Module):
    """Embedding, layers and the last norm: the part that Hugging Face calls `model`."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.width)
        self.layers = nn.ModuleList(Layer(shape, layer) for layer in range(shape.depth))
        self.norm = RMSNorm(shape.width, shape.norm_eps)


class Transformer(nn.Module):
    """A causal language model. With tied embeddings there is no `lm_head.weight`, as in Hugging Face's own files."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape)
        if not shape.tie_embeddings:
            self.lm_head = nn.Linear(shape.width, shape.vocab_size, bias=False)

    @property
    def head_weight_VW(self) -> Tensor:
        return self.model.embed_tokens.weight if self.shape.tie_embeddings else self.lm_head.weight

    def new_cache(self, batch: int, length: int, device: torch.device | str, dtype: torch.dtype) -> KeyValueCache:
        """An empty cache of `length` slots for each of `batch` sequences. Raises ValueError beyond the context."""
        return KeyValueCache(self.shape, batch, length, device, dtype)

    def forward(
        self,
        tokens_BT: Tensor,
        cache: KeyValueCache | None = None,
        positions_BT: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Logits BTV of the token after each; arguments as in `hidden`."""
        return F.linear(self.hidden(tokens_BT, cache, positions_BT, attention_mask), self.head_weight_VW)

    def hidden(
        self,
        tokens_BT: Tensor,
        cache: KeyValueCache | None = None,
        positions_BT: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """The normalised residual stream BTW before the output head.

        `cache` is read and extended. `positions_BT` are rotary positions, by default the slots themselves; prompts
        padded on the left give their own, beginning at 0 with the first real token. `attention_mask` is either BS
        (1 or True where a slot, cached ones included, holds a real token; causality is added) or BTS (the whole mask,
        taken as it is). A query always sees its own slot, so that padding yields finite numbers that nobody reads.

        Raises:
            ValueError: more tokens than the context, or a mask of another size.
        """
        new = tokens_BT.shape[1]
        filled = cache.length if cache is not None else 0
        if filled + new > self.shape.context:
            raise ValueError(f"{filled + new} tokens; the model's context is {self.shape.context}")
        if positions_BT is None:
            positions_BT = torch.arange(filled, filled + new, device=tokens_BT.device)[None]
        mask_B1TS = None
        if attention_mask is not None or (filled and new > 1):
            mask_B1TS = slot_mask(attention_mask, filled, new, tokens_BT.device)
        angles = rotary_angles(positions_BT, self.shape.head_dim, self.shape.rope_theta)
        x_BTW = self.model.embed_tokens(tokens_BT)
        for layer in self.model.layers:
            x_BTW = layer(x_BTW, angles, mask_B1TS, cache)
        if cache is not None:
            cache.length = filled + new
        normed_BTW: Tensor = self.model.norm(x_BTW)
        return normed_BTW

    def initialise(self, seed: int) -> None:
        """Draw all weights from `seed`, the same on every device.

        Matrices are normal with deviation 1/sqrt(inputs), which keeps the scale of what passes through them; the two
        that write to the residual stream are divided by sqrt(2 · depth), so that its variance does not grow with
        depth (Radford et al. 2019). Embedding and head are normal with deviation 1/sqrt(width): tied or not, the first
        logits have about unit variance after the last norm. Norm weights are 1.
        """
        generator = torch.Generator().manual_seed(seed)
        shape = self.shape
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.dim() < 2:
                    weight.fill_(1.0)
                    continue
                deviation = 1.0 / math.sqrt(weight.shape[1])
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    deviation /= math.sqrt(2 * shape.depth)
                weight.copy_(torch.randn(weight.shape, generator=generator) * deviation)


def slot_mask(attention_mask: Tensor | None, filled: int, new: int, device: torch.device) -> Tensor:
    """The boolean mask B1TS (True: may be seen) of `new` queries over `filled` cached and `new` own slots."""
    slots_S = torch.arange(filled + new, device=device)
    queries_T = slots_S[filled:]
    if attention_mask is None:
        mask_BTS = (slots_S[None] <= queries_T[:, None])[None]
    elif attention_mask.shape[-1] != filled + new or (attention_mask.dim() == 3 and attention_mask.shape[1] != new):
        wanted = f"(batch, {filled + new}) or (batch, {new}, {filled + new})"
        raise ValueError(f"attention_mask of shape {tuple(attention_mask.shape)}; {wanted} is wanted")
    elif attention_mask.dim() == 2:
        mask_BTS = (slots_S[None] <= queries_T[:, None])[None] & attention_mask.bool()[:, None, :]
    else:
        mask_BTS = attention_mask.bool()
    own_TS = slots_S[None] == queries_T[:, None]
    return (mask_BTS | own_TS)[:, None]
