"""Batch, layer and group norm, softmax, dropout."""

from . import both, of_module, on_input


def module(name, build, shape):
    numel = 1.0
    for n in shape:
        numel *= n
    return both(name, lambda train: of_module(build, shape, train), nbytes=8 * numel, factor=2)


def function(name, call, shape):
    numel = 1.0
    for n in shape:
        numel *= n
    return both(name, lambda train: on_input(shape, call, train), nbytes=8 * numel, factor=2)


CASES = [
    *module("batch_norm/64x64x56x56", lambda T: T.nn.BatchNorm2d(64), (64, 64, 56, 56)),
    *module("batch_norm/32x256x7x7", lambda T: T.nn.BatchNorm2d(256), (32, 256, 7, 7)),
    *module("layer_norm/4096x768", lambda T: T.nn.LayerNorm(768), (4096, 768)),
    *module("layer_norm/2048x256", lambda T: T.nn.LayerNorm(256), (2048, 256)),
    *module("group_norm/32x64x28x28-8", lambda T: T.nn.GroupNorm(8, 64), (32, 64, 28, 28)),
    *module("group_norm/32x256x7x7-32", lambda T: T.nn.GroupNorm(32, 256), (32, 256, 7, 7)),
    *module("group_norm/8x128x56x56-32", lambda T: T.nn.GroupNorm(32, 128), (8, 128, 56, 56)),
    *module("instance_norm/8x64x32x32", lambda T: T.nn.GroupNorm(64, 64), (8, 64, 32, 32)),
    *function("softmax/4096x1000", lambda T, x: T.softmax(x, 1), (4096, 1000)),
    *function("softmax/32x10", lambda T, x: T.softmax(x, 1), (32, 10)),
    *function("log_softmax/4096x1000", lambda T, x: T.log_softmax(x, 1), (4096, 1000)),
    *function("dropout/1e6", lambda T, x: T.nn.functional.dropout(x, 0.5), (1_000_000,)),
]
