"""Convolutions: standard, pointwise, few channels, depthwise, grouped, strided, transposed, 1-d."""

from . import Case, both, training

# input shape, output channels, kernel, stride, padding, groups and, where it is not 1, dilation
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
    # Neighbours: deep and small, dilated, strided pointwise, MobileNet, ConvNeXt, ResNeXt.
    ((32, 512, 4, 4), 512, 3, 1, 1, 1),
    ((16, 64, 32, 32), 64, 3, 1, 2, 1, 2),
    ((4, 256, 28, 28), 256, 3, 1, 4, 1, 4),
    ((32, 128, 28, 28), 256, 1, 2, 0, 1),
    ((8, 96, 112, 112), 96, 3, 2, 1, 96),
    ((32, 384, 7, 7), 384, 3, 1, 1, 384),
    ((32, 384, 7, 7), 384, 7, 1, 3, 384),
    ((32, 384, 14, 14), 384, 7, 1, 3, 384),
    ((32, 240, 14, 14), 240, 3, 2, 1, 240),
    ((32, 128, 28, 28), 128, 3, 1, 1, 32),
    ((16, 128, 28, 28), 256, 3, 2, 1, 1),
    ((32, 144, 28, 28), 144, 3, 2, 1, 144),
)


def conv2d(shape, out, kernel, stride, padding, groups, dilation=1):
    n, c, h, w = shape

    def of(train):
        def make(T):
            x = T.randn(*shape)
            weight, bias = T.randn(out, c // groups, kernel, kernel) * 0.1, T.randn(out)

            def forward():
                return T.nn.functional.conv2d(x, weight, bias, stride, padding, dilation, groups)

            if not train:
                return forward
            return training(forward, [t.requires_grad_() for t in (x, weight, bias)])

        return make

    reach = dilation * (kernel - 1) + 1
    p = (h + 2 * padding - reach) // stride + 1
    q = (w + 2 * padding - reach) // stride + 1
    name = f"conv2d/{n}x{c}x{h}x{w}-k{out}r{kernel}s{stride}p{padding}"
    name += f"g{groups}" if groups > 1 else ""
    name += f"d{dilation}" if dilation > 1 else ""
    return both(name, of, 2.0 * n * out * p * q * (c // groups) * kernel * kernel)


def conv1d(kernel, dilation):
    def make(T):
        padding = dilation * (kernel // 2)
        layer = T.nn.Conv1d(64, 64, kernel, padding=padding, dilation=dilation)
        x = T.randn(32, 64, 256)
        return training(lambda: layer(x), list(layer.parameters()))

    name = f"conv1d/32x64x256-k64r{kernel}" + (f"d{dilation}" if dilation > 1 else "")
    return Case(f"{name}/train", make, 2 * 2.0 * 32 * 64 * 256 * 64 * kernel)


def transposed(channels, out, size):
    def make(T):
        layer, x = T.nn.ConvTranspose2d(channels, out, 4, 2, 1), T.randn(16, channels, size, size)
        return training(lambda: layer(x), list(layer.parameters()))

    name = f"conv_transpose2d/16x{channels}x{size}x{size}-k{out}r4s2/train"
    return Case(name, make, 2 * 2.0 * 16 * channels * size * size * out * 16)


CASES = [
    *(case for shape in SHAPES for case in conv2d(*shape)),
    conv1d(5, 1),
    conv1d(3, 4),
    transposed(64, 32, 16),
    transposed(256, 128, 8),
]
