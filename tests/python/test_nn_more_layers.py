"""Layers composed of operations: resampling, padding, distances, likelihoods, bags of embeddings.

Values are compared with the formulas in NumPy, gradients with finite differences.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradstone as gs
import gradstone.nn.functional as F
from gradstone import nn
from gradstone.autograd import gradcheck


def numbers(*shape, seed=0, dtype=gs.float64):
    values = np.random.default_rng(seed).normal(size=shape)
    return gs.tensor(values, dtype=dtype, requires_grad=True)


def assert_close(got, wanted, rtol=1e-12):
    np.testing.assert_allclose(got.detach().numpy(), np.asarray(wanted), rtol=rtol, atol=1e-12)


# -------------------------------------------------------------------------------------- resampling


def along_last(x, out, ratio, mode, align):
    """One output at a time, by the definition."""
    length = x.shape[-1]
    columns = []
    for i in range(out):
        if mode == "nearest":
            columns.append(x[..., min(int(i * ratio), length - 1)])
            continue
        if align:
            centre = i * (length - 1) / (out - 1) if out > 1 else 0.0
        else:
            centre = (i + 0.5) * ratio - 0.5
        if mode == "linear":
            centre = max(centre, 0.0)
            low = min(int(centre), length - 1)
            high = min(low + 1, length - 1)
            columns.append(x[..., low] + (centre - low) * (x[..., high] - x[..., low]))
            continue
        low, total = math.floor(centre), 0.0
        for k in range(low - 1, low + 3):
            d = abs(centre - k)
            if d <= 1:
                weight = 1.25 * d**3 - 2.25 * d**2 + 1
            else:
                weight = -0.75 * d**3 + 3.75 * d**2 - 6 * d + 3
            total = total + weight * x[..., min(max(k, 0), length - 1)]
        columns.append(total)
    return np.stack(columns, -1)


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize(("mode", "kind"), [("bilinear", "linear"), ("bicubic", "cubic")])
@pytest.mark.parametrize("size", [(7, 5), (3, 11), (1, 6), (4, 1)])
def test_images_resampled_by_the_definition(mode, kind, align, size):
    x = numbers(2, 3, 4, 6)
    wanted = along_last(x.detach().numpy(), size[1], 6 / size[1], kind, align)
    wanted = along_last(wanted.swapaxes(2, 3), size[0], 4 / size[0], kind, align).swapaxes(2, 3)
    got = F.interpolate(x, size, mode=mode, align_corners=align)
    assert_close(got, wanted, 1e-10)
    assert gradcheck(lambda t: F.interpolate(t, size, mode=mode, align_corners=align), (x,))


def test_nearest_neighbours_and_scale_factors():
    x = numbers(1, 2, 5)
    assert_close(F.interpolate(x, 8), along_last(x.detach().numpy(), 8, 5 / 8, "nearest", False))
    assert_close(F.interpolate(x, scale_factor=2), x.detach().numpy().repeat(2, -1))
    # The ratio is that of the factor (1/1.5), unless it is to be that of the sizes (5/7).
    values = x.detach().numpy()
    got = F.interpolate(x, scale_factor=1.5, mode="linear")
    assert_close(got, along_last(values, 7, 1 / 1.5, "linear", False))
    got = F.interpolate(x, scale_factor=1.5, mode="linear", recompute_scale_factor=True)
    assert_close(got, along_last(values, 7, 5 / 7, "linear", False))
    assert F.interpolate(gs.arange(4.0).reshape(1, 1, 4), 2, mode="nearest-exact").tolist() == [
        [[1.0, 3.0]]
    ]
    same = F.interpolate(x, scale_factor=1.04)
    assert gs.equal(same, x)
    assert same.data_ptr() != x.data_ptr()
    assert_close(F.interpolate(x, 1, mode="area"), values.mean(-1, keepdims=True))
    assert F.interpolate(gs.ones(1, 1, 2, 2, dtype=gs.uint8), 3).dtype == gs.uint8


def test_upsampling_layers():
    x = numbers(1, 2, 3, 3)
    assert gs.equal(nn.Upsample(scale_factor=2)(x), nn.UpsamplingNearest2d(scale_factor=2)(x))
    wanted = F.interpolate(x, (5, 5), mode="bilinear", align_corners=True)
    assert gs.equal(nn.UpsamplingBilinear2d(size=5)(x), wanted)
    assert repr(nn.Upsample(scale_factor=2)) == "Upsample(scale_factor=2, mode='nearest')"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "either size or scale_factor"),
        ({"size": 2, "scale_factor": 2}, "either size or scale_factor"),
        ({"size": (2, 2, 2)}, "one number, or 2 for as many axes"),
        ({"size": 0}, "size to be at least 1"),
        ({"scale_factor": 0.1}, "leaves nothing"),
        ({"size": 2, "mode": "linear"}, "for 2 axes, got 'linear'"),
        ({"size": 2, "align_corners": True}, "align_corners is for"),
    ],
)
def test_resampling_that_cannot_be(options, text):
    with pytest.raises(ValueError, match=text):
        F.interpolate(gs.ones(1, 1, 4, 4), **options)


@pytest.mark.parametrize("r", [1, 2, 3])
def test_pixels_shuffled_and_back(r):
    x = numbers(2, 2 * r * r, 3, 4)
    y = nn.PixelShuffle(r)(x)
    assert y.shape == (2, 2, 3 * r, 4 * r)
    for i in range(r):
        for j in range(r):
            assert gs.equal(y[:, 1, i::r, j::r], x[:, r * r + i * r + j])
    assert gs.equal(nn.PixelUnshuffle(r)(y), x)
    with pytest.raises(ValueError, match=r"\[pixel_shuffle\] expected \(..., C \* 25, H, W\)"):
        nn.PixelShuffle(5)(gs.ones(2, 2, 2))


@pytest.mark.parametrize(
    ("layer", "mode"),
    [
        ("Zero", "constant"),
        ("Reflection", "reflect"),
        ("Replication", "edge"),
        ("Circular", "wrap"),
    ],
)
def test_padding_layers_are_numpys(layer, mode):
    x = numbers(2, 3, 4, 5)
    pads = ((0, 0), (0, 0), (1, 3), (2, 0))
    got = getattr(nn, f"{layer}Pad2d")((2, 0, 1, 3))(x)
    assert_close(got, np.pad(x.detach().numpy(), pads, mode))
    got = getattr(nn, f"{layer}Pad1d")(2)(x[0])
    assert_close(got, np.pad(x[0].detach().numpy(), ((0, 0), (0, 0), (2, 2)), mode))
    with pytest.raises(ValueError, match=rf"\[{layer}Pad2d\] expected padding"):
        getattr(nn, f"{layer}Pad2d")((1, 2))


def test_padding_by_a_constant():
    assert nn.ConstantPad1d((1, 0), 3.5)(gs.zeros(1, 2)).tolist() == [[3.5, 0, 0]]
    assert nn.ConstantPad2d(1, 2.0)(gs.zeros(1, 1, 1)).sum().item() == 16


# --------------------------------------------------------------------- distances and likelihoods


def test_distances():
    a, b = numbers(4, 5), numbers(4, 5, seed=1)
    x, y = a.detach().numpy(), b.detach().numpy()
    for p in (1.0, 2.0, 3.0):
        wanted = np.linalg.norm(x - y + 1e-6, p, -1)
        assert_close(nn.PairwiseDistance(p)(a, b), wanted)
    assert nn.PairwiseDistance(keepdim=True)(a, b).shape == (4, 1)
    cos = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    assert_close(nn.CosineSimilarity()(a, b), cos)
    target = gs.tensor([1, -1, 1, -1])
    wanted = np.where(target.numpy() > 0, 1 - cos, np.maximum(cos - 0.1, 0))
    assert_close(nn.CosineEmbeddingLoss(0.1, reduction="none")(a, b, target), wanted)
    with pytest.raises(ValueError, match=r"target of shape \(4,\), got \(4, 1\)"):
        F.cosine_embedding_loss(a, b, target.unsqueeze(1))


@pytest.mark.parametrize("swap", [False, True])
def test_triplets_with_a_distance_of_ones_own(swap):
    a, p, n = (numbers(6, 3, seed=k) for k in range(3))

    def city(one, other):
        return (one - other).abs().sum(-1)

    loss = nn.TripletMarginWithDistanceLoss(
        distance_function=city, margin=0.5, swap=swap, reduction="none"
    )
    far = gs.minimum(city(a, n), city(p, n)) if swap else city(a, n)
    assert_close(loss(a, p, n), np.maximum((city(a, p) - far + 0.5).detach().numpy(), 0))
    plain = nn.TripletMarginWithDistanceLoss()(a, p, n)
    assert_close(plain, nn.TripletMarginLoss()(a, p, n).detach().numpy())


def test_likelihoods():
    x, target = numbers(2, 3), gs.tensor([[0.0, 1, 2], [3, 4, 5]], dtype=gs.float64)
    v, t = x.detach().numpy(), target.numpy()
    assert_close(nn.PoissonNLLLoss(reduction="none")(x, target), np.exp(v) - t * v)
    rate = np.exp(v)
    stirling = np.where(
        t > 1, t * np.log(np.maximum(t, 1)) - t + 0.5 * np.log(2 * np.pi * np.maximum(t, 1)), 0
    )
    got = nn.PoissonNLLLoss(log_input=False, full=True)(x.exp(), target)
    assert_close(got, (rate - t * np.log(rate + 1e-8) + stirling).mean())
    var = numbers(2, 3, seed=4).square()
    s = var.detach().numpy()
    got = nn.GaussianNLLLoss(full=True, reduction="sum")(x, target, var)
    assert_close(got, (0.5 * (np.log(2 * np.pi * s) + (v - t) ** 2 / s)).sum())
    assert_close(F.gaussian_nll_loss(x, target, 2.0), (0.5 * (np.log(2) + (v - t) ** 2 / 2)).mean())
    with pytest.raises(ValueError, match="var >= 0"):
        F.gaussian_nll_loss(x, target, -var)
    with pytest.raises(ValueError, match=r"var of shape \(2, 3\), got \(3, 2\)"):
        F.gaussian_nll_loss(x, target, var.t())
    assert gradcheck(lambda a, b: F.gaussian_nll_loss(a, target, b), (x, (var + 0.1).detach()))


LOSSES = {
    "margin_ranking": lambda a, b, c: F.margin_ranking_loss(a, b, c),
    "triplet_margin": lambda a, b, c: F.triplet_margin_loss(a, b, c),
    "triplet_margin_with_distance": F.triplet_margin_with_distance_loss,
    "cosine_embedding": lambda a, b, c: F.cosine_embedding_loss(a, b, gs.ones(4)),
    "poisson_nll": lambda a, b, c: F.poisson_nll_loss(a, b),
    "gaussian_nll": lambda a, b, c: F.gaussian_nll_loss(a, b, c),
    "soft_margin": lambda a, b, c: F.soft_margin_loss(a, b),
    "multilabel_soft_margin": lambda a, b, c: F.multilabel_soft_margin_loss(a, b),
    "multi_margin": lambda a, b, c: F.multi_margin_loss(a, gs.arange(4)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_in_float32_under_autocast(name):
    narrow = [
        gs.tensor(np.abs(numbers(4, 5, seed=k).detach().numpy())).bfloat16() for k in range(3)
    ]
    with gs.autocast("cpu"):
        got = LOSSES[name](*narrow)
    wanted = LOSSES[name](*(x.float() for x in narrow))
    assert (got.dtype, got.item()) == (gs.float32, wanted.item())
    assert LOSSES[name](*(x.double() for x in narrow)).dtype == gs.float64


# ---------------------------------------------------------------------- activations, normalisation


def test_activations_with_a_bend():
    x = numbers(40)
    v = x.detach().numpy()
    assert_close(nn.Hardshrink()(x), np.where(np.abs(v) > 0.5, v, 0))
    assert_close(nn.Softshrink(0.3)(x), np.sign(v) * np.maximum(np.abs(v) - 0.3, 0))
    assert_close(nn.Tanhshrink()(x), v - np.tanh(v))
    assert_close(nn.Threshold(0.1, 7.0)(x), np.where(v > 0.1, v, 7))
    assert_close(nn.CELU(2.0)(x), np.where(v > 0, v, 2 * np.expm1(v / 2)))
    selu = 1.0507009873554805 * np.where(v > 0, v, 1.6732632423543772 * np.expm1(v))
    assert_close(nn.SELU()(x), selu)
    other = gs.tensor(v)
    assert nn.SELU(inplace=True)(other) is other
    assert_close(other, selu)


def test_instance_norm():
    x = numbers(2, 3, 4, 5)
    v = x.detach().numpy()
    wanted = (v - v.mean((2, 3), keepdims=True)) / np.sqrt(v.var((2, 3), keepdims=True) + 1e-5)
    layer = nn.InstanceNorm2d(3, affine=True).double()
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert_close(layer(x), wanted, 1e-10)
    assert_close(nn.InstanceNorm2d(3)(x[0]), wanted[0], 1e-10)
    assert nn.InstanceNorm1d(3)(gs.ones(2, 3, 4)).shape == (2, 3, 4)
    assert not nn.InstanceNorm2d(3).state_dict()
    with pytest.raises(ValueError, match=r"\[InstanceNorm2d\] expected \(N, 4, H, W\)"):
        nn.InstanceNorm2d(4)(x)
    with pytest.raises(NotImplementedError, match="track_running_stats"):
        nn.InstanceNorm1d(3, track_running_stats=True)


def test_rms_norm():
    x = numbers(2, 3, 5)
    v = x.detach().numpy()
    layer = nn.RMSNorm(5).double()
    with gs.no_grad():
        layer.weight.mul_(3)
    wanted = 3 * v / np.sqrt((v * v).mean(-1, keepdims=True) + 2.0**-52)
    assert_close(layer(x), wanted)
    wanted = v / np.sqrt((v * v).mean((1, 2), keepdims=True) + 0.1)
    assert_close(nn.RMSNorm((3, 5), eps=0.1, elementwise_affine=False)(x), wanted)
    large = gs.full((2, 4), 300.0, dtype=gs.float16)  # its square is beyond float16
    assert F.rms_norm(large, (4,)).tolist() == [[1.0] * 4] * 2
    with pytest.raises(ValueError, match=r"an input \(..., 4\), got \(2, 3, 5\)"):
        F.rms_norm(x, (4,))


# --------------------------------------------------------------------------------------------- bags

INDEX = [1, 2, 4, 5, 4, 3, 2, 9]


@pytest.mark.parametrize("padding", [None, 4])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_embeddings(mode, padding):
    weight = numbers(10, 3)
    rows = weight.detach().numpy()
    reduce = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode]

    def bag(index):
        kept = [i for i in index if i != padding]
        return reduce(rows[kept], axis=0) if kept else np.zeros(3)

    def look(w, index, offsets=None, **options):
        index = gs.tensor(index)
        return F.embedding_bag(index, w, offsets, mode, padding_idx=padding, **options)

    offsets = gs.tensor([0, 4, 4])
    wanted = [bag(INDEX[:4]), bag([]), bag(INDEX[4:])]
    assert_close(look(weight, INDEX, offsets), wanted)
    ends = gs.tensor([0, 4, 4, 8])
    assert_close(look(weight, INDEX, ends, include_last_offset=True), wanted)
    assert_close(look(weight, [INDEX[:4], INDEX[4:]]), [bag(INDEX[:4]), bag(INDEX[4:])])
    assert gradcheck(lambda w: look(w, INDEX, offsets), (weight,))


def test_weights_of_a_bag_and_the_layer():
    weight, share = numbers(10, 3), numbers(8, seed=1)
    got = F.embedding_bag(
        gs.tensor(INDEX), weight, gs.tensor([0, 4]), "sum", per_sample_weights=share
    )
    rows = weight.detach().numpy()[INDEX] * share.detach().numpy()[:, None]
    assert_close(got, [rows[:4].sum(0), rows[4:].sum(0)])
    layer = nn.EmbeddingBag(10, 3)
    index = gs.tensor([[1, 2], [3, 4]])
    np.testing.assert_allclose(
        layer(index).detach().numpy(), layer.weight[index].mean(1).detach().numpy(), rtol=1e-6
    )
    assert list(layer.state_dict()) == ["weight"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([1, 2],), r"got \(2,\) and None"),
        (([1, 2], [1]), "offsets that begin with 0"),
        (([1, 2], [0, 3]), "rise up to 2, got"),
        (([[1, 2]], [0]), "of one dimension"),
        (([1, 2], [0], "median"), "mode 'sum', 'mean' or 'max'"),
    ],
)
def test_bags_that_cannot_be(arguments, text):
    index, *rest = arguments
    rest = [gs.tensor(r) if isinstance(r, list) else r for r in rest]
    with pytest.raises(ValueError, match=text):
        F.embedding_bag(gs.tensor(index), gs.ones(10, 3), *rest)
