"""Recurrent networks, additive attention and transformers from torch.nn."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class RecurrentClassifier(nn.Module):
    def __init__(self, kind, input_size, hidden_size, num_classes, num_layers=1,
                 bidirectional=False, vocab_size=None, padding_idx=None):  # fmt: skip
        super().__init__()
        self.padding_idx = padding_idx
        if vocab_size is not None:
            self.embedding = nn.Embedding(vocab_size, input_size, padding_idx)
        self.name = kind.__name__.lower()
        rnn = kind(input_size, hidden_size, num_layers, True, True, 0.0, bidirectional)
        self.add_module(self.name, rnn)
        self.fc = nn.Linear(hidden_size * (2 if bidirectional else 1), num_classes)

    def forward(self, x, lengths=None):
        if self.padding_idx is not None:
            lengths = (x != self.padding_idx).sum(1)
        if hasattr(self, "embedding"):
            x = self.embedding(x)
        if lengths is not None:
            x = pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        rnn = getattr(self, self.name)
        state = rnn(x)[1]
        h = state[0] if self.name == "lstm" else state
        return self.fc(torch.cat((h[-2], h[-1]), 1) if rnn.bidirectional else h[-1])


class AttentionSeq2Seq(nn.Module):
    def __init__(self, src_vocab, tgt_vocab, embedding_size, hidden_size, attention_size,
                 maxout_size, padding_idx):  # fmt: skip
        super().__init__()
        e, h, a, m = embedding_size, hidden_size, attention_size, maxout_size
        self.src_embedding = nn.Embedding(src_vocab, e, padding_idx)
        self.tgt_embedding = nn.Embedding(tgt_vocab, e, padding_idx)
        self.encoder = nn.GRU(e, h, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(h, h)
        self.attention = nn.ModuleDict({
            "W_a": nn.Linear(h, a, bias=False),
            "U_a": nn.Linear(2 * h, a),
            "v": nn.Linear(a, 1, bias=False),
        })  # fmt: skip
        self.decoder = nn.GRUCell(e + 2 * h, h)
        self.readout = nn.Linear(h + e + 2 * h, 2 * m)
        self.fc = nn.Linear(m, tgt_vocab)

    def forward(self, src, tgt):
        lengths = (src != 0).sum(1)
        packed = pack_padded_sequence(self.src_embedding(src), lengths, True, enforce_sorted=False)
        output, h_n = self.encoder(packed)
        annotations = pad_packed_sequence(output, True, total_length=src.shape[1])[0]
        s = torch.tanh(self.bridge(h_n[1]))
        logits, alignments = [], []
        for t in range(tgt.shape[1]):
            word = self.tgt_embedding(tgt[:, t])
            rows = []
            for n, length in enumerate(lengths.tolist()):  # one sentence at a time, no padding
                h = annotations[n, :length]
                score = self.attention["v"](
                    torch.tanh(self.attention["W_a"](s[n]) + self.attention["U_a"](h))
                )
                alpha = F.pad(torch.softmax(score[:, 0], 0), (0, src.shape[1] - length))
                rows.append((alpha, alpha[:length] @ h))
            alpha = torch.stack([r[0] for r in rows])
            context = torch.stack([r[1] for r in rows])
            s = self.decoder(torch.cat((word, context), 1), s)
            pieces = self.readout(torch.cat((s, word, context), 1))
            logits.append(self.fc(torch.maximum(pieces[:, 0::2], pieces[:, 1::2])))
            alignments.append(alpha)
        return torch.stack(logits, 1), torch.stack(alignments, 1)


def sines(length, size):
    """PE(pos, 2i) = sin(pos / 10000^(2i / d)), PE(pos, 2i + 1) = cos(the same), in float32 as a
    table would be kept."""
    out = np.zeros((length, size), np.float32)
    for pos in range(length):
        for i in range(0, size, 2):
            angle = pos / 10000 ** (i / size)
            out[pos, i], out[pos, i + 1] = math.sin(angle), math.cos(angle)
    return torch.tensor(out)


def embed(embedding, tokens):
    size = embedding.embedding_dim
    return embedding(tokens) * math.sqrt(size) + sines(tokens.shape[1], size).double()


def causal(length):
    return torch.tensor([[j > i for j in range(length)] for i in range(length)])


class TransformerEncoderModel(nn.Module):
    def __init__(self, vocab_size, d_model, nhead, num_layers, dim_feedforward, dropout,
                 padding_idx, activation="relu", norm_first=False, num_classes=None):  # fmt: skip
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model, padding_idx)
        layer = nn.TransformerEncoderLayer(
            d_model, nhead, dim_feedforward, dropout, activation, batch_first=True,
            norm_first=norm_first,
        )  # fmt: skip
        norm = nn.LayerNorm(d_model) if norm_first else None
        self.encoder = nn.TransformerEncoder(layer, num_layers, norm, enable_nested_tensor=False)
        self.fc = nn.Linear(d_model, num_classes) if num_classes else None

    def forward(self, tokens):
        padding = tokens == 0
        x = self.encoder(embed(self.embedding, tokens), src_key_padding_mask=padding)
        if self.fc is None:
            return x
        return self.fc(torch.stack([row[~p].mean(0) for row, p in zip(x, padding)]))


class TransformerDecoderModel(nn.Module):
    def __init__(self, vocab_size, d_model, nhead, num_layers, dim_feedforward, dropout,
                 padding_idx, norm_first=False):  # fmt: skip
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model, padding_idx)
        layer = nn.TransformerDecoderLayer(
            d_model, nhead, dim_feedforward, dropout, batch_first=True, norm_first=norm_first
        )
        norm = nn.LayerNorm(d_model) if norm_first else None
        self.decoder = nn.TransformerDecoder(layer, num_layers, norm)
        self.fc = nn.Linear(d_model, vocab_size)

    def forward(self, tokens, memory, memory_padding=None):
        x = self.decoder(
            embed(self.embedding, tokens),
            memory,
            tgt_mask=causal(tokens.shape[1]),
            tgt_key_padding_mask=tokens == 0,
            memory_key_padding_mask=memory_padding,
        )
        return self.fc(x)


class TransformerSeq2Seq(nn.Module):
    def __init__(self, src_vocab, tgt_vocab, d_model, nhead, num_encoder_layers,
                 num_decoder_layers, dim_feedforward, dropout, padding_idx,
                 norm_first=False):  # fmt: skip
        super().__init__()
        self.src_embedding = nn.Embedding(src_vocab, d_model, padding_idx)
        self.tgt_embedding = nn.Embedding(tgt_vocab, d_model, padding_idx)
        self.transformer = nn.Transformer(
            d_model, nhead, num_encoder_layers, num_decoder_layers, dim_feedforward, dropout,
            batch_first=True, norm_first=norm_first,
        )  # fmt: skip
        self.transformer.encoder.use_nested_tensor = False
        self.fc = nn.Linear(d_model, tgt_vocab)

    def forward(self, src, tgt):
        x = self.transformer(
            embed(self.src_embedding, src),
            embed(self.tgt_embedding, tgt),
            tgt_mask=causal(tgt.shape[1]),
            src_key_padding_mask=src == 0,
            tgt_key_padding_mask=tgt == 0,
            memory_key_padding_mask=src == 0,
        )
        return self.fc(x)
