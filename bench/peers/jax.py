"""The networks in JAX: pure functions compiled by XLA, channels last, optimizers by hand.

A step is one jitted function, to which parameters and optimizer state are donated. A call waits
for the loss, as the other libraries' calls do.
"""

import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from cases.networks import NETWORKS, Network
from jax import lax


def set_num_threads(threads: int) -> None:
    """XLA sizes its pool when it starts: by the process's affinity, which the worker has set."""
    assert len(os.sched_getaffinity(0)) == threads


# ---------------------------------------------------------------- layers: parameters, then use


class Keys:
    """Random arrays, each from a fresh key."""

    def __init__(self) -> None:
        self.key = jax.random.key(0)

    def uniform(self, shape, fan_in):
        self.key, key = jax.random.split(self.key)
        return jax.random.uniform(key, shape, minval=-(fan_in**-0.5), maxval=fan_in**-0.5)

    def linear(self, inputs, outputs, bias=True):
        weight = self.uniform((inputs, outputs), inputs)
        return {"w": weight, "b": self.uniform((outputs,), inputs)} if bias else {"w": weight}

    def conv(self, inputs, outputs, size, bias=True):
        weight = self.uniform((size, size, inputs, outputs), inputs * size * size)
        bias_of = {"b": self.uniform((outputs,), inputs * size * size)} if bias else {}
        return {"w": weight, **bias_of}


def scale(width):
    return {"w": jnp.ones(width), "b": jnp.zeros(width)}


def linear(p, x):
    """Over rows, as XLA is slower to sum a weight's gradient over two axes than over one."""
    y = (x.reshape(-1, x.shape[-1]) @ p["w"]).reshape(*x.shape[:-1], -1)
    return y + p["b"] if "b" in p else y


def conv(p, x, stride=1, padding=0):
    y = lax.conv_general_dilated(
        x, p["w"], (stride, stride), ((padding, padding),) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip
    return y + p["b"] if "b" in p else y


def max_pool(x):
    """2x2, as the maximum over two axes: XLA's window reduction has a far slower gradient."""
    b, h, w, c = x.shape
    x = x[:, : h // 2 * 2, : w // 2 * 2]
    return x.reshape(b, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def layer_norm(p, x):
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * p["w"] + p["b"]


class BatchNorms:
    """The batch norms of one pass: running statistics go in, in order, and come out renewed."""

    def __init__(self, running, train):
        self.running, self.train, self.renewed = iter(running), train, []

    def __call__(self, p, x):
        mean, variance = next(self.running)
        if self.train:
            count = x.size // x.shape[-1]
            old_mean, old_variance = mean, variance
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            unbiased = variance * (count / (count - 1))
            self.renewed.append((0.9 * old_mean + 0.1 * mean, 0.9 * old_variance + 0.1 * unbiased))
        return (x - mean) * (lax.rsqrt(variance + 1e-5) * p["w"]) + p["b"]


# ------------------------------------------------ networks: (parameters, forward(p, x, norms))


def mlp(keys):
    def forward(p, x, norms):
        return linear(p[1], jax.nn.relu(linear(p[0], x)))

    return [keys.linear(784, 128), keys.linear(128, 10)], forward


def convolutions_then_linears(keys, convolutions, widths):
    """Convolution, ReLU and pooling, a few times; then linear layers with ReLU between."""
    convs = [keys.conv(*sizes) for sizes in convolutions]
    linears = [keys.linear(*sizes) for sizes in zip(widths, widths[1:])]

    def forward(p, x, norms):
        for layer in p[0]:
            x = max_pool(jax.nn.relu(conv(layer, x)))
        x = x.reshape(x.shape[0], -1)
        for layer in p[1][:-1]:
            x = jax.nn.relu(linear(layer, x))
        return linear(p[1][-1], x)

    return [convs, linears], forward


def cnn(keys):
    return convolutions_then_linears(keys, ((1, 32, 3), (32, 64, 3)), (1600, 128, 10))


def lenet(keys):
    return convolutions_then_linears(keys, ((1, 6, 5), (6, 16, 5)), (400, 120, 84, 10))


def lstm_classifier(keys):
    width = 256
    layers = [
        {
            "x": keys.uniform((inputs, 4 * width), width),
            "h": keys.uniform((width, 4 * width), width),
            "b": keys.uniform((4 * width,), width),
        }
        for inputs in (128, width)
    ]

    def layer(p, x):  # T B C
        def cell(state, from_input):
            h, c = state
            i, f, g, o = jnp.split(from_input + h @ p["h"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((x.shape[1], width))
        return lax.scan(cell, (zeros, zeros), x @ p["x"] + p["b"])[1]

    def forward(p, x, norms):
        x = x.swapaxes(0, 1)
        for parameters in p[0]:
            x = layer(parameters, x)
        return linear(p[1], x[-1])

    return [layers, keys.linear(width, 10)], forward


def resnet18(keys):
    plan, inputs = [], 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        plan += [(inputs, outputs, stride), (outputs, outputs, 1)]
        inputs = outputs

    def block_parameters(inputs, outputs, stride):
        p = {
            "conv1": keys.conv(inputs, outputs, 3, bias=False), "bn1": scale(outputs),
            "conv2": keys.conv(outputs, outputs, 3, bias=False), "bn2": scale(outputs),
        }  # fmt: skip
        if stride != 1 or inputs != outputs:
            p |= {"down": keys.conv(inputs, outputs, 1, bias=False), "bn3": scale(outputs)}
        return p

    def block(p, x, stride, norm):
        y = jax.nn.relu(norm(p["bn1"], conv(p["conv1"], x, stride, 1)))
        y = norm(p["bn2"], conv(p["conv2"], y, 1, 1))
        return jax.nn.relu(y + (norm(p["bn3"], conv(p["down"], x, stride)) if "down" in p else x))

    def forward(p, x, norm):
        x = jax.nn.relu(norm(p["bn"], conv(p["conv"], x, 1, 1)))
        for parameters, (_, _, stride) in zip(p["blocks"], plan):
            x = block(parameters, x, stride, norm)
        return linear(p["head"], x.mean((1, 2)))

    parameters = {
        "conv": keys.conv(3, 64, 3, bias=False), "bn": scale(64),
        "blocks": [block_parameters(*sizes) for sizes in plan], "head": keys.linear(512, 10),
    }  # fmt: skip
    return parameters, forward


def running_statistics(parameters):
    """(mean, variance) for each batch norm of ResNet, in the order of their use."""
    norms = [parameters["bn"]]
    for block in parameters["blocks"]:
        norms += [block[name] for name in ("bn1", "bn2", "bn3") if name in block]
    return [(jnp.zeros_like(norm["b"]), jnp.ones_like(norm["b"])) for norm in norms]


def gpt(keys):
    width, heads, length, vocabulary = 256, 8, 128, 65

    def block_parameters():
        return {
            "ln1": scale(width), "ln2": scale(width),
            "qkv": keys.linear(width, 3 * width), "out": keys.linear(width, width),
            "up": keys.linear(width, 4 * width), "down": keys.linear(4 * width, width),
        }  # fmt: skip

    def block(p, x):
        b, t, _ = x.shape
        qkv = linear(p["qkv"], layer_norm(p["ln1"], x)).reshape(b, t, 3, heads, width // heads)
        y = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], is_causal=True)
        x = x + linear(p["out"], y.reshape(b, t, width))
        up = jax.nn.gelu(linear(p["up"], layer_norm(p["ln2"], x)), approximate=False)
        return x + linear(p["down"], up)

    def forward(p, index, norms):
        x = p["tokens"][index] + p["places"][: index.shape[1]]
        for parameters in p["blocks"]:
            x = block(parameters, x)
        return linear(p["head"], layer_norm(p["norm"], x)).reshape(-1, vocabulary)

    parameters = {
        "tokens": keys.uniform((vocabulary, width), 1), "places": keys.uniform((length, width), 1),
        "blocks": [block_parameters() for _ in range(4)], "norm": scale(width),
        "head": keys.linear(width, vocabulary, bias=False),
    }  # fmt: skip
    return parameters, forward


BUILDERS = {
    "mlp": mlp, "cnn": cnn, "lenet": lenet, "lstm_classifier": lstm_classifier,
    "resnet18": resnet18, "gpt": gpt,
}  # fmt: skip


# ------------------------------------------------------------------------------------- training


def update(network: Network, parameters, gradients, state):
    """The optimizer's step: new parameters and new state (its moments and the step's number)."""
    each = jax.tree.map
    if network.optimizer == "sgd":
        if not network.momentum:
            return each(lambda p, g: p - 0.01 * g, parameters, gradients), state
        state = each(lambda v, g: network.momentum * v + g, state, gradients)
        return each(lambda p, v: p - 0.01 * v, parameters, state), state
    decay = 0.01 if network.optimizer == "adamw" else 0.0
    lr, b1, b2, eps = 1e-3, 0.9, 0.999, 1e-8
    mean, square, count = state
    count = count + 1
    mean = each(lambda m, g: b1 * m + (1 - b1) * g, mean, gradients)
    square = each(lambda s, g: b2 * s + (1 - b2) * g * g, square, gradients)
    size, root = lr / (1 - b1**count), jnp.sqrt(1 - b2**count)
    parameters = each(
        lambda p, m, s: p * (1 - lr * decay) - size * m / (jnp.sqrt(s) / root + eps),
        parameters, mean, square,
    )  # fmt: skip
    return parameters, (mean, square, count)


def optimizer_state(network: Network, parameters):
    def zeros():
        return jax.tree.map(jnp.zeros_like, parameters)

    if network.optimizer == "sgd":
        return zeros() if network.momentum else ()
    return zeros(), zeros(), jnp.zeros(())


def build(network: Network):
    parameters, forward = BUILDERS[network.model.__name__](Keys())
    running = running_statistics(parameters) if network.model.__name__ == "resnet18" else []
    return parameters, running, forward


def arrays(network: Network):
    """The batch, channels last, on the device."""
    inputs, targets = network.arrays()
    if inputs.ndim == 4:
        inputs = np.ascontiguousarray(inputs.transpose(0, 2, 3, 1))
    return jnp.asarray(inputs), jnp.asarray(targets)


def training(network: Network):
    parameters, running, forward = build(network)
    x, y = arrays(network)

    def loss_of(parameters, running, x, y):
        norms = BatchNorms(running, train=True)
        scores = jax.nn.log_softmax(forward(parameters, x, norms))
        return -jnp.take_along_axis(scores, y[:, None], axis=1).mean(), norms.renewed

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(parameters, running, state, x, y):
        gradient = jax.value_and_grad(loss_of, has_aux=True)
        (loss, running), gradients = gradient(parameters, running, x, y)
        parameters, state = update(network, parameters, gradients, state)
        return parameters, running, state, loss

    held = [parameters, running, optimizer_state(network, parameters)]

    def call():
        *held[:], loss = step(*held, x, y)
        return loss.block_until_ready()

    return call


def inference(network: Network):
    parameters, running, forward = build(network)
    x, _ = arrays(network)
    run = jax.jit(lambda p, r, x: forward(p, x, BatchNorms(r, train=False)))
    return lambda: run(parameters, running, x).block_until_ready()


def makers():
    out = {n.training_case: partial(training, n) for n in NETWORKS}
    return out | {n.inference_case: partial(inference, n) for n in NETWORKS}
