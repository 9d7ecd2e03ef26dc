"""A small causal transformer behind the interface of the recurrent models.

Vaswani et al., "Attention is all you need" (2017), with normalisation before each part (Radford et al. 2019), rotary
positions (Su et al. 2021), and a memory of the keys and values of the windows before (Dai et al. 2019,
"Transformer-XL"), which is its state.

Letters in shapes: T positions, S positions in memory, B streams side by side, V tokens, H width, D width of a head.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

Memory = tuple[Tensor, Tensor]
"""Keys and values of the positions before, each (B, heads, S, D)."""


def rotated(x: Tensor, positions: Tensor) -> Tensor:
    """Turn pairs of numbers by angles that grow with the position, so that products depend on distances alone.

    Args:
        x: queries or keys (..., T, D), D even.
        positions: (T,).

    Returns:
        The same shape.
    """
    half = x.shape[-1] // 2
    speeds = torch.exp(torch.arange(half, device=x.device) * (-math.log(10_000.0) / half))
    angles = positions[:, None] * speeds
    cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


class Attention(nn.Module):
    """Self-attention to the last `context` positions.

    Args:
        width: H.
        heads: how many; H / heads must be an even number.
        context: how many positions before it, and itself, each one sees.
        dropout: of what it adds.
    """

    def __init__(self, width: int, heads: int, context: int, dropout: float) -> None:
        super().__init__()
        if width % heads or (width // heads) % 2:
            raise ValueError(f"hidden_size {width} cannot be shared by {heads} heads of even width")
        self.heads, self.context = heads, context
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """x (B, T, H) and memory to the same shape and the new memory."""
        streams, length, width = x.shape
        parts = self.query_key_value(x).view(streams, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        key, value = torch.cat([memory[0], key], dim=2), torch.cat([memory[1], value], dim=2)
        kept = key[:, :, -self.context :], value[:, :, -self.context :]
        positions = torch.arange(key.shape[2], device=x.device)
        own = positions[-length:]
        distance = own[:, None] - positions
        visible = (distance >= 0) & (distance < self.context)
        mixed = scaled_dot_product_attention(rotated(query, own), rotated(key, positions), value, attn_mask=visible)
        return self.dropout(self.output(mixed.transpose(1, 2).reshape(streams, length, width))), kept


class Block(nn.Module):
    """Attention and a two-layer net, each added to what it was given.

    Args: as for `Attention`.
    """

    def __init__(self, width: int, heads: int, context: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, context, dropout)
        self.norm2 = nn.LayerNorm(width)
        self.net = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """x (B, T, H) and memory to the same shape and the new memory."""
        mixed, memory = self.attention(self.norm1(x), memory)
        x = x + mixed
        return x + self.net(self.norm2(x)), memory


class TransformerLanguageModel(nn.Module):
    """An embedding, blocks, and the embedding again as the matrix back to the vocabulary.

    Args:
        tokens: V.
        hidden_size: H.
        layers: how many blocks.
        heads: of each attention; by default one for every 64 of H, at least 1.
        context: how many positions each one sees; the memory holds as many.
        dropout: of embedded tokens and of what every part adds.

    Raises:
        ValueError: an argument is out of range.
    """

    blocks: Any  # a list of Block

    def __init__(
        self,
        tokens: int,
        hidden_size: int = 256,
        layers: int = 4,
        *,
        heads: int | None = None,
        context: int = 256,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in {"tokens": tokens, "hidden_size": hidden_size, "layers": layers, "context": context}.items():
            if value < 1:
                raise ValueError(f"{name} is {value}, but must be at least 1")
        heads = max(1, hidden_size // 64) if heads is None else heads
        self.embedding = nn.Embedding(tokens, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(hidden_size, heads, context, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden_size)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:  # what is added to the sum over all layers starts smaller (Radford et al. 2019)
                is_added = name.endswith(("output.weight", "net.2.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if is_added else 0.02)

    def forward(self, tokens: Tensor, state: list[Memory] | None = None) -> tuple[Tensor, list[Memory]]:
        """Tokens (T, B) and the state of the window before to logits (T, B, V) and the new state."""
        features, state = self.forward_features(tokens, state)
        return self.forward_head(features), state

    def forward_features(self, tokens: Tensor, state: list[Memory] | None = None) -> tuple[Tensor, list[Memory]]:
        """The body: tokens (T, B) to (T, B, H)."""
        x = self.dropout(self.embedding(tokens.T))
        after = []
        for block, memory in zip(self.blocks, state or self.initial_state(tokens.shape[1]), strict=True):
            x, kept = block(x, memory)
            after.append(kept)
        return self.norm(x).transpose(0, 1), after

    def forward_head(self, features: Tensor) -> Tensor:
        """The head: features (T, B, H) to logits (T, B, V)."""
        return features @ self.embedding.weight.T

    def initial_state(self, batch_size: int) -> list[Memory]:
        """The state before the first token: nothing."""
        weight = self.embedding.weight
        heads = self.blocks[0].attention.heads
        empty = weight.new_zeros(batch_size, heads, 0, weight.shape[1] // heads)
        return [(empty, empty) for _ in self.blocks]

    def layer_groups(self) -> dict[str, nn.Module]:
        """From input to output; the head is the embedding."""
        blocks = {f"block{number}": block for number, block in enumerate(self.blocks, start=1)}
        return {"embedding": self.embedding, **blocks, "norm": self.norm}
