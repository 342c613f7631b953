"""GPT-2 and BERT under Hugging Face's names: torch.nn.TransformerEncoderLayer with their weights
rearranged into it, so that gradients come back through the rearrangement."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from models_pins.reference.sequences import causal


def tree(shapes: dict[str, tuple[int, ...]]) -> nn.Module:
    """A module that holds parameters of these dotted names."""
    root = nn.Module()
    for name, shape in shapes.items():
        *path, last = name.split(".")
        at = root
        for part in path:
            if part not in at._modules:
                at.add_module(part, nn.Module())
            at = at._modules[part]
        at.register_parameter(last, nn.Parameter(torch.zeros(shape)))
    return root


def gpt2_shapes(vocab_size=50257, n_positions=1024, n_embd=768, n_layer=12, n_inner=None, **_):
    """Hugging Face's names of GPT2Model: Conv1D weights are (in, out)."""
    e, inner = n_embd, n_inner or 4 * n_embd
    out = {"wte.weight": (vocab_size, e), "wpe.weight": (n_positions, e)}
    for i in range(n_layer):
        for name, shape in {
            "ln_1.weight": (e,),
            "ln_1.bias": (e,),
            "attn.c_attn.weight": (e, 3 * e),
            "attn.c_attn.bias": (3 * e,),
            "attn.c_proj.weight": (e, e),
            "attn.c_proj.bias": (e,),
            "ln_2.weight": (e,),
            "ln_2.bias": (e,),
            "mlp.c_fc.weight": (e, inner),
            "mlp.c_fc.bias": (inner,),
            "mlp.c_proj.weight": (inner, e),
            "mlp.c_proj.bias": (e,),
        }.items():
            out[f"h.{i}.{name}"] = shape
    return {**out, "ln_f.weight": (e,), "ln_f.bias": (e,)}


class Named(nn.Module):
    """Parameters under given names, at the top of this module."""

    def __init__(self, shapes):
        super().__init__()
        for name, child in tree(shapes)._modules.items():
            self.add_module(name, child)

    def p(self):
        return dict(self.named_parameters())


class GPT2(Named):
    def __init__(self, **config):
        super().__init__(gpt2_shapes(**config))
        self.config = config

    def forward(self, tokens, attention_mask=None):
        c, p = self.config, self.p()
        e, t = c["n_embd"], tokens.shape[1]
        x = p["wte.weight"][tokens] + p["wpe.weight"][:t]
        layer = nn.TransformerEncoderLayer(
            e, c["n_head"], c.get("n_inner") or 4 * e, 0.0, lambda v: F.gelu(v, approximate="tanh"),
            1e-5, batch_first=True, norm_first=True,
        ).double()  # fmt: skip
        hidden = causal(t)
        if attention_mask is not None:
            hidden = hidden | (attention_mask == 0)[:, None, :]
            hidden = hidden & ~torch.eye(t, dtype=torch.bool)
            hidden = hidden.repeat_interleave(c["n_head"], 0)
        for i in range(c["n_layer"]):
            mine = {k.removeprefix(f"h.{i}."): v for k, v in p.items() if k.startswith(f"h.{i}.")}
            given = {
                "norm1.weight": mine["ln_1.weight"],
                "norm1.bias": mine["ln_1.bias"],
                "norm2.weight": mine["ln_2.weight"],
                "norm2.bias": mine["ln_2.bias"],
                "self_attn.in_proj_weight": mine["attn.c_attn.weight"].T,
                "self_attn.in_proj_bias": mine["attn.c_attn.bias"],
                "self_attn.out_proj.weight": mine["attn.c_proj.weight"].T,
                "self_attn.out_proj.bias": mine["attn.c_proj.bias"],
                "linear1.weight": mine["mlp.c_fc.weight"].T,
                "linear1.bias": mine["mlp.c_fc.bias"],
                "linear2.weight": mine["mlp.c_proj.weight"].T,
                "linear2.bias": mine["mlp.c_proj.bias"],
            }
            x = functional_call(layer, given, (x, hidden))
        x = F.layer_norm(x, (e,), p["ln_f.weight"], p["ln_f.bias"], 1e-5)
        return F.linear(x, p["wte.weight"])


def bert_shapes(vocab_size=30522, hidden_size=768, num_hidden_layers=12, intermediate_size=3072,
                max_position_embeddings=512, pooler=True, **_):  # fmt: skip
    """Hugging Face's names of BertModel."""
    e, inner = hidden_size, intermediate_size

    def dense(name, rows, columns):
        return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}

    def norm(name):
        return {f"{name}.weight": (e,), f"{name}.bias": (e,)}

    out = {
        "embeddings.word_embeddings.weight": (vocab_size, e),
        "embeddings.position_embeddings.weight": (max_position_embeddings, e),
        "embeddings.token_type_embeddings.weight": (2, e),
        **norm("embeddings.LayerNorm"),
    }
    for i in range(num_hidden_layers):
        at = f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            out |= dense(f"{at}.attention.self.{part}", e, e)
        out |= dense(f"{at}.attention.output.dense", e, e)
        out |= norm(f"{at}.attention.output.LayerNorm")
        out |= dense(f"{at}.intermediate.dense", inner, e)
        out |= dense(f"{at}.output.dense", e, inner)
        out |= norm(f"{at}.output.LayerNorm")
    return out | (dense("pooler.dense", e, e) if pooler else {})


def bert_features(p: dict[str, Any], c: dict[str, Any], tokens, attention_mask, segments):
    e = c["hidden_size"]

    def norm(x, name):
        return F.layer_norm(x, (e,), p[f"{name}.weight"], p[f"{name}.bias"], 1e-12)

    segments = torch.zeros_like(tokens) if segments is None else segments
    x = F.embedding(tokens, p["embeddings.word_embeddings.weight"], padding_idx=0)
    x = x + p["embeddings.position_embeddings.weight"][: tokens.shape[1]]
    x = x + p["embeddings.token_type_embeddings.weight"][segments]
    x = norm(x, "embeddings.LayerNorm")
    layer = nn.TransformerEncoderLayer(
        e, c["num_attention_heads"], c["intermediate_size"], 0.0, "gelu", 1e-12, batch_first=True
    ).double()
    padding = None if attention_mask is None else attention_mask == 0
    for i in range(c["num_hidden_layers"]):
        at = f"encoder.layer.{i}."
        given = {}
        for kind in ("weight", "bias"):
            parts = [p[f"{at}attention.self.{q}.{kind}"] for q in ("query", "key", "value")]
            given[f"self_attn.in_proj_{kind}"] = torch.cat(parts)
            for theirs, ours in {
                "self_attn.out_proj": "attention.output.dense",
                "norm1": "attention.output.LayerNorm",
                "linear1": "intermediate.dense",
                "linear2": "output.dense",
                "norm2": "output.LayerNorm",
            }.items():
                given[f"{theirs}.{kind}"] = p[f"{at}{ours}.{kind}"]
        x = functional_call(layer, given, (x, None, padding))
    if "pooler.dense.weight" not in p:
        return x, None
    return x, torch.tanh(F.linear(x[:, 0], p["pooler.dense.weight"], p["pooler.dense.bias"]))


class Bert(Named):
    def __init__(self, **config):
        super().__init__(bert_shapes(**config))
        self.config = config

    def forward(self, tokens, attention_mask=None, segments=None):
        return bert_features(self.p(), self.config, tokens, attention_mask, segments)


def below(prefix, shapes):
    return {f"{prefix}{k}": v for k, v in shapes.items()}


class BertForMaskedLM(Named):
    def __init__(self, **config):
        e = config["hidden_size"]
        super().__init__({
            **below("bert.", bert_shapes(**config, pooler=False)),
            "cls.predictions.bias": (config["vocab_size"],),
            "cls.predictions.transform.dense.weight": (e, e),
            "cls.predictions.transform.dense.bias": (e,),
            "cls.predictions.transform.LayerNorm.weight": (e,),
            "cls.predictions.transform.LayerNorm.bias": (e,),
        })  # fmt: skip
        self.config = config

    def forward(self, tokens, attention_mask=None, segments=None):
        inner = {k.removeprefix("bert."): v for k, v in self.p().items()}
        head = {k.removeprefix("cls.predictions."): v for k, v in self.p().items()}
        x = bert_features(inner, self.config, tokens, attention_mask, segments)[0]
        x = F.gelu(F.linear(x, head["transform.dense.weight"], head["transform.dense.bias"]))
        x = F.layer_norm(
            x, (x.shape[2],), head["transform.LayerNorm.weight"], head["transform.LayerNorm.bias"],
            1e-12,
        )  # fmt: skip
        return F.linear(x, inner["embeddings.word_embeddings.weight"], head["bias"])


class BertForSequenceClassification(Named):
    def __init__(self, num_labels=2, **config):
        super().__init__({
            **below("bert.", bert_shapes(**config)),
            "classifier.weight": (num_labels, config["hidden_size"]),
            "classifier.bias": (num_labels,),
        })  # fmt: skip
        self.config = config

    def forward(self, tokens, attention_mask=None, segments=None):
        p = self.p()
        inner = {k.removeprefix("bert."): v for k, v in p.items()}
        pooled = bert_features(inner, self.config, tokens, attention_mask, segments)[1]
        return F.linear(pooled, p["classifier.weight"], p["classifier.bias"])
