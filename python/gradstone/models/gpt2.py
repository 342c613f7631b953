"""GPT-2 (Radford et al., "Language models are unsupervised multitask learners", 2019), with the
names of the published weights: wte, wpe, h.N.ln_1, h.N.attn.c_attn, h.N.mlp.c_fc, ln_f."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradstone import _C, nn
from gradstone._C import Generator, Tensor
from gradstone._checks import whole
from gradstone._creation import arange, empty, zeros
from gradstone.autograd.grad_mode import no_grad
from gradstone.models._inputs import check_tokens
from gradstone.models._next_token import check_sampling, choose
from gradstone.models.pretrained import Rules
from gradstone.nn import functional as F
from gradstone.nn import init

Cache = list[tuple[Tensor, Tensor]]


@dataclass
class GPT2Config:
    """The defaults are GPT-2 small (124 M parameters). Medium: n_embd 1024, n_layer 24, n_head 16;
    large: 1280, 36, 20; XL: 1600, 48, 25."""

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None  # 4 * n_embd
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    resid_pdrop: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        for name in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head"):
            whole("GPT2Config", name, getattr(self, name), 1)
        if self.n_embd % self.n_head:
            raise ValueError(
                f"[GPT2Config] n_embd must be divisible by n_head, got {self.n_embd} and "
                f"{self.n_head}."
            )


class Conv1D(nn.Module):
    """x W + b with weight (in, out): a Linear whose weight is stored the other way round, as in the
    published files."""

    def __init__(self, in_features: int, out_features: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(empty(in_features, out_features))
        self.bias = nn.Parameter(zeros(out_features))
        init.normal_(self.weight, 0, std)

    def forward(self, x: Tensor) -> Tensor:
        flat = _C.addmm(self.bias, x.reshape(-1, x.size(-1)), self.weight)
        return flat.reshape(*x.shape[:-1], self.weight.size(1))

    def extra_repr(self) -> str:
        return f"{self.weight.size(0)}, {self.weight.size(1)}"


class Attention(nn.Module):
    """Causal self-attention with several heads."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        e, std = config.n_embd, config.initializer_range
        self.heads = config.n_head
        self.c_attn = Conv1D(e, 3 * e, std)
        # Smaller, for the 2 n_layer residual additions (section 2.3 of the paper).
        self.c_proj = Conv1D(e, e, std / math.sqrt(2 * config.n_layer))
        self.attn_dropout = config.attn_pdrop
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None, mask: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The output (N, T, E), and keys and values (N, heads, past + T, d) of all steps so far.
        Without a mask (True: may be seen) the attention is causal."""
        n, t, e = x.shape
        q, k, v = (
            part.reshape(n, t, self.heads, e // self.heads).transpose(1, 2)
            for part in _C.chunk(self.c_attn(x), 3, -1)
        )
        if past is not None:
            k, v = _C.cat([past[0], k], 2), _C.cat([past[1], v], 2)
        chance = self.attn_dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, mask, chance, mask is None and t > 1)
        out = self.c_proj(out.transpose(1, 2).reshape(n, t, e))
        return self.resid_dropout(out), (k, v)


class MLP(nn.Module):
    """Two linear layers with GELU (its tanh form) between them."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        inner = config.n_inner or 4 * config.n_embd
        std = config.initializer_range
        self.c_fc = Conv1D(config.n_embd, inner, std)
        self.c_proj = Conv1D(inner, config.n_embd, std / math.sqrt(2 * config.n_layer))
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.c_proj(F.gelu(self.c_fc(x), approximate="tanh")))


class Block(nn.Module):
    """Norm and attention, norm and MLP, each added to what came in."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = Attention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config)

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None, mask: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        out, kept = self.attn(self.ln_1(x), past, mask)
        x = x + out
        return x + self.mlp(self.ln_2(x)), kept


class GPT2(nn.Module):
    """Tokens (N, T) int64 to logits (N, T, vocab_size) of the next token. The head's weight is
    wte's (tied), so it has no name of its own."""

    _pretrained = Rules(
        prefixes=("transformer.",),
        # Published files carry the causal masks.
        ignored=(r"h\.\d+\.attn\.(masked_)?bias",),
        tied={"lm_head.weight": "wte.weight"},
    )

    def __init__(self, config: GPT2Config | None = None) -> None:
        super().__init__()
        self.config = config = config or GPT2Config()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        init.normal_(self.wte.weight, 0, config.initializer_range)
        init.normal_(self.wpe.weight, 0, config.initializer_range)

    def _mask(
        self, attention_mask: Tensor | None, past: int, new: int, like: Tensor
    ) -> Tensor | None:
        """True where a new step (rows) may see a step (columns); None where plain causal
        attention, or a single step that sees all, says the same."""
        total = past + new
        if attention_mask is None and (past == 0 or new == 1):
            return None
        seen = _C._full((new, total), 1, _C.bool, like.device).tril(past)
        if attention_mask is None:
            return seen
        if tuple(attention_mask.shape) != (like.size(0), total):
            raise ValueError(
                f"[GPT2] expected attention_mask of shape {(like.size(0), total)}, got "
                f"{tuple(attention_mask.shape)}."
            )
        # A step always sees itself: rows of padding stay finite.
        own = seen & ~_C._full((new, total), 1, _C.bool, like.device).tril(past - 1)
        return ((attention_mask != 0).reshape(-1, 1, 1, total) & seen) | own

    def hidden(
        self, tokens: Tensor, attention_mask: Tensor | None = None, cache: Cache | None = None
    ) -> tuple[Tensor, Cache]:
        """Features behind ln_f (N, T, n_embd), and keys and values of every layer."""
        past = cache[0][0].size(2) if cache else 0
        check_tokens("GPT2", tokens)
        if past + tokens.size(1) > self.config.n_positions:
            raise ValueError(
                f"[GPT2] {past + tokens.size(1)} positions, the model has "
                f"{self.config.n_positions} at most."
            )
        mask = self._mask(attention_mask, past, tokens.size(1), tokens)
        positions = arange(past, past + tokens.size(1), device=tokens.device)
        x = self.drop(self.wte(tokens) + self.wpe(positions))
        kept: Cache = []
        for i, block in enumerate(self.h):
            x, pair = block(x, cache[i] if cache else None, mask)
            kept.append(pair)
        return self.ln_f(x), kept

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """attention_mask (N, T): 0 at steps that are not to be seen (padding)."""
        return F.linear(self.hidden(tokens, attention_mask)[0], self.wte.weight)

    @no_grad()
    def generate(
        self,
        tokens: Tensor,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        eos_token: int | None = None,
        generator: Generator | None = None,
        use_cache: bool = True,
    ) -> Tensor:
        """The prompt (N, T) int64 with up to max_new_tokens behind it, drawn one by one.

        Temperature 0 takes the most likely token. `top_k` and `top_p` keep the k most likely
        tokens, and of these the most likely ones that together have probability p. Behind
        `eos_token` a row holds eos_token; it ends when all rows did. Keys and values are kept
        between steps (`use_cache`) up to n_positions; beyond, each token is computed from the last
        n_positions anew. Dropout is off meanwhile.
        """
        check_tokens("GPT2.generate", tokens)
        check_sampling("GPT2.generate", temperature, top_k, top_p)
        whole("GPT2.generate", "max_new_tokens", max_new_tokens)
        longest = self.config.n_positions
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            cache: Cache | None = None
            done = tokens[:, 0] != tokens[:, 0]
            for _ in range(max_new_tokens):
                fits = tokens.size(1) <= longest
                new = tokens[:, -1:] if cache and fits else tokens[:, -longest:]
                x, kept = self.hidden(new, cache=cache if fits else None)
                cache = kept if use_cache and fits else None
                logits = F.linear(x[:, -1], self.wte.weight)
                token = choose(logits, temperature, top_k, top_p, generator)
                if eos_token is not None:
                    token = token.masked_fill(done, eos_token)
                    done = done | (token == eos_token)
                tokens = _C.cat([tokens, token.unsqueeze(1)], 1)
                if eos_token is not None and bool(done.all()):
                    break
            return tokens
        finally:
            for module, training in modes:
                module.training = training
