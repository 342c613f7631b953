"""Transformers (Vaswani et al., "Attention is all you need", 2017) from tokens to features or
logits, around PyTorch's layers and under their names.

Post-norm is the paper's form; pre-norm (`norm_first`; Xiong et al., 2020) trains without warm-up.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradstone import _C, nn
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._creation import full, tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.models._inputs import check_tokens
from gradstone.nn import init


class PositionalEncoding(nn.Module):
    """Embeddings (N, T, d_model) plus the paper's sines and cosines, then dropout. `max_length` is
    the longest T. The table is no part of the state."""

    pe: Tensor

    def __init__(self, d_model: int, dropout: float = 0.1, max_length: int = 512) -> None:
        super().__init__()
        if d_model % 2:
            raise ValueError(f"[PositionalEncoding] expected an even d_model, got {d_model}.")
        rate = 10000.0 ** (-np.arange(0, d_model, 2) / d_model)
        angle = np.arange(max_length)[:, None] * rate  # (max_length, d_model / 2)
        table = np.stack([np.sin(angle), np.cos(angle)], 2).reshape(max_length, d_model)
        self.register_buffer("pe", tensor(table, dtype=_C.get_default_dtype()), persistent=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(x + self.pe[: x.size(1)])


class _TokenEmbedding(nn.Embedding):
    """Rows times sqrt(d_model), as in the paper; they start N(0, 1 / d_model)."""

    def reset_parameters(self) -> None:
        init.normal_(self.weight, 0, self.embedding_dim**-0.5)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) * math.sqrt(self.embedding_dim)


def _padding(tokens: Tensor, padding_idx: int | None) -> Tensor | None:
    """(N, T) bool, True at padding, as PyTorch's key padding masks."""
    return None if padding_idx is None else tokens == padding_idx


def _causal(length: int, like: Tensor) -> Tensor:
    """(T, T) bool, True above the diagonal: what a position must not see."""
    return _C.triu(_C._full((length, length), 1, _C.bool, like.device), 1)


def _xavier(module: nn.Module) -> None:
    for weight in module.parameters():
        if weight.dim() > 1:
            init.xavier_uniform_(weight)


class TransformerEncoderModel(nn.Module):
    """Tokens (N, T) int64 to features (N, T, d_model), or to logits (N, num_classes) of their mean
    over the positions that are no padding.

    Parameters embedding.weight, encoder.layers.N.* (those of nn.TransformerEncoder), encoder.norm.*
    (pre-norm only) and fc.* (with num_classes).
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int = 512,
        nhead: int = 8,
        num_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        norm_first: bool = False,
        max_length: int = 512,
        padding_idx: int | None = None,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        self.padding_idx = padding_idx
        self.max_length = max_length
        self.embedding = _TokenEmbedding(vocab_size, d_model, padding_idx)
        self.positional = PositionalEncoding(d_model, dropout, max_length)
        layer = nn.TransformerEncoderLayer(
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            batch_first=True,
            norm_first=norm_first,
        )
        self.encoder = nn.TransformerEncoder(
            layer, num_layers, nn.LayerNorm(d_model) if norm_first else None
        )
        _xavier(self.encoder)
        self.fc = None if num_classes is None else nn.Linear(d_model, num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        check_tokens("TransformerEncoderModel", tokens, self.max_length)
        padding = _padding(tokens, self.padding_idx)
        x = self.positional(self.embedding(tokens))
        x = self.encoder(x, src_key_padding_mask=padding)
        if self.fc is None:
            return x
        if padding is None:
            return self.fc(x.mean(1))
        keep = (~padding).to(x.dtype).unsqueeze(2)
        return self.fc((x * keep).sum(1) / keep.sum(1).clamp(min=1))


class TransformerDecoderModel(nn.Module):
    """Tokens (N, T) int64 and memory (N, S, d_model) to logits (N, T, vocab_size) of the next
    token; a position sees itself and those before it.

    Parameters embedding.weight, decoder.layers.N.* (those of nn.TransformerDecoder), decoder.norm.*
    (pre-norm only), fc.*.
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int = 512,
        nhead: int = 8,
        num_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        norm_first: bool = False,
        max_length: int = 512,
        padding_idx: int | None = None,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.padding_idx = padding_idx
        self.max_length = max_length
        self.embedding = _TokenEmbedding(vocab_size, d_model, padding_idx)
        self.positional = PositionalEncoding(d_model, dropout, max_length)
        layer = nn.TransformerDecoderLayer(
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            batch_first=True,
            norm_first=norm_first,
        )
        self.decoder = nn.TransformerDecoder(
            layer, num_layers, nn.LayerNorm(d_model) if norm_first else None
        )
        _xavier(self.decoder)
        self.fc = nn.Linear(d_model, vocab_size)

    def forward(
        self, tokens: Tensor, memory: Tensor, memory_padding: Tensor | None = None
    ) -> Tensor:
        """memory_padding (N, S) bool: True at steps of the memory to leave out."""
        op = "TransformerDecoderModel"
        check_tokens(op, tokens, self.max_length)
        if memory.dim() != 3 or (memory.size(0), memory.size(2)) != (tokens.size(0), self.d_model):
            raise ValueError(
                f"[{op}] expected memory of shape ({tokens.size(0)}, S, {self.d_model}), got "
                f"{tuple(memory.shape)}."
            )
        x = self.positional(self.embedding(tokens))
        x = self.decoder(
            x,
            memory,
            tgt_mask=_causal(tokens.size(1), x),
            tgt_key_padding_mask=_padding(tokens, self.padding_idx),
            memory_key_padding_mask=memory_padding,
            tgt_is_causal=True,
        )
        return self.fc(x)


class TransformerSeq2Seq(nn.Module):
    """Source (N, S) and target (N, T) tokens, int64, to logits (N, T, tgt_vocab) of the target's
    next tokens.

    Parameters src_embedding.weight, tgt_embedding.weight, transformer.* (those of nn.Transformer),
    fc.*. `options` go to nn.Transformer: norm_first, activation, layer_norm_eps, bias.
    """

    def __init__(
        self,
        src_vocab: int,
        tgt_vocab: int,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        max_length: int = 512,
        padding_idx: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.padding_idx = padding_idx
        self.max_length = max_length
        self.src_embedding = _TokenEmbedding(src_vocab, d_model, padding_idx)
        self.tgt_embedding = _TokenEmbedding(tgt_vocab, d_model, padding_idx)
        self.positional = PositionalEncoding(d_model, dropout, max_length)
        self.transformer = nn.Transformer(
            d_model,
            nhead,
            num_encoder_layers,
            num_decoder_layers,
            dim_feedforward,
            dropout,
            batch_first=True,
            **options,
        )
        self.fc = nn.Linear(d_model, tgt_vocab)

    def encode(self, src: Tensor) -> tuple[Tensor, Tensor | None]:
        """The memory (N, S, d_model) and the source's padding mask (N, S), or None."""
        check_tokens("TransformerSeq2Seq", src, self.max_length, "source tokens")
        padding = _padding(src, self.padding_idx)
        x = self.positional(self.src_embedding(src))
        return self.transformer.encoder(x, src_key_padding_mask=padding), padding

    def decode(self, tgt: Tensor, memory: Tensor, memory_padding: Tensor | None = None) -> Tensor:
        """Logits (N, T, tgt_vocab) of the target's next tokens."""
        check_tokens("TransformerSeq2Seq", tgt, self.max_length, "target tokens")
        x = self.positional(self.tgt_embedding(tgt))
        x = self.transformer.decoder(
            x,
            memory,
            tgt_mask=_causal(tgt.size(1), x),
            tgt_key_padding_mask=_padding(tgt, self.padding_idx),
            memory_key_padding_mask=memory_padding,
            tgt_is_causal=True,
        )
        return self.fc(x)

    def forward(self, src: Tensor, tgt: Tensor) -> Tensor:
        memory, padding = self.encode(src)
        return self.decode(tgt, memory, padding)

    @no_grad()
    def generate(self, src: Tensor, start: int, end: int, max_new_tokens: int = 50) -> Tensor:
        """The most likely token at every step: (N, 1 + steps) int64, `start` first; behind `end` a
        sequence holds `end`. Call eval() first, or dropout is active."""
        whole("TransformerSeq2Seq.generate", "max_new_tokens", max_new_tokens)
        memory, padding = self.encode(src)
        out = full((src.size(0), 1), start, dtype=_C.int64, device=src.device)
        done = out[:, 0] != start
        for _ in range(min(max_new_tokens, self.max_length - 1)):
            best = self.decode(out, memory, padding)[:, -1].argmax(1)
            best = best.masked_fill(done, end)
            out = _C.cat([out, best.unsqueeze(1)], 1)
            done = done | (best == end)
            if bool(done.all()):
                break
        return out
