"""Convolutions: standard, pointwise, few channels, depthwise, grouped, strided, transposed, 1-d."""

from . import Case, both, training

# input shape, output channels, kernel, stride, padding, groups
SHAPES = (
    ((32, 32, 28, 28), 32, 3, 1, 1, 1),
    ((32, 64, 28, 28), 64, 3, 1, 1, 1),
    ((32, 128, 14, 14), 128, 3, 1, 1, 1),
    ((32, 256, 7, 7), 256, 3, 1, 1, 1),
    ((32, 32, 13, 13), 64, 3, 1, 0, 1),
    ((32, 64, 32, 32), 128, 3, 2, 1, 1),
    ((32, 64, 56, 56), 256, 1, 1, 0, 1),
    ((32, 256, 14, 14), 64, 1, 1, 0, 1),
    ((32, 1, 28, 28), 32, 3, 1, 0, 1),
    ((32, 1, 32, 32), 6, 5, 1, 0, 1),
    ((32, 3, 32, 32), 64, 3, 1, 1, 1),
    ((8, 3, 224, 224), 64, 7, 2, 3, 1),
    ((32, 64, 56, 56), 64, 3, 1, 1, 64),
    ((32, 128, 14, 14), 128, 5, 1, 2, 128),
    ((32, 64, 28, 28), 64, 3, 1, 1, 8),
)


def conv2d(shape, out, kernel, stride, padding, groups):
    n, c, h, w = shape

    def of(train):
        def make(T):
            x = T.randn(*shape)
            weight, bias = T.randn(out, c // groups, kernel, kernel) * 0.1, T.randn(out)

            def forward():
                return T.nn.functional.conv2d(x, weight, bias, stride, padding, 1, groups)

            if not train:
                return forward
            return training(forward, [t.requires_grad_() for t in (x, weight, bias)])

        return make

    p = (h + 2 * padding - kernel) // stride + 1
    q = (w + 2 * padding - kernel) // stride + 1
    name = f"conv2d/{n}x{c}x{h}x{w}-k{out}r{kernel}s{stride}p{padding}"
    name += f"g{groups}" if groups > 1 else ""
    return both(name, of, 2.0 * n * out * p * q * (c // groups) * kernel * kernel)


def conv1d(T):
    layer, x = T.nn.Conv1d(64, 64, 5, padding=2), T.randn(32, 64, 256)
    return training(lambda: layer(x), list(layer.parameters()))


def transposed(T):
    layer, x = T.nn.ConvTranspose2d(64, 32, 4, 2, 1), T.randn(16, 64, 16, 16)
    return training(lambda: layer(x), list(layer.parameters()))


CASES = [
    *(case for shape in SHAPES for case in conv2d(*shape)),
    Case("conv1d/32x64x256-k64r5/train", conv1d, 2 * 2.0 * 32 * 64 * 256 * 64 * 5),
    Case(
        "conv_transpose2d/16x64x16x16-k32r4s2/train", transposed, 2 * 2.0 * 16 * 64 * 256 * 32 * 16
    ),
]
