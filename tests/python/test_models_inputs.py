"""What models refuse, and that each is imported when it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gradstone as gs
from gradstone import models
from models_pins.ours import build


@pytest.mark.parametrize(
    ("name", "wrong", "error", "message"),
    [
        (
            "lenet28",
            (gs.rand(2, 1, 29, 29),),
            ValueError,
            r"\(N, 1, 28, 28 or 32, 32\), got \(2, 1, 29",
        ),
        ("lenet28", (gs.rand(2, 3, 28, 28),), ValueError, r"got \(2, 3, 28, 28\)"),
        (
            "vgg11",
            (gs.rand(2, 3, 31, 40),),
            ValueError,
            r"\(N, 3, H, W\) with H and W of at least 32",
        ),
        ("resnet18", (gs.rand(3, 64, 64),), ValueError, r"\(N, 3, H, W\), got \(3, 64, 64\)"),
        ("resnet18", (gs.ones(1, 3, 64, 64, dtype=gs.uint8),), TypeError, r"float\(\) / 255"),
        ("unet", (gs.rand(1, 2, 8, 32),), ValueError, "H and W of at least 16"),
        ("lstm", (gs.rand(2, 3),), TypeError, "tokens of dtype int64, got gradstone.float32"),
        ("lstm", (gs.ones(2, 3, 4, dtype=gs.int64),), ValueError, r"\(N, T\).*got \(2, 3, 4\)"),
        ("lstm", (gs.tensor([[1, 17]]),), IndexError, "17 is out of range"),
        ("lstm", (gs.tensor([[1, 2], [0, 0]]),), ValueError, "lengths from 1 to 2, got 0"),
        ("gru", (gs.rand(2, 3, 5),), ValueError, r"\(N, T, 6\).*got \(2, 3, 5\)"),
        (
            "seq2seq",
            (gs.tensor([[1], [2]]), gs.tensor([[1]])),
            ValueError,
            "2 sources but 1 targets",
        ),
        (
            "decoder_pre",
            (gs.tensor([[1]]), gs.rand(1, 2, 7)),
            ValueError,
            r"memory of shape \(1, S, 8\)",
        ),
        ("gpt2", (gs.ones(1, 10, dtype=gs.int64),), ValueError, "10 positions, the model has 9"),
        (
            "gpt2",
            (gs.ones(1, 4, dtype=gs.int64), gs.ones(1, 3)),
            ValueError,
            r"attention_mask of shape \(1, 4\)",
        ),
        ("bert", (gs.ones(1, 10, dtype=gs.int64),), ValueError, "10 positions, the model has 9"),
        (
            "bert",
            (gs.ones(1, 4, dtype=gs.int64), gs.ones(4)),
            ValueError,
            r"attention_mask of shape \(1, 4\)",
        ),
        ("generator28", (gs.rand(2, 6),), ValueError, r"noise of shape \(N, 5\)"),
        ("discriminator32", (gs.rand(2, 3, 28, 28),), ValueError, r"\(N, 3, 32, 32\), got"),
        ("vae", (gs.rand(2, 31),), ValueError, "30 pixels each"),
        ("conv_vae", (gs.rand(2, 1, 28, 28),), ValueError, r"\(N, 1, 12, 12\), got"),
    ],
)
def test_wrong_inputs_are_named(name, wrong, error, message):
    with pytest.raises(error, match=message):
        build(name)(*wrong)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.VGG(12), r"depth to be one of \[11, 13, 16\]"),
        (lambda: models.UNet(depth=0), "depth to be at least 1"),
        (lambda: models.Generator(size=48), r"size to be one of \[28, 32, 64\]"),
        (lambda: models.ConvVAE(size=30), "divisible by 4"),
        (lambda: models.GPT2Config(n_embd=10, n_head=3), "divisible by n_head"),
        (lambda: models.BertConfig(hidden_size=10), "divisible by num_attention_heads"),
        (lambda: models.LSTMClassifier(4, 4, 2, padding_idx=0), "needs vocab_size"),
        (lambda: models.PositionalEncoding(5), "even d_model"),
        (lambda: models.BertConfig(num_attention_heads=0), "num_attention_heads to be at least 1"),
        (lambda: build("gpt2").generate(gs.tensor([[1]]), -1), "max_new_tokens to be at least 0"),
        (lambda: build("gpt2").generate(gs.tensor([[1]]), 2, temperature=-1), "temperature"),
        (lambda: build("gpt2").generate(gs.tensor([[1]]), 2, top_k=0), "top_k"),
        (lambda: build("gpt2").generate(gs.tensor([[1]]), 2, top_p=0.0), "top_p"),
    ],
)
def test_wrong_options_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_names_are_imported_when_used():
    program = (
        "import sys, gradstone.models as m\n"
        "assert not [k for k in sys.modules if k.startswith('gradstone.models.')]\n"
        "m.LeNet\n"
        "assert 'gradstone.models.lenet' in sys.modules\n"
        "assert 'gradstone.models.gpt2' not in sys.modules\n"
        "assert all(getattr(m, name) for name in m.__all__) and set(m.__all__) <= set(dir(m))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(AttributeError, match="no attribute 'resnet19'"):
        models.resnet19  # noqa: B018


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "vgg11", "vgg16_bn"])
def test_published_weights_are_not_fetched(name):
    make = getattr(models, name)
    small = {"width": 8, "num_classes": 2, "small_input": True}
    plain = make(weights=None, pretrained=False, **small)
    assert plain.state_dict().keys() == make(**small).state_dict().keys()
    for asked in ({"weights": "IMAGENET1K_V1"}, {"pretrained": True}):
        with pytest.raises(ValueError, match=rf"{name}\] published weights are not .*load_"):
            make(**asked)
    with pytest.raises(ValueError, match="not fetched"):
        make(True)  # once `pretrained`
    with pytest.raises(TypeError, match="wieghts"):
        make(wieghts=None)
