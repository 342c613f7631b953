"""Translation by an encoder and a decoder with additive attention (Bahdanau, Cho and Bengio,
"Neural machine translation by jointly learning to align and translate", 2015)."""

from __future__ import annotations

from gradstone import _C, nn
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._creation import full
from gradstone.autograd.grad_mode import no_grad
from gradstone.models._inputs import check_tokens
from gradstone.models._padded import check_lengths, run_padded


class AdditiveAttention(nn.Module):
    """e = v . tanh(W_a s + U_a h + b), weights softmax(e) over the source.

    Parameters W_a.weight (A, H), U_a.weight (A, C), U_a.bias (A), v.weight (1, A) for states s
    (N, H) and annotations h (N, S, C).
    """

    def __init__(self, state_size: int, annotation_size: int, attention_size: int) -> None:
        super().__init__()
        self.W_a = nn.Linear(state_size, attention_size, bias=False)
        self.U_a = nn.Linear(annotation_size, attention_size)
        self.v = nn.Linear(attention_size, 1, bias=False)

    def forward(
        self, state: Tensor, annotations: Tensor, projected: Tensor, padding: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The context (N, C) and the weights (N, S). `projected` is U_a(annotations), the same at
        every step; padding (N, S) is True at steps to leave out."""
        scores = self.v((self.W_a(state).unsqueeze(1) + projected).tanh()).squeeze(2)
        if padding is not None:
            scores = scores.masked_fill(padding, float("-inf"))
        weights = scores.softmax(1)
        return (weights.unsqueeze(1) @ annotations).squeeze(1), weights


class AttentionSeq2Seq(nn.Module):
    """Source (N, S) and target (N, T) tokens, int64, to logits (N, T, tgt_vocab) of the target's
    next tokens and alignments (N, T, S), whose rows sum to 1.

    The paper's network: a bidirectional GRU reads the source; the decoder, a GRU that starts at
    tanh(bridge(backward state at the first word)), sees the word before and the context; maxout
    with two pieces, then a linear layer. Parameters src_embedding, tgt_embedding, encoder (those of
    nn.GRU), bridge, attention.W_a, attention.U_a, attention.v, decoder (those of nn.GRUCell),
    readout, fc. With padding_idx the source's padding (at its end) has no influence.
    """

    def __init__(
        self,
        src_vocab: int,
        tgt_vocab: int,
        embedding_size: int = 256,
        hidden_size: int = 256,
        attention_size: int | None = None,
        maxout_size: int | None = None,
        dropout: float = 0.0,
        padding_idx: int | None = None,
    ) -> None:
        super().__init__()
        self.padding_idx = padding_idx
        attention_size = hidden_size if attention_size is None else attention_size
        self.maxout_size = hidden_size if maxout_size is None else maxout_size
        annotation = 2 * hidden_size
        self.src_embedding = nn.Embedding(src_vocab, embedding_size, padding_idx)
        self.tgt_embedding = nn.Embedding(tgt_vocab, embedding_size, padding_idx)
        self.encoder = nn.GRU(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(hidden_size, hidden_size)
        self.attention = AdditiveAttention(hidden_size, annotation, attention_size)
        self.decoder = nn.GRUCell(embedding_size + annotation, hidden_size)
        self.readout = nn.Linear(hidden_size + embedding_size + annotation, 2 * self.maxout_size)
        self.fc = nn.Linear(self.maxout_size, tgt_vocab)
        self.dropout = nn.Dropout(dropout)

    def encode(self, src: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Annotations (N, S, 2H), the decoder's first state (N, H), padding mask (N, S) or None."""
        check_tokens("AttentionSeq2Seq", src, name="source tokens")
        lengths = padding = None
        if self.padding_idx is not None:
            padding = src == self.padding_idx
            lengths = (~padding).sum(1)
            check_lengths("AttentionSeq2Seq", lengths, src.size(0), src.size(1))
        annotations, h = run_padded(self.encoder, self.dropout(self.src_embedding(src)), lengths)
        return annotations, self.bridge(h[:, self.encoder.hidden_size :]).tanh(), padding

    def _read(self, states: Tensor, words: Tensor, contexts: Tensor) -> Tensor:
        """Logits of (..., H) states, (..., E) words before and (..., 2H) contexts."""
        pieces = self.readout(_C.cat([states, words, contexts], -1))
        maxout = pieces.reshape(*pieces.shape[:-1], self.maxout_size, 2).amax(-1)
        return self.fc(self.dropout(maxout))

    def forward(self, src: Tensor, tgt: Tensor) -> tuple[Tensor, Tensor]:
        check_tokens("AttentionSeq2Seq", tgt, name="target tokens")
        annotations, state, padding = self.encode(src)
        if tgt.size(0) != src.size(0):
            raise ValueError(f"[AttentionSeq2Seq] {src.size(0)} sources but {tgt.size(0)} targets.")
        projected = self.attention.U_a(annotations)
        words = self.dropout(self.tgt_embedding(tgt))
        states, contexts, alignments = [], [], []
        for t in range(tgt.size(1)):
            context, weights = self.attention(state, annotations, projected, padding)
            state = self.decoder(_C.cat([words[:, t], context], 1), state)
            states.append(state)
            contexts.append(context)
            alignments.append(weights)
        logits = self._read(_C.stack(states, 1), words, _C.stack(contexts, 1))
        return logits, _C.stack(alignments, 1)

    @no_grad()
    def generate(
        self, src: Tensor, start: int, end: int, max_new_tokens: int = 50
    ) -> tuple[Tensor, Tensor]:
        """The most likely word at every step: tokens (N, steps) int64, without `start`, `end` at
        and behind the end of each; and alignments (N, steps, S). Call eval() first, or dropout is
        active."""
        whole("AttentionSeq2Seq.generate", "max_new_tokens", max_new_tokens, 1)
        annotations, state, padding = self.encode(src)
        projected = self.attention.U_a(annotations)
        word = full((src.size(0),), start, dtype=_C.int64, device=src.device)
        done = word != start
        tokens, alignments = [], []
        for _ in range(max_new_tokens):
            embedded = self.tgt_embedding(word)
            context, weights = self.attention(state, annotations, projected, padding)
            state = self.decoder(_C.cat([embedded, context], 1), state)
            word = self._read(state, embedded, context).argmax(1).masked_fill(done, end)
            tokens.append(word)
            alignments.append(weights)
            done = done | (word == end)
            if bool(done.all()):
                break
        return _C.stack(tokens, 1), _C.stack(alignments, 1)
