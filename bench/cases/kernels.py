"""Single operations: products, convolutions, pooling, norms, elementwise, recurrent, attention."""

from . import Case, training

CASES: list[Case] = []


def add(name, make, flops=0.0, nbytes=0.0, threads=(1, 2)):
    CASES.append(Case(name, make, flops, nbytes, threads=threads))


def gemm(m, k, n):
    def make(T):
        a, b = T.randn(m, k), T.randn(k, n)
        return lambda: a @ b

    return make


for size in (32, 64, 128, 512, 1024, 2048):
    add(f"gemm/{size}", gemm(size, size, size), 2.0 * size**3)
for m, k, n in ((32, 10, 128), (1, 4096, 4096), (4096, 4096, 64), (32, 784, 128), (128, 1600, 128)):
    add(f"gemm/{m}x{k}x{n}", gemm(m, k, n), 2.0 * m * k * n)


def conv(shape, out, kernel, stride, padding, groups, train):
    def make(T):
        x = T.randn(*shape)
        w = T.randn(out, shape[1] // groups, kernel, kernel) * 0.1
        b = T.randn(out)

        def forward():
            return T.nn.functional.conv2d(x, w, b, stride, padding, 1, groups)

        if not train:
            return forward
        leaves = [t.requires_grad_() for t in (x, w, b)]
        return training(forward, leaves)

    return make


for shape, out, kernel, stride, padding, groups in (
    ((32, 32, 28, 28), 32, 3, 1, 1, 1),
    ((32, 64, 28, 28), 64, 3, 1, 1, 1),
    ((32, 128, 14, 14), 128, 3, 1, 1, 1),
    ((32, 256, 7, 7), 256, 3, 1, 1, 1),
    ((32, 64, 56, 56), 256, 1, 1, 0, 1),
    ((32, 1, 28, 28), 32, 3, 1, 0, 1),
    ((32, 3, 32, 32), 64, 3, 1, 1, 1),
    ((8, 3, 224, 224), 64, 7, 2, 3, 1),
    ((32, 64, 56, 56), 64, 3, 1, 1, 64),
):
    n, c, h, w = shape
    p, q = (h + 2 * padding - kernel) // stride + 1, (w + 2 * padding - kernel) // stride + 1
    flops = 2.0 * n * out * p * q * (c // groups) * kernel * kernel
    name = f"conv2d/{n}x{c}x{h}x{w}-k{out}r{kernel}s{stride}p{padding}" + (
        f"g{groups}" if groups > 1 else ""
    )
    add(name, conv(shape, out, kernel, stride, padding, groups, False), flops)
    add(name + "/train", conv(shape, out, kernel, stride, padding, groups, True), 3 * flops)


def on_input(shape, function, train, scale=1.0):
    """function(T, x) over a random input; with its backward when train."""

    def make(T):
        x = T.randn(*shape) * scale
        if not train:
            return lambda: function(T, x)
        x.requires_grad_()
        return training(lambda: function(T, x), [x])

    return make


IMAGE = (64, 64, 56, 56)
IMAGE_BYTES = 4.0 * 64 * 64 * 56 * 56
for train in (False, True):
    suffix = "/train" if train else ""
    add(
        "max_pool2d/64x64x56x56-2" + suffix,
        on_input(IMAGE, lambda T, x: T.nn.functional.max_pool2d(x, 2), train),
        nbytes=1.25 * IMAGE_BYTES * (1 + train),
    )
    add(
        "avg_pool2d/64x64x56x56-2" + suffix,
        on_input(IMAGE, lambda T, x: T.nn.functional.avg_pool2d(x, 2), train),
        nbytes=1.25 * IMAGE_BYTES * (1 + train),
    )
    add(
        "softmax/4096x1000" + suffix,
        on_input((4096, 1000), lambda T, x: T.softmax(x, 1), train),
        nbytes=8.0 * 4096 * 1000 * (1 + train),
    )


def layer(build, shape, train):
    def make(T):
        T.manual_seed(0)
        module, x = build(T), T.randn(*shape)
        if not train:

            def forward():
                with T.no_grad():
                    return module(x)

            return forward
        x.requires_grad_()
        return training(lambda: module(x), [x, *module.parameters()])

    return make


for train in (False, True):
    suffix = "/train" if train else ""
    add(
        "batch_norm/64x64x56x56" + suffix,
        layer(lambda T: T.nn.BatchNorm2d(64), IMAGE, train),
        nbytes=2 * IMAGE_BYTES * (1 + train),
    )
    add(
        "layer_norm/4096x768" + suffix,
        layer(lambda T: T.nn.LayerNorm(768), (4096, 768), train),
        nbytes=8.0 * 4096 * 768 * (1 + train),
    )


def cross_entropy(n, classes, train):
    def make(T):
        x, t = T.randn(n, classes), T.randint(0, classes, (n,))
        if not train:
            return lambda: T.nn.functional.cross_entropy(x, t)
        x.requires_grad_()
        return training(lambda: T.nn.functional.cross_entropy(x, t), [x])

    return make


for n, classes in ((4096, 1000), (32, 10)):
    add(f"cross_entropy/{n}x{classes}", cross_entropy(n, classes, False))
    add(f"cross_entropy/{n}x{classes}/train", cross_entropy(n, classes, True))

for name, function in (
    ("relu", lambda T, x: T.relu(x)),
    ("gelu", lambda T, x: T.nn.functional.gelu(x)),
    ("exp", lambda T, x: T.exp(x)),
    ("tanh", lambda T, x: T.tanh(x)),
    ("add", lambda T, x: x + x),
):
    for size in (1_000, 10_000_000):
        moved = 4.0 * size * (3 if name == "add" else 2)
        add(
            f"{name}/{size:.0e}".replace("e+0", "e"),
            on_input((size,), function, False),
            nbytes=moved,
        )

add("sum/4096x4096-0", on_input((4096, 4096), lambda T, x: x.sum(0), False), nbytes=4.0 * 4096**2)
add("sum/4096x4096-1", on_input((4096, 4096), lambda T, x: x.sum(1), False), nbytes=4.0 * 4096**2)


def recurrent(kind, steps, batch, inputs, hidden, layers, train):
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    flops = sum(
        2.0 * steps * batch * gates * hidden * ((inputs if i == 0 else hidden) + hidden)
        for i in range(layers)
    )

    def build(T):
        return getattr(T.nn, kind)(inputs, hidden, layers)

    def make(T):
        T.manual_seed(0)
        module, x = build(T), T.randn(steps, batch, inputs)
        if not train:

            def forward():
                with T.no_grad():
                    return module(x)

            return forward
        return training(lambda: module(x)[0], list(module.parameters()))

    name = f"{kind.lower()}/{steps}x{batch}x{inputs}x{hidden}x{layers}"
    add(name + ("/train" if train else ""), make, flops * (3 if train else 1))


for train in (False, True):
    recurrent("LSTM", 100, 32, 128, 256, 2, train)
    recurrent("LSTM", 100, 1, 128, 256, 1, train)
    recurrent("GRU", 100, 32, 128, 256, 2, train)


def attention(b, h, t, d, train):
    def make(T):
        q, k, v = (T.randn(b, h, t, d) for _ in range(3))

        def forward():
            return T.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)

        if not train:
            return forward
        return training(forward, [x.requires_grad_() for x in (q, k, v)])

    flops = 2.0 * b * h * t * t * d * 2 / 2
    add(
        f"attention/{b}x{h}x{t}x{d}-causal" + ("/train" if train else ""),
        make,
        flops * (3.5 if train else 1),
    )


attention(8, 12, 512, 64, False)
attention(8, 12, 512, 64, True)


def embedding(T):
    table, index = T.randn(50_000, 256), T.randint(0, 50_000, (32, 128))
    table.requires_grad_()
    return training(lambda: T.nn.functional.embedding(index, table), [table])


add("embedding/50000x256-32x128/train", embedding)
