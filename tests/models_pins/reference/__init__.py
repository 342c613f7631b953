"""The networks from PyTorch's own layers, written from the papers and the published names.

Builders and their arguments are those of `gradstone.models`.
"""

from __future__ import annotations

from torch import nn

from models_pins.cases import Case
from models_pins.reference import generative, images, language, sequences


def _vgg(depth, bn):
    return lambda **options: images.VGG(depth, bn, **options)


def _resnet(kernels, counts):
    return lambda **options: images.ResNet(kernels, counts, **options)


BUILDERS = {
    "LeNet": images.LeNet,
    "vgg11": _vgg(11, False),
    "vgg13_bn": _vgg(13, True),
    "vgg16_bn": _vgg(16, True),
    "resnet18": _resnet((3, 3), (2, 2, 2, 2)),
    "resnet34": _resnet((3, 3), (3, 4, 6, 3)),
    "resnet50": _resnet((1, 3, 1), (3, 4, 6, 3)),
    "UNet": images.UNet,
    "LSTMClassifier": lambda **options: sequences.RecurrentClassifier(nn.LSTM, **options),
    "GRUClassifier": lambda **options: sequences.RecurrentClassifier(nn.GRU, **options),
    "AttentionSeq2Seq": sequences.AttentionSeq2Seq,
    "TransformerEncoderModel": sequences.TransformerEncoderModel,
    "TransformerDecoderModel": sequences.TransformerDecoderModel,
    "TransformerSeq2Seq": sequences.TransformerSeq2Seq,
    "GPT2": language.GPT2,
    "Bert": language.Bert,
    "BertForMaskedLM": language.BertForMaskedLM,
    "BertForSequenceClassification": language.BertForSequenceClassification,
    "Generator": generative.Generator,
    "Discriminator": generative.Discriminator,
    "VAE": generative.VAE,
    "ConvVAE": generative.ConvVAE,
}


def build(case: Case) -> nn.Module:
    return BUILDERS[case.builder](**case.options)
