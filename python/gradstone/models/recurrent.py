"""Classifiers of sequences: an LSTM (Hochreiter and Schmidhuber, 1997) or a GRU (Cho et al., 2014),
and a linear layer on its last state."""

from __future__ import annotations

from typing import Any

from gradstone import nn
from gradstone._C import Tensor
from gradstone.models._inputs import check_tokens
from gradstone.models._padded import check_lengths, run_padded


class _Classifier(nn.Module):
    """What both have in common; parameters embedding (with vocab_size), lstm or gru, fc."""

    kind: type[nn.LSTM] | type[nn.GRU]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_classes: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        vocab_size: int | None = None,
        padding_idx: int | None = None,
    ) -> None:
        super().__init__()
        if padding_idx is not None and vocab_size is None:
            raise ValueError(f"[{type(self).__name__}] padding_idx needs vocab_size.")
        self.input_size = input_size
        self.padding_idx = padding_idx
        self.embedding: nn.Embedding | None = None
        if vocab_size is not None:
            self.embedding = nn.Embedding(vocab_size, input_size, padding_idx)
        between = dropout if num_layers > 1 else 0.0
        rnn = self.kind(
            input_size,
            hidden_size,
            num_layers,
            batch_first=True,
            dropout=between,
            bidirectional=bidirectional,
        )
        self._rnn = self.kind.__name__.lower()
        self.add_module(self._rnn, rnn)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden_size * (1 + bidirectional), num_classes)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (N, num_classes) of tokens (N, T) int64, or of features (N, T, input_size) when
        there is no vocab_size. `lengths` (N) int64: the steps of each sequence, the rest is
        padding and has no influence; with padding_idx they are counted when not given (padding at
        the end only)."""
        op = type(self).__name__
        if self.embedding is not None:
            check_tokens(op, x)
            if lengths is None and self.padding_idx is not None:
                lengths = (x != self.padding_idx).sum(1)
            inputs = self.embedding(x)
        else:
            if x.dim() != 3 or x.size(2) != self.input_size or x.size(1) == 0:
                raise ValueError(
                    f"[{op}] expected input of shape (N, T, {self.input_size}) with T > 0, got "
                    f"{tuple(x.shape)}."
                )
            inputs = x
        if lengths is not None:
            check_lengths(op, lengths, inputs.size(0), inputs.size(1))
        rnn: Any = self._modules[self._rnn]
        _, h = run_padded(rnn, inputs, lengths)
        return self.fc(self.dropout(h))


class LSTMClassifier(_Classifier):
    """Sequences to logits (N, num_classes) by an LSTM.

    `vocab_size`: inputs are tokens (N, T), embedded in input_size dimensions; without it they are
    features (N, T, input_size). `dropout` stands between layers and before the last linear layer.
    The linear layer reads the final states of the last layer, forward and backward.
    """

    kind = nn.LSTM


class GRUClassifier(_Classifier):
    """Sequences to logits (N, num_classes) by a GRU; arguments as in :class:`LSTMClassifier`."""

    kind = nn.GRU
