"""One step for many parameters, and gradient clipping. PyTorch's fused forms where it has them."""

from . import Case

SIZES = [(256, 256)] * 16 + [(256,)] * 16


def optimizer(name, **options):
    def make(T):
        parameters = [T.nn.Parameter(T.randn(*size)) for size in SIZES]
        for p in parameters:
            p.grad = T.randn(*p.shape)
        fused = {"fused": True} if T.__name__ == "torch" and name != "RMSprop" else {}
        return getattr(T.optim, name)(parameters, lr=1e-3, **options, **fused).step

    return make


def clip(T):
    parameters = [T.nn.Parameter(T.randn(*size)) for size in SIZES]
    for p in parameters:
        p.grad = T.randn(*p.shape)
    return lambda: T.nn.utils.clip_grad_norm_(parameters, 1e9)


CASES = [
    Case("optimizer/sgd-momentum-1M", optimizer("SGD", momentum=0.9)),
    Case("optimizer/adam-1M", optimizer("Adam")),
    Case("optimizer/adamw-1M", optimizer("AdamW")),
    Case("optimizer/rmsprop-1M", optimizer("RMSprop")),
    Case("optimizer/clip-1M", clip),
]
