"""The networks from PyTorch's own layers, with torchvision's and Hugging Face's names.

Written from the papers and the names; builders and arguments are those of `gradstone.models`. GPT-2
and BERT are torch.nn.TransformerEncoderLayer under other names: their weights are rearranged into
it, so that gradients come back through the rearrangement.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .cases import Case


def build(case: Case) -> nn.Module:
    return BUILDERS[case.builder](**case.options)


# ------------------------------------------------------------------------------------------ images


class LeNet(nn.Module):
    def __init__(self, num_classes=10, in_channels=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x):
        if x.shape[-1] == 28:
            x = nn.ZeroPad2d(2)(x)
        pool = nn.MaxPool2d(2)
        x = pool(self.conv2(pool(self.conv1(x).relu())).relu()).flatten(1)
        return self.fc3(self.fc2(self.fc1(x).relu()).relu())


class VGG(nn.Module):
    # "M": pooling; numbers: multiples of the width.
    PLANS = {
        11: "1M2M44M88M88M",
        13: "11M22M44M88M88M",
        16: "11M22M444M888M888M",
    }

    def __init__(
        self, depth, bn, num_classes=1000, small_input=False, dropout=0.5, width=64, hidden=4096
    ):
        super().__init__()
        layers, last = [], 3
        for mark in self.PLANS[depth]:
            if mark == "M":
                layers += [nn.MaxPool2d(2)]
                continue
            now = int(mark) * width
            layers += [nn.Conv2d(last, now, 3, padding=1)]
            layers += [nn.BatchNorm2d(now)] if bn else []
            layers += [nn.ReLU()]
            last = now
        self.features = nn.Sequential(*layers)
        if small_input:
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        else:
            self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
            self.classifier = nn.Sequential(
                nn.Linear(last * 7 * 7, hidden), nn.ReLU(), nn.Dropout(dropout),
                nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout),
                nn.Linear(hidden, num_classes),
            )  # fmt: skip

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class Residual(nn.Module):
    """Both kinds of block: `kernels` (3, 3) or (1, 3, 1)."""

    def __init__(self, before, width, stride, kernels):
        super().__init__()
        self.count = len(kernels)
        after = width * (4 if self.count == 3 else 1)
        sizes = [before] + [width] * (self.count - 1) + [after]
        first = kernels.index(3)
        for i, k in enumerate(kernels):
            step = stride if i == first else 1
            conv = nn.Conv2d(sizes[i], sizes[i + 1], k, step, k // 2, bias=False)
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(sizes[i + 1]))
        if stride > 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x):
        out = x
        for i in range(1, self.count + 1):
            out = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(out))
            out = out.relu() if i < self.count else out
        return (out + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()


class ResNet(nn.Module):
    def __init__(
        self, kernels, counts, num_classes=1000, small_input=False, in_channels=3, width=64
    ):
        super().__init__()
        if small_input:
            self.conv1 = nn.Conv2d(in_channels, width, 3, 1, 1, bias=False)
        else:
            self.conv1 = nn.Conv2d(in_channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if small_input else nn.MaxPool2d(3, 2, 1)
        before = width
        for stage, count in enumerate(counts):
            planes, stride = width << stage, 1 if stage == 0 else 2
            blocks = []
            for i in range(count):
                blocks.append(Residual(before, planes, stride if i == 0 else 1, kernels))
                before = planes * (4 if len(kernels) == 3 else 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(before, num_classes)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def double_conv(before, after):
    layers = []
    for a in (before, after):
        layers += [
            nn.Conv2d(a, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
        ]  # fmt: skip
    return nn.ModuleDict({"double_conv": nn.Sequential(*layers)})


class UNet(nn.Module):
    def __init__(self, n_channels, n_classes, width, depth):
        super().__init__()
        self.depth = depth
        self.inc = double_conv(n_channels, width)
        for i in range(depth):
            pair = nn.Sequential(nn.MaxPool2d(2), double_conv(width << i, width << i + 1))
            self.add_module(f"down{i + 1}", nn.ModuleDict({"maxpool_conv": pair}))
            wide = width << depth - i
            up = nn.ConvTranspose2d(wide, wide // 2, 2, 2)
            parts = {"up": up, "conv": double_conv(wide, wide // 2)}
            self.add_module(f"up{i + 1}", nn.ModuleDict(parts))
        self.outc = nn.ModuleDict({"conv": nn.Conv2d(width, n_classes, 1)})

    def forward(self, x):
        x = self.inc["double_conv"](x)
        kept = []
        for i in range(self.depth):
            kept.append(x)
            pool, conv = getattr(self, f"down{i + 1}")["maxpool_conv"]
            x = conv["double_conv"](pool(x))
        for i in range(self.depth):
            parts, skip = getattr(self, f"up{i + 1}"), kept.pop()
            x = parts["up"](x)
            h, w = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
            x = nn.ConstantPad2d((w // 2, w - w // 2, h // 2, h - h // 2), 0.0)(x)
            x = parts["conv"]["double_conv"](torch.cat((skip, x), 1))
        return self.outc["conv"](x)


# --------------------------------------------------------------------------------------- sequences


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


# ------------------------------------------------------------------- GPT-2 and BERT, by their names


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


# -------------------------------------------------------------------------------------- generative


class Generator(nn.Module):
    def __init__(self, latent=100, channels=1, size=64, width=64):
        super().__init__()
        nz, ngf, nc = latent, width, channels
        norm, relu, up = nn.BatchNorm2d, nn.ReLU, nn.ConvTranspose2d
        start = {
            28: [up(nz, ngf * 2, 7, 1, 0, bias=False), norm(ngf * 2), relu()],
            32: [
                up(nz, ngf * 4, 4, 1, 0, bias=False), norm(ngf * 4), relu(),
                up(ngf * 4, ngf * 2, 4, 2, 1, bias=False), norm(ngf * 2), relu(),
            ],
            64: [
                up(nz, ngf * 8, 4, 1, 0, bias=False), norm(ngf * 8), relu(),
                up(ngf * 8, ngf * 4, 4, 2, 1, bias=False), norm(ngf * 4), relu(),
                up(ngf * 4, ngf * 2, 4, 2, 1, bias=False), norm(ngf * 2), relu(),
            ],
        }[size]  # fmt: skip
        self.main = nn.Sequential(
            *start, up(ngf * 2, ngf, 4, 2, 1, bias=False), norm(ngf), relu(),
            up(ngf, nc, 4, 2, 1, bias=False), nn.Tanh(),
        )  # fmt: skip

    def forward(self, x):
        return self.main(x[:, :, None, None])


class Discriminator(nn.Module):
    def __init__(self, channels=1, size=64, width=64):
        super().__init__()
        nc, ndf = channels, width
        norm, leaky, conv = nn.BatchNorm2d, nn.LeakyReLU, nn.Conv2d
        layers = [
            conv(nc, ndf, 4, 2, 1, bias=False), leaky(0.2),
            conv(ndf, ndf * 2, 4, 2, 1, bias=False), norm(ndf * 2), leaky(0.2),
        ]  # fmt: skip
        if size >= 32:
            layers += [conv(ndf * 2, ndf * 4, 4, 2, 1, bias=False), norm(ndf * 4), leaky(0.2)]
        if size == 64:
            layers += [conv(ndf * 4, ndf * 8, 4, 2, 1, bias=False), norm(ndf * 8), leaky(0.2)]
        last = {28: (ndf * 2, 7), 32: (ndf * 4, 4), 64: (ndf * 8, 4)}[size]
        self.main = nn.Sequential(*layers, conv(last[0], 1, last[1], 1, 0, bias=False))

    def forward(self, x):
        return self.main(x)[:, 0, 0, 0]


class VAE(nn.Module):
    def __init__(self, in_features=784, hidden=400, latent=20):
        super().__init__()
        self.fc1 = nn.Linear(in_features, hidden)
        self.fc21 = nn.Linear(hidden, latent)
        self.fc22 = nn.Linear(hidden, latent)
        self.fc3 = nn.Linear(latent, hidden)
        self.fc4 = nn.Linear(hidden, in_features)

    def forward(self, x, noise):
        h = self.fc1(x.flatten(1)).relu()
        normal = torch.distributions.Normal(self.fc21(h), torch.exp(self.fc22(h) / 2))
        z = normal.loc + normal.scale * noise
        return self.fc4(self.fc3(z).relu()), normal.loc, self.fc22(h)


class ConvVAE(nn.Module):
    def __init__(self, size, maps, latent):
        super().__init__()
        a, b = maps
        self.side = size // 4
        self.encoder = nn.Sequential(
            nn.Conv2d(1, a, 3, 2, 1), nn.ReLU(), nn.Conv2d(a, b, 3, 2, 1), nn.ReLU()
        )
        flat = b * self.side**2
        self.fc_mu = nn.Linear(flat, latent)
        self.fc_var = nn.Linear(flat, latent)
        self.decoder_input = nn.Linear(latent, flat)
        self.decoder = nn.Sequential(
            nn.ReLU(), nn.ConvTranspose2d(b, a, 4, 2, 1),
            nn.ReLU(), nn.ConvTranspose2d(a, 1, 4, 2, 1),
        )  # fmt: skip

    def forward(self, x, noise):
        h = self.encoder(x).flatten(1)
        mu, logvar = self.fc_mu(h), self.fc_var(h)
        z = self.decoder_input(mu + torch.exp(logvar).sqrt() * noise)
        return self.decoder(z.unflatten(1, (-1, self.side, self.side))), mu, logvar


def _vgg(depth, bn):
    return lambda **options: VGG(depth, bn, **options)


def _resnet(kernels, counts):
    return lambda **options: ResNet(kernels, counts, **options)


BUILDERS = {
    "LeNet": LeNet,
    "vgg11": _vgg(11, False),
    "vgg13_bn": _vgg(13, True),
    "vgg16_bn": _vgg(16, True),
    "resnet18": _resnet((3, 3), (2, 2, 2, 2)),
    "resnet34": _resnet((3, 3), (3, 4, 6, 3)),
    "resnet50": _resnet((1, 3, 1), (3, 4, 6, 3)),
    "UNet": UNet,
    "LSTMClassifier": lambda **options: RecurrentClassifier(nn.LSTM, **options),
    "GRUClassifier": lambda **options: RecurrentClassifier(nn.GRU, **options),
    "AttentionSeq2Seq": AttentionSeq2Seq,
    "TransformerEncoderModel": TransformerEncoderModel,
    "TransformerDecoderModel": TransformerDecoderModel,
    "TransformerSeq2Seq": TransformerSeq2Seq,
    "GPT2": GPT2,
    "Bert": Bert,
    "BertForMaskedLM": BertForMaskedLM,
    "BertForSequenceClassification": BertForSequenceClassification,
    "Generator": Generator,
    "Discriminator": Discriminator,
    "VAE": VAE,
    "ConvVAE": ConvVAE,
}
