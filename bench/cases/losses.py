"""Losses: of classes, and of two tensors element by element."""

from . import both, training


def loss(name, shape, inputs, call, nbytes):
    """inputs(T, shape) gives the input, to be differentiated, and what else call(F, ...) takes."""

    def of(train):
        def make(T):
            T.manual_seed(0)
            x, *rest = inputs(T, shape)
            F = T.nn.functional
            if not train:
                return lambda: call(F, x, *rest)
            x.requires_grad_()
            return training(lambda: call(F, x, *rest), [x])

        return make

    label = "x".join(map(str, shape)) if len(shape) > 1 else f"1e{len(str(shape[0])) - 1}"
    return both(f"{name}/{label}", of, nbytes=nbytes)


# ---- of classes: (N, C) or (N, C, ...)


def labels(T, shape):
    return T.randn(*shape), T.randint(0, shape[1], (shape[0], *shape[2:]))


def log_probabilities(T, shape):
    x, t = labels(T, shape)
    return T.log_softmax(x, 1), t


def distributions(T, shape):
    return T.randn(*shape), T.softmax(T.randn(*shape), 1)


def of_classes(name, call, *shapes, inputs=labels):
    cases = []
    for shape in shapes:
        numel = 1.0
        for n in shape:
            numel *= n
        cases += loss(name, shape, inputs, call, 4 * numel)
    return cases


# ---- of two tensors


def normals(T, shape):
    return T.randn(*shape), T.randn(*shape)


def logits(T, shape):
    return T.randn(*shape), T.rand(*shape)


def probabilities(T, shape):
    return T.rand(*shape) * 0.98 + 0.01, T.rand(*shape)


def log_and_target(T, shape):
    return T.log_softmax(T.randn(*shape), -1), T.rand(*shape)


def signs(T, shape):
    return T.randn(*shape), (T.rand(*shape) < 0.5).float() * 2 - 1


def positive_weight(T, shape):
    return T.randn(*shape), T.rand(*shape), T.rand(shape[-1])


def of_pairs(name, inputs, call, shapes=((1_000_000,), (32, 10))):
    cases = []
    for shape in shapes:
        numel = 1.0
        for n in shape:
            numel *= n
        cases += loss(name, shape, inputs, call, 8 * numel)
    return cases


CASES = [
    *of_classes(
        "cross_entropy",
        lambda F, x, t: F.cross_entropy(x, t),
        (4096, 1000),
        (2048, 65),
        (32, 10),
        (65536, 10),
        (65536, 2),
        (8192, 128),
        (4, 21, 128, 128),
    ),
    *of_classes(
        "cross_entropy_smoothed",
        lambda F, x, t: F.cross_entropy(x, t, label_smoothing=0.1),
        (4096, 1000),
        (32, 10),
    ),
    *of_classes(
        "cross_entropy_soft",
        lambda F, x, t: F.cross_entropy(x, t),
        (4096, 1000),
        (32, 10),
        inputs=distributions,
    ),
    *of_classes(
        "nll_loss",
        lambda F, x, t: F.nll_loss(x, t),
        (4096, 1000),
        (32, 10),
        inputs=log_probabilities,
    ),
    *of_pairs("mse_loss", normals, lambda F, x, t: F.mse_loss(x, t)),
    *of_pairs("l1_loss", normals, lambda F, x, t: F.l1_loss(x, t)),
    *of_pairs("smooth_l1_loss", normals, lambda F, x, t: F.smooth_l1_loss(x, t)),
    *of_pairs("huber_loss", normals, lambda F, x, t: F.huber_loss(x, t)),
    *of_pairs("bce", probabilities, lambda F, x, t: F.binary_cross_entropy(x, t)),
    *of_pairs("bce_logits", logits, lambda F, x, t: F.binary_cross_entropy_with_logits(x, t)),
    *of_pairs(
        "bce_logits_pos_weight",
        positive_weight,
        lambda F, x, t, w: F.binary_cross_entropy_with_logits(x, t, pos_weight=w),
        ((8192, 128), (32, 10)),
    ),
    *of_pairs("kl_div", log_and_target, lambda F, x, t: F.kl_div(x, t, reduction="batchmean")),
    *of_pairs("hinge_embedding", signs, lambda F, x, t: F.hinge_embedding_loss(x, t)),
]
