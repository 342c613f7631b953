"""What is compared: small forms of every network, with weights and inputs by formula, and one run
(forward in training, backward, forward in evaluation) written once for PyTorch and gradstone.

Everything is float64, so that a wrong formula cannot hide behind rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np


def values(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def tokens(seed: int, n: int, length: int, vocab: int, lengths: tuple[int, ...] = ()) -> np.ndarray:
    """Tokens from 1 on; behind the lengths 0, which is padding where a model has padding_idx."""
    out = np.random.default_rng(seed).integers(1, vocab, (n, length))
    for row, end in enumerate(lengths):
        out[row, end:] = 0
    return out


@dataclass(frozen=True)
class Case:
    """A builder that both `gradstone.models` and the reference have, and what it is called with."""

    builder: str
    options: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Any, ...] = ()  # arguments of forward; None stays None
    config: bool = False  # the options make a config object


def _images(*shape: int) -> tuple[np.ndarray]:
    return (values(1, *shape),)


_SMALL = {"d_model": 8, "nhead": 2, "dim_feedforward": 12, "dropout": 0.0, "padding_idx": 0}
_GPT2 = {
    "vocab_size": 17,
    "n_positions": 9,
    "n_embd": 8,
    "n_layer": 2,
    "n_head": 2,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
    "resid_pdrop": 0.0,
}
_BERT = {
    "vocab_size": 17,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "max_position_embeddings": 9,
}
_TOKENS = tokens(2, 3, 6, 17, (6, 4, 1))
_SEGMENTS = np.array([[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]])
_BERT_INPUTS = (_TOKENS, (_TOKENS != 0).astype(np.int64), _SEGMENTS)
_PAIR = (tokens(3, 3, 5, 11, (5, 2, 4)), tokens(4, 3, 4, 13, (3, 4, 2)))
_MEMORY = values(5, 3, 5, 8)

CASES = {
    "lenet28": Case("LeNet", {}, _images(2, 1, 28, 28)),
    "lenet32": Case("LeNet", {"in_channels": 3, "num_classes": 4}, _images(2, 3, 32, 32)),
    "vgg11": Case("vgg11", {"num_classes": 5, "width": 4, "hidden": 12, "dropout": 0.0},
                  _images(2, 3, 40, 32)),
    "vgg13_small": Case("vgg13_bn", {"num_classes": 5, "width": 4, "small_input": True,
                                     "dropout": 0.0}, _images(4, 3, 32, 32)),
    "vgg16_bn": Case("vgg16_bn", {"num_classes": 5, "width": 2, "hidden": 6, "dropout": 0.0},
                     _images(4, 3, 64, 64)),
    "resnet18": Case("resnet18", {"num_classes": 5, "width": 4}, _images(3, 3, 70, 64)),
    "resnet18_small": Case("resnet18", {"num_classes": 5, "width": 4, "small_input": True,
                                        "in_channels": 1}, _images(3, 1, 16, 16)),
    "resnet34": Case("resnet34", {"num_classes": 5, "width": 2}, _images(3, 3, 64, 64)),
    "resnet50": Case("resnet50", {"num_classes": 5, "width": 2}, _images(3, 3, 64, 64)),
    "unet": Case("UNet", {"n_channels": 2, "n_classes": 3, "width": 3, "depth": 4},
                 _images(2, 2, 32, 48)),
    "unet_odd": Case("UNet", {"n_channels": 1, "n_classes": 2, "width": 4, "depth": 2},
                     _images(2, 1, 13, 18)),
    "lstm": Case("LSTMClassifier", {"input_size": 6, "hidden_size": 5, "num_classes": 3,
                                    "num_layers": 2, "bidirectional": True, "vocab_size": 17,
                                    "padding_idx": 0}, (_TOKENS,)),
    "lstm_features": Case("LSTMClassifier", {"input_size": 6, "hidden_size": 5, "num_classes": 3},
                          _images(3, 4, 6)),
    "gru": Case("GRUClassifier", {"input_size": 6, "hidden_size": 5, "num_classes": 3,
                                  "num_layers": 2, "bidirectional": True},
                (values(1, 3, 7, 6), np.array([7, 3, 1]))),
    "gru_features": Case("GRUClassifier", {"input_size": 6, "hidden_size": 5, "num_classes": 3,
                                           "num_layers": 2}, _images(3, 4, 6)),
    "seq2seq": Case("AttentionSeq2Seq", {"src_vocab": 11, "tgt_vocab": 13, "embedding_size": 4,
                                         "hidden_size": 5, "attention_size": 6, "maxout_size": 3,
                                         "padding_idx": 0}, _PAIR),
    "encoder_post": Case("TransformerEncoderModel", {"vocab_size": 17, "num_layers": 2, **_SMALL},
                         (_TOKENS,)),
    "encoder_pre": Case("TransformerEncoderModel",
                        {"vocab_size": 17, "num_layers": 2, **_SMALL, "norm_first": True,
                         "activation": "gelu", "num_classes": 3}, (_TOKENS,)),
    "decoder_post": Case("TransformerDecoderModel", {"vocab_size": 13, "num_layers": 2, **_SMALL},
                         (_PAIR[1], _MEMORY, _PAIR[0] == 0)),
    "decoder_pre": Case("TransformerDecoderModel", {"vocab_size": 13, "num_layers": 2, **_SMALL,
                                                    "norm_first": True}, (_PAIR[1], _MEMORY)),
    "transformer_post": Case("TransformerSeq2Seq",
                             {"src_vocab": 11, "tgt_vocab": 13, "num_encoder_layers": 2,
                              "num_decoder_layers": 1, **_SMALL}, _PAIR),
    "transformer_pre": Case("TransformerSeq2Seq",
                            {"src_vocab": 11, "tgt_vocab": 13, "num_encoder_layers": 1,
                             "num_decoder_layers": 2, **_SMALL, "norm_first": True}, _PAIR),
    "gpt2": Case("GPT2", _GPT2, (tokens(6, 2, 9, 17),), config=True),
    "gpt2_padded": Case("GPT2", {**_GPT2, "n_inner": 20}, (_TOKENS, _BERT_INPUTS[1]), config=True),
    "bert": Case("Bert", _BERT, _BERT_INPUTS, config=True),
    "bert_masked": Case("BertForMaskedLM", _BERT, (_TOKENS, None, None), config=True),
    "bert_classes": Case("BertForSequenceClassification", _BERT, _BERT_INPUTS, config=True),
    "generator28": Case("Generator", {"latent": 5, "size": 28, "width": 2}, _images(3, 5)),
    "generator32": Case("Generator", {"latent": 5, "channels": 3, "size": 32, "width": 2},
                        _images(3, 5)),
    "generator64": Case("Generator", {"latent": 5, "channels": 3, "size": 64, "width": 2},
                        _images(3, 5)),
    "discriminator28": Case("Discriminator", {"size": 28, "width": 4}, _images(3, 1, 28, 28)),
    "discriminator32": Case("Discriminator", {"channels": 3, "size": 32, "width": 3},
                            _images(3, 3, 32, 32)),
    "discriminator64": Case("Discriminator", {"channels": 3, "size": 64, "width": 2},
                            _images(3, 3, 64, 64)),
    "vae": Case("VAE", {"in_features": 30, "hidden": 8, "latent": 4},
                (values(1, 3, 1, 5, 6), values(7, 3, 4))),
    "conv_vae": Case("ConvVAE", {"size": 12, "maps": (3, 4), "latent": 4},
                     (values(1, 3, 1, 12, 12), values(7, 3, 4))),
}  # fmt: skip


def weights(shapes: dict[str, tuple[int, ...]], seed: int = 1000) -> dict[str, np.ndarray]:
    """Values of the size that default initialisation would give, by name and shape alone."""
    out = {}
    for i, (name, shape) in enumerate(sorted(shapes.items())):
        drawn = values(seed + i, *shape)
        if name.endswith("num_batches_tracked"):
            out[name] = np.zeros(shape, np.int64)
        elif name.endswith("running_var"):
            out[name] = 1 + 0.2 * np.abs(drawn)
        elif len(shape) == 1:
            out[name] = 0.1 * drawn + (1.0 if name.endswith("weight") else 0.0)
        else:
            out[name] = drawn / np.sqrt(np.prod(shape[1:]))
    return out


def _outputs(result: Any) -> list[Any]:
    return [t for t in (result if isinstance(result, tuple) else (result,)) if t is not None]


def _digest(array: np.ndarray) -> dict[str, Any]:
    """Shape, length, projection on a fixed direction (which sees any change of order), the first
    values."""
    flat = array.astype(np.float64).ravel()
    return {
        "shape": list(array.shape),
        "norm": float(np.linalg.norm(flat)),
        "projection": float(flat @ values(99, flat.size)),
        "first": flat[:4].tolist(),
    }


def run(model: Any, case: Case, lib: ModuleType, seed: int = 1000) -> dict[str, Any]:
    """Names and shapes, digests of the outputs in training and evaluation, and of the gradients."""
    model = model.double()
    shapes = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    filled = {k: lib.tensor(v) for k, v in weights(shapes, seed).items()}
    model.load_state_dict(filled)
    inputs = [None if x is None else lib.tensor(x) for x in case.inputs]
    model.train()
    outputs = _outputs(model(*inputs))
    loss = sum((t * lib.tensor(values(50 + i, *t.shape))).sum() for i, t in enumerate(outputs))
    loss.backward()
    trained = [_digest(t.detach().numpy()) for t in outputs]
    model.eval()
    with lib.no_grad():
        evaluated = [_digest(t.numpy()) for t in _outputs(model(*inputs))]
    return {
        "shapes": {name: list(shape) for name, shape in shapes.items()},
        "train": trained,
        "eval": evaluated,
        "gradients": {
            name: [_digest(p.grad.numpy())[k] for k in ("norm", "projection")]
            for name, p in model.named_parameters()
        },
    }


def differences(got: dict[str, Any], want: dict[str, Any], rtol: float) -> list[str]:
    """What differs: one line for each output or gradient, empty when all is well."""
    out = []
    if got["shapes"] != want["shapes"]:
        return [f"names or shapes: {got['shapes']} != {want['shapes']}"]
    for mode in ("train", "eval"):
        for i, (a, b) in enumerate(zip(got[mode], want[mode], strict=True)):
            if a["shape"] != b["shape"]:
                out.append(f"{mode} output {i}: shape {a['shape']} != {b['shape']}")
                continue
            numbers = [np.array([d["norm"], d["projection"], *d["first"]]) for d in (a, b)]
            if not np.abs(numbers[0] - numbers[1]).max() <= rtol * b["norm"]:
                out.append(f"{mode} output {i}: {numbers[0]} != {numbers[1]}")
    # Some gradients are 0 but for rounding (a bias before a norm): they are seen beside the rest.
    largest = max(norm for norm, _ in want["gradients"].values())
    for name, b in want["gradients"].items():
        a = got["gradients"][name]
        if not np.abs(np.subtract(a, b)).max() <= rtol * (b[0] + 1e-3 * largest):
            out.append(f"gradient of {name}: {a} != {b}")
    return out
