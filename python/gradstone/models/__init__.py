"""Networks in their standard forms, under the names of parameters that published weights carry.

Each name is imported when it is first used. ``load_pretrained(model, path)`` fills a model from a
safetensors file or a file of ``gradstone.save``; nothing here touches the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradstone.models.bert import (
        Bert,
        BertConfig,
        BertForMaskedLM,
        BertForSequenceClassification,
    )
    from gradstone.models.dcgan import Discriminator, Generator, dcgan_init
    from gradstone.models.gpt2 import GPT2, GPT2Config
    from gradstone.models.lenet import LeNet
    from gradstone.models.pretrained import load_pretrained
    from gradstone.models.recurrent import GRUClassifier, LSTMClassifier
    from gradstone.models.resnet import ResNet, resnet18, resnet34, resnet50
    from gradstone.models.seq2seq import AttentionSeq2Seq
    from gradstone.models.transformer import (
        PositionalEncoding,
        TransformerDecoderModel,
        TransformerEncoderModel,
        TransformerSeq2Seq,
    )
    from gradstone.models.unet import UNet
    from gradstone.models.vae import VAE, ConvVAE, vae_loss
    from gradstone.models.vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn

_FILES = {
    "bert": ("Bert", "BertConfig", "BertForMaskedLM", "BertForSequenceClassification"),
    "dcgan": ("Discriminator", "Generator", "dcgan_init"),
    "gpt2": ("GPT2", "GPT2Config"),
    "lenet": ("LeNet",),
    "pretrained": ("load_pretrained",),
    "recurrent": ("GRUClassifier", "LSTMClassifier"),
    "resnet": ("ResNet", "resnet18", "resnet34", "resnet50"),
    "seq2seq": ("AttentionSeq2Seq",),
    "transformer": (
        "PositionalEncoding",
        "TransformerDecoderModel",
        "TransformerEncoderModel",
        "TransformerSeq2Seq",
    ),
    "unet": ("UNet",),
    "vae": ("VAE", "ConvVAE", "vae_loss"),
    "vgg": ("VGG", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn"),
}
_HOME = {name: file for file, names in _FILES.items() for name in names}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module 'gradstone.models' has no attribute {name!r}")
    value = getattr(import_module(f"gradstone.models.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
