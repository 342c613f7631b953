"""Standard networks: the results of PyTorch's layers (tests/models_pins), published names and
counts, learning."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
from gradstone import models, nn
from models_pins import cases
from models_pins.ours import arguments, build

PINS = Path(__file__).resolve().parents[1] / "models_pins" / "pins"
CASES = cases.CASES


# ------------------------------------------------------------------------- PyTorch's own layers


@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_of_pytorchs_layers(name):
    """Names, shapes, outputs in training and evaluation and every gradient, to nine digits."""
    pin = json.loads((PINS / f"{name}.json").read_text(encoding="utf-8"))
    wrong = cases.differences(cases.run(build(name), CASES[name], gs), pin, 1e-9)
    assert not wrong, "\n".join(wrong)


def test_other_weights_against_pytorch_itself():
    """The same with weights that no pin has seen, where PyTorch is installed."""
    torch = pytest.importorskip("torch", reason="the direct comparison needs torch")
    from models_pins import reference

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name, case in CASES.items():
            want = cases.run(reference.build(case), case, torch, seed=5000)
            wrong = cases.differences(cases.run(build(name), case, gs, seed=5000), want, 1e-9)
            assert not wrong, f"{name}:\n" + "\n".join(wrong)
    finally:
        torch.set_num_threads(threads)


def test_every_model_has_a_case():
    covered = {case.builder for case in CASES.values()}
    tools = {"BertConfig", "GPT2Config", "PositionalEncoding", "dcgan_init", "load_pretrained",
             "vae_loss"}  # fmt: skip
    # A ResNet or VGG is what its builders make; the norms of VGG are in 13 and 16.
    same = {"ResNet", "VGG", "vgg11_bn", "vgg13", "vgg16"}
    assert set(models.__all__) == covered | tools | same


# ------------------------------------------------------------------------------ names and counts


def torchvision_resnet(counts, convolutions):
    """torchvision's names, written out from its structure."""
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    names = ["conv1.weight"] + [f"bn1.{n}" for n in norm]
    for stage, blocks in enumerate(counts, 1):
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            for i in range(1, convolutions + 1):
                names += [f"{at}.conv{i}.weight"] + [f"{at}.bn{i}.{n}" for n in norm]
            if block == 0 and (stage > 1 or convolutions == 3):
                names += [f"{at}.downsample.0.weight"] + [f"{at}.downsample.1.{n}" for n in norm]
    return [*names, "fc.weight", "fc.bias"]


@pytest.mark.parametrize(
    ("name", "counts", "convolutions", "parameters"),
    [
        ("resnet18", (2, 2, 2, 2), 2, 11_689_512),
        ("resnet34", (3, 4, 6, 3), 2, 21_797_672),
        ("resnet50", (3, 4, 6, 3), 3, 25_557_032),
    ],
)
def test_resnets_have_torchvisions_names_and_counts(name, counts, convolutions, parameters):
    model = getattr(models, name)()
    assert list(model.state_dict()) == torchvision_resnet(counts, convolutions)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model.conv1.weight.shape == (64, 3, 7, 7)
    if convolutions == 3:
        assert model.layer4[0].conv2.weight.shape == (512, 512, 3, 3)
        assert (model.layer2[0].conv1.stride, model.layer2[0].conv2.stride) == ((1, 1), (2, 2))


# Places of the convolutions in torchvision's features.
VGG_PLACES = {
    "vgg11": [0, 3, 6, 8, 11, 13, 16, 18],
    "vgg13": [0, 2, 5, 7, 10, 12, 15, 17, 20, 22],
    "vgg16": [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28],
    "vgg11_bn": [0, 4, 8, 11, 15, 18, 22, 25],
    "vgg13_bn": [0, 3, 7, 10, 14, 17, 21, 24, 28, 31],
    "vgg16_bn": [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40],
}


@pytest.mark.parametrize("name", VGG_PLACES)
def test_vggs_have_torchvisions_names(name):
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    names = []
    for place in VGG_PLACES[name]:
        names += [f"features.{place}.{n}" for n in ("weight", "bias")]
        names += [f"features.{place + 1}.{n}" for n in norm] if name.endswith("_bn") else []
    names += [f"classifier.{i}.{n}" for i in (0, 3, 6) for n in ("weight", "bias")]
    assert list(getattr(models, name)(10, width=1, hidden=2).state_dict()) == names


def vgg16_parameters(width, hidden, classes, channels=3):
    total, before = 0, channels
    for block, count in enumerate((2, 2, 3, 3, 3)):
        for _ in range(count):
            after = width * min(2**block, 8)
            total, before = total + 9 * before * after + after, after
    sizes = [before * 49, hidden, hidden, classes]
    return total + sum(a * b + b for a, b in zip(sizes, sizes[1:], strict=False))


def gpt2_parameters(c):
    e, inner = c.n_embd, c.n_inner or 4 * c.n_embd
    block = 2 * 2 * e + (3 * e * e + 3 * e) + (e * e + e) + (e * inner + inner) + (inner * e + e)
    return (c.vocab_size + c.n_positions) * e + c.n_layer * block + 2 * e


def bert_parameters(c):
    e, inner = c.hidden_size, c.intermediate_size
    layer = 4 * (e * e + e) + (e * inner + inner) + (inner * e + e) + 2 * 2 * e
    rows = c.vocab_size + c.max_position_embeddings + c.type_vocab_size
    return rows * e + 2 * e + c.num_hidden_layers * layer + e * e + e


def test_counts_of_the_large_models():
    """A formula that counts small models rightly counts the large ones, which are not built."""

    def count(model):
        return sum(p.numel() for p in model.parameters())

    for width, hidden, classes in ((1, 2, 3), (3, 5, 7)):
        model = models.vgg16(classes, width=width, hidden=hidden)
        assert count(model) == vgg16_parameters(width, hidden, classes)
    default = {k: p.default for k, p in inspect.signature(models.VGG).parameters.items()}
    assert (
        vgg16_parameters(default["width"], default["hidden"], default["num_classes"]) == 138_357_544
    )
    for config in (models.GPT2Config(11, 5, 6, 2, 3), models.GPT2Config(7, 9, 4, 3, 2, n_inner=5)):
        assert count(models.GPT2(config)) == gpt2_parameters(config)
    assert gpt2_parameters(models.GPT2Config()) == 124_439_808
    for small in (models.BertConfig(11, 6, 2, 3, 7), models.BertConfig(9, 4, 3, 2, 8)):
        assert count(models.Bert(small)) == bert_parameters(small)
    assert bert_parameters(models.BertConfig()) == 109_482_240
    assert count(models.LeNet()) == 61_706


def test_gpt2_and_bert_have_the_published_names():
    from_file = [
        "wte.weight", "wpe.weight", "h.0.ln_1.weight", "h.0.ln_1.bias", "h.0.attn.c_attn.weight",
        "h.0.attn.c_attn.bias", "h.0.attn.c_proj.weight", "h.0.attn.c_proj.bias",
        "h.0.ln_2.weight", "h.0.ln_2.bias", "h.0.mlp.c_fc.weight", "h.0.mlp.c_fc.bias",
        "h.0.mlp.c_proj.weight", "h.0.mlp.c_proj.bias", "ln_f.weight", "ln_f.bias",
    ]  # fmt: skip
    model = models.GPT2(models.GPT2Config(11, 5, 6, 1, 3))
    assert list(model.state_dict()) == from_file
    assert model.h[0].attn.c_attn.weight.shape == (6, 18)
    layer = "encoder.layer.0"
    from_file = [
        f"{name}.{kind}" for name in (
            "embeddings.LayerNorm", f"{layer}.attention.self.query", f"{layer}.attention.self.key",
            f"{layer}.attention.self.value", f"{layer}.attention.output.dense",
            f"{layer}.attention.output.LayerNorm", f"{layer}.intermediate.dense",
            f"{layer}.output.dense", f"{layer}.output.LayerNorm", "pooler.dense",
        ) for kind in ("weight", "bias")
    ]  # fmt: skip
    from_file = [
        f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")
    ] + from_file
    config = models.BertConfig(11, 6, 1, 3, 7)
    assert list(models.Bert(config).state_dict()) == from_file
    head = list(models.BertForMaskedLM(config).state_dict())
    assert head[-5:] == [
        "cls.predictions.bias",
        "cls.predictions.transform.dense.weight",
        "cls.predictions.transform.dense.bias",
        "cls.predictions.transform.LayerNorm.weight",
        "cls.predictions.transform.LayerNorm.bias",
    ]
    assert head[:-5] == [f"bert.{name}" for name in from_file[:-2]]
    classes = list(models.BertForSequenceClassification(config, 3).state_dict())
    assert classes[-2:] == ["classifier.weight", "classifier.bias"]


# ---------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("name", CASES)
def test_one_step_lowers_the_loss(name):
    """Fresh weights, as the constructor draws them: a small step against the gradient."""
    model, inputs = build(name), arguments(name)
    inputs = [x.float() if x is not None and x.dtype == gs.float64 else x for x in inputs]

    def loss():
        out = model(*inputs)
        out = out[0] if isinstance(out, tuple) else out
        target = gs.tensor(cases.values(3, *out.shape), dtype=gs.float32)
        return ((out - target) ** 2).mean()

    before = loss()
    before.backward()
    square = sum((p.grad**2).sum().item() for p in model.parameters() if p.grad is not None)
    assert square > 0
    rate = min(1e-2, 1e-2 * before.item() / square)
    gs.optim.SGD(model.parameters(), lr=rate).step()
    after = loss().item()
    assert after < before.item()
    # Not more than what the slope promises, and a good part of it.
    assert before.item() - after == pytest.approx(rate * square, rel=0.5)


def test_gpt2_learns_a_cycle_and_continues_it():
    model = models.GPT2(models.GPT2Config(5, 12, 16, 1, 2, embd_pdrop=0, resid_pdrop=0))
    text = gs.tensor([[(i + j) % 5 for j in range(11)] for i in range(5)])
    optimizer = gs.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        logits = model(text[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    prompt = gs.tensor([[0, 1, 2], [3, 4, 0]])
    out = model.generate(prompt, 7, temperature=0)
    assert out.tolist() == [[(s + i) % 5 for i in range(10)] for s in (0, 3)]
    # The same by draws: the other tokens are unlikely by now.
    assert gs.equal(model.generate(prompt, 7, top_p=0.5), out)


def test_vae_loss_is_the_bound():
    """Against the formula in NumPy, and the KL part against a mean over many draws."""
    rng = np.random.default_rng(0)
    logits, images = rng.standard_normal((3, 8)), rng.random((3, 8))
    mu, logvar = rng.standard_normal((2, 3, 2))
    got = models.vae_loss(
        tuple(gs.tensor(a) for a in (logits, mu, logvar)), gs.tensor(images), beta=0.7
    ).item()
    p = 1 / (1 + np.exp(-logits))
    entropy = -(images * np.log(p) + (1 - images) * np.log(1 - p)).sum(1).mean()
    z = mu + np.exp(logvar / 2) * rng.standard_normal((200_000, 3, 2))
    kl = (0.5 * (z**2 - (z - mu) ** 2 / np.exp(logvar) - logvar)).sum(2).mean()
    assert got == pytest.approx(entropy + 0.7 * kl, abs=0.02)
    with pytest.raises(ValueError, match=r"\(3, 8\).*\(3, 7\)"):
        models.vae_loss((gs.zeros(3, 8), gs.zeros(3, 2), gs.zeros(3, 2)), gs.zeros(3, 7))


def test_vae_draws_in_training_only():
    model = models.ConvVAE(size=8, maps=(2,), latent=3)
    images = gs.rand(2, 1, 8, 8)
    assert not gs.equal(model(images)[0], model(images)[0])
    model.eval()
    assert gs.equal(model(images)[0], model(images)[0])
    drawn = model.sample(4)
    assert drawn.shape == (4, 1, 8, 8)
    assert 0 <= drawn.min().item() <= drawn.max().item() <= 1


def test_dcgan_starts_as_the_paper_says():
    model = models.Generator(50, width=16)
    convolutions = [p.detach().numpy().ravel() for p in model.parameters() if p.dim() == 4]
    weights = np.concatenate(convolutions)
    assert weights.std() == pytest.approx(0.02, rel=0.02)
    assert abs(weights.mean()) < 1e-3
    assert model.main[1].weight.detach().numpy().mean() == pytest.approx(1, abs=0.02)
