"""The networks as ONNX graphs, written by hand, run by ONNX Runtime: inference alone."""

from functools import partial

import numpy as np
import onnxruntime
from cases.networks import NETWORKS, Network
from onnx import TensorProto, helper, numpy_helper

OPSET = 23  # the first with Attention
threads = 1


def set_num_threads(count: int) -> None:
    global threads
    threads = count


class Graph:
    """A graph in the making: `graph.Relu(x)` adds a node and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes, self.constants = [], []
        self.rng = np.random.default_rng(0)

    def __getattr__(self, operation: str):
        def add(*inputs, outputs=1, **attributes):
            names = [f"{operation}_{len(self.nodes)}_{i}" for i in range(outputs)]
            self.nodes.append(helper.make_node(operation, inputs, names, **attributes))
            return names[0] if outputs == 1 else names

        return add

    def constant(self, array) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def uniform(self, shape, fan_in) -> str:
        array = self.rng.uniform(-1, 1, shape) * fan_in**-0.5
        return self.constant(array.astype(np.float32))

    def filled(self, value, width) -> str:
        return self.constant(np.full(width, value, np.float32))

    def linear(self, x, inputs, outputs) -> str:
        """On rows."""
        weight, bias = self.uniform((outputs, inputs), inputs), self.uniform((outputs,), inputs)
        return self.Gemm(x, weight, bias, transB=1)

    def product(self, x, inputs, outputs, bias=True) -> str:
        """On the last of more axes."""
        y = self.MatMul(x, self.uniform((inputs, outputs), inputs))
        return self.Add(y, self.uniform((outputs,), inputs)) if bias else y

    def conv(self, x, inputs, outputs, size, stride=1, padding=0, bias=True) -> str:
        fan_in = inputs * size * size
        weights = [self.uniform((outputs, inputs, size, size), fan_in)]
        weights += [self.uniform((outputs,), fan_in)] if bias else []
        return self.Conv(x, *weights, strides=[stride] * 2, pads=[padding] * 4)

    def session(self, inputs, kind, output) -> onnxruntime.InferenceSession:
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes, "network", [value("x", kind, inputs.shape)],
            [value(output, TensorProto.FLOAT, None)], self.constants,
        )  # fmt: skip
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )


# ---------------------------------------------------------------------- networks: from x, logits


def mlp(g: Graph, x: str) -> str:
    return g.linear(g.Relu(g.linear(x, 784, 128)), 128, 10)


def convolutions_then_linears(g: Graph, x: str, convolutions, widths) -> str:
    for sizes in convolutions:
        x = g.MaxPool(g.Relu(g.conv(x, *sizes)), kernel_shape=[2, 2], strides=[2, 2])
    x = g.Flatten(x)
    for sizes in zip(widths[:-2], widths[1:-1]):
        x = g.Relu(g.linear(x, *sizes))
    return g.linear(x, *widths[-2:])


def cnn(g: Graph, x: str) -> str:
    return convolutions_then_linears(g, x, ((1, 32, 3), (32, 64, 3)), (1600, 128, 10))


def lenet(g: Graph, x: str) -> str:
    return convolutions_then_linears(g, x, ((1, 6, 5), (6, 16, 5)), (400, 120, 84, 10))


def lstm_classifier(g: Graph, x: str) -> str:
    width, direction = 256, g.constant(np.array([1]))
    x = g.Transpose(x, perm=[1, 0, 2])
    for inputs in (128, width):
        weights = g.uniform((1, 4 * width, inputs), width), g.uniform((1, 4 * width, width), width)
        bias = g.uniform((1, 8 * width), width)
        x, last, _ = g.LSTM(x, *weights, bias, hidden_size=width, outputs=3)
        x = g.Squeeze(x, direction)
    return g.linear(g.Squeeze(last, g.constant(np.array([0]))), width, 10)


def resnet18(g: Graph, x: str) -> str:
    def normed(x, inputs, outputs, size, stride):
        x = g.conv(x, inputs, outputs, size, stride, size // 2, bias=False)
        statistics = [g.filled(value, outputs) for value in (1, 0, 0, 1)]
        return g.BatchNormalization(x, *statistics, epsilon=1e-5)

    def block(x, inputs, outputs, stride):
        y = g.Relu(normed(x, inputs, outputs, 3, stride))
        y = normed(y, outputs, outputs, 3, 1)
        if stride != 1 or inputs != outputs:
            x = normed(x, inputs, outputs, 1, stride)
        return g.Relu(g.Add(y, x))

    x, inputs = g.Relu(normed(x, 3, 64, 3, 1)), 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        x = block(block(x, inputs, outputs, stride), outputs, outputs, 1)
        inputs = outputs
    return g.linear(g.Flatten(g.GlobalAveragePool(x)), 512, 10)


def gpt(g: Graph, x: str) -> str:
    width, heads, length, vocabulary = 256, 8, 128, 65

    def norm(x):
        return g.LayerNormalization(x, g.filled(1, width), g.filled(0, width), epsilon=1e-5)

    def attention(x):
        q, k, v = g.Split(g.product(x, width, 3 * width), axis=-1, num_outputs=3, outputs=3)
        return g.Attention(q, k, v, is_causal=1, q_num_heads=heads, kv_num_heads=heads)

    x = g.Gather(g.uniform((vocabulary, width), 1), x)
    x = g.Add(x, g.uniform((length, width), 1))
    for _ in range(4):
        x = g.Add(x, g.product(attention(norm(x)), width, width))
        up = g.Gelu(g.product(norm(x), width, 4 * width))
        x = g.Add(x, g.product(up, 4 * width, width))
    x = g.product(norm(x), width, vocabulary, bias=False)
    return g.Reshape(x, g.constant(np.array([-1, vocabulary])))


BUILDERS = {
    "mlp": mlp, "cnn": cnn, "lenet": lenet, "lstm_classifier": lstm_classifier,
    "resnet18": resnet18, "gpt": gpt,
}  # fmt: skip


def inference(network: Network):
    graph, (inputs, _) = Graph(), network.arrays()
    output = BUILDERS[network.model.__name__](graph, "x")
    kind = TensorProto.INT64 if network.vocabulary else TensorProto.FLOAT
    session = graph.session(inputs, kind, output)
    return lambda: session.run([output], {"x": inputs})[0]


def makers():
    return {network.inference_case: partial(inference, network) for network in NETWORKS}
