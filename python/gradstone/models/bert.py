"""BERT (Devlin et al., "BERT: pre-training of deep bidirectional transformers for language
understanding", 2019), with the names of the published weights."""

from __future__ import annotations

from dataclasses import dataclass

from gradstone import nn
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._creation import arange, zeros
from gradstone.autograd.grad_mode import no_grad
from gradstone.models._inputs import check_shape, check_tokens
from gradstone.models.pretrained import Rules
from gradstone.nn import functional as F
from gradstone.nn import init

# Files from before LayerNorm had its present names, and a table of positions that some carry.
_RENAMED = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_TABLES = r"(bert\.)?embeddings\.(position_ids|token_type_ids)"


@dataclass
class BertConfig:
    """The defaults are BERT-base, uncased (109 M parameters). Large: hidden_size 1024,
    num_hidden_layers 24, num_attention_heads 16, intermediate_size 4096."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    pad_token_id: int = 0

    def __post_init__(self) -> None:
        for name in (
            "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
            "intermediate_size", "max_position_embeddings", "type_vocab_size",
        ):  # fmt: skip
            whole("BertConfig", name, getattr(self, name), 1)
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                "[BertConfig] hidden_size must be divisible by num_attention_heads, got "
                f"{self.hidden_size} and {self.num_attention_heads}."
            )


class Embeddings(nn.Module):
    """Word, position and segment, added, normed, dropped out: (N, T) to (N, T, hidden_size)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, size, config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, size)
        self.LayerNorm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, tokens: Tensor, token_type_ids: Tensor | None) -> Tensor:
        x = self.word_embeddings(tokens)
        x = x + self.position_embeddings(arange(tokens.size(1), device=tokens.device))
        # Without segments all tokens belong to the first.
        row = self.token_type_embeddings.weight[0]
        x = x + (row if token_type_ids is None else self.token_type_embeddings(token_type_ids))
        return self.dropout(self.LayerNorm(x))


class SelfAttention(nn.Module):
    """Attention with several heads, before its output layer."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_attention_heads
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.chance = config.attention_probs_dropout_prob

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        n, t, e = x.shape
        q, k, v = (
            layer(x).reshape(n, t, self.heads, e // self.heads).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        chance = self.chance if self.training else 0.0
        return (
            F.scaled_dot_product_attention(q, k, v, mask, chance).transpose(1, 2).reshape(n, t, e)
        )


class Output(nn.Module):
    """Linear layer, dropout, residual connection, norm."""

    def __init__(self, config: BertConfig, inputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class Attention(nn.Module):
    """Self-attention and its output layer."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = Output(config, config.hidden_size)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.output(self.self(x, mask), x)


class Dense(nn.Module):
    """A linear layer under the name `dense`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x)


class Layer(nn.Module):
    """Attention, then two linear layers with GELU between them."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Dense(config.hidden_size, config.intermediate_size)
        self.output = Output(config, config.intermediate_size)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.attention(x, mask)
        return self.output(F.gelu(self.intermediate(x)), x)


class Encoder(nn.Module):
    """The layers, one after the other."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        for layer in self.layer:
            x = layer(x, mask)
        return x


def _reset(model: nn.Module, std: float) -> None:
    """N(0, std) weights, zero biases and padding rows, as in pre-training."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            init.normal_(module.weight, 0, std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with no_grad():
                module.weight[module.padding_idx] = 0


class Bert(nn.Module):
    """Tokens (N, T) int64 to features (N, T, hidden_size) and the pooled first one (N,
    hidden_size), or None without the pooler.

    attention_mask (N, T): 0 at padding; token_type_ids (N, T) int64: segment of each token.
    """

    # A file of a whole pre-training model also holds its heads.
    _pretrained = Rules(("bert.",), (_TABLES, r"cls\..*", r"classifier\..*"), _RENAMED)

    def __init__(self, config: BertConfig | None = None, add_pooling_layer: bool = True) -> None:
        super().__init__()
        self.config = config = config or BertConfig()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Dense(config.hidden_size, config.hidden_size) if add_pooling_layer else None
        _reset(self, config.initializer_range)

    def forward(
        self,
        tokens: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        check_tokens("Bert", tokens, self.config.max_position_embeddings)
        shape = (tokens.size(0), tokens.size(1))
        mask = None
        if attention_mask is not None:
            check_shape("Bert", "attention_mask", attention_mask, shape)
            mask = (attention_mask != 0).reshape(shape[0], 1, 1, shape[1])
        if token_type_ids is not None:
            check_shape("Bert", "token_type_ids", token_type_ids, shape)
        x = self.encoder(self.embeddings(tokens, token_type_ids), mask)
        return x, None if self.pooler is None else self.pooler(x[:, 0]).tanh()


class _Transform(nn.Module):
    """Linear layer, GELU, norm: what stands before the head for masked words."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.LayerNorm(F.gelu(self.dense(x)))


class _Predictions(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.bias = nn.Parameter(zeros(config.vocab_size))
        self.transform = _Transform(config)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        return F.linear(self.transform(x), words, self.bias)


class _Heads(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.predictions = _Predictions(config)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        return self.predictions(x, words)


class BertForMaskedLM(nn.Module):
    """Tokens (N, T) to logits (N, T, vocab_size) of the word at each position; the head's weight is
    that of the word embeddings (tied). Inputs as in :class:`Bert`."""

    _pretrained = Rules(
        ("bert.",),
        (_TABLES, r"cls\.seq_relationship\..*", r"(bert\.)?pooler\..*", r"classifier\..*"),
        _RENAMED,
        {
            "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
            "cls.predictions.decoder.bias": "cls.predictions.bias",
        },
    )

    def __init__(self, config: BertConfig | None = None) -> None:
        super().__init__()
        self.bert = Bert(config, add_pooling_layer=False)
        self.config = self.bert.config
        self.cls = _Heads(self.config)
        _reset(self.cls, self.config.initializer_range)

    def forward(
        self,
        tokens: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        x = self.bert(tokens, attention_mask, token_type_ids)[0]
        return self.cls(x, self.bert.embeddings.word_embeddings.weight)


class BertForSequenceClassification(nn.Module):
    """Tokens (N, T) to logits (N, num_labels) of the pooled first token. Inputs as in
    :class:`Bert`."""

    _pretrained = Rules(("bert.",), (_TABLES, r"cls\..*"), _RENAMED)

    def __init__(self, config: BertConfig | None = None, num_labels: int = 2) -> None:
        super().__init__()
        self.bert = Bert(config)
        self.config = self.bert.config
        self.dropout = nn.Dropout(self.config.hidden_dropout_prob)
        self.classifier = nn.Linear(self.config.hidden_size, num_labels)
        _reset(self.classifier, self.config.initializer_range)

    def forward(
        self,
        tokens: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        pooled = self.bert(tokens, attention_mask, token_type_ids)[1]
        return self.classifier(self.dropout(pooled))
