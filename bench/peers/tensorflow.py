"""The networks in TensorFlow: Keras layers and optimizers inside a tf.function, channels last.

A function runs as a graph and compiled by XLA (jit_compile=True); the faster of both is timed and
named in the case's note.
"""

import os
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from cases.networks import NETWORKS, Network
from keras import layers
from worker import time_call


def set_num_threads(threads: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


# ------------------------------------------------------------------------------------- networks


def mlp():
    return keras.Sequential([layers.Dense(128, activation="relu"), layers.Dense(10)])


def cnn():
    return keras.Sequential([
        layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10),
    ])  # fmt: skip


def lenet():
    return keras.Sequential([
        layers.Conv2D(6, 5, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
        layers.Dense(120, activation="relu"), layers.Dense(84, activation="relu"),
        layers.Dense(10),
    ])  # fmt: skip


def lstm_classifier():
    return keras.Sequential(
        [layers.LSTM(256, return_sequences=True), layers.LSTM(256), layers.Dense(10)]
    )


def resnet18():
    def convolution(x, outputs, size, stride):
        if size == 3 and stride == 2:  # "same" would pad on the right alone
            x, padding = layers.ZeroPadding2D(1)(x), "valid"
        else:
            padding = "same"
        x = layers.Conv2D(outputs, size, stride, padding, use_bias=False)(x)
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)

    def block(x, outputs, stride):
        y = layers.ReLU()(convolution(x, outputs, 3, stride))
        y = convolution(y, outputs, 3, 1)
        if stride != 1 or x.shape[-1] != outputs:
            x = convolution(x, outputs, 1, stride)
        return layers.ReLU()(layers.Add()([y, x]))

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolution(inputs, 64, 3, 1))
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        x = block(block(x, outputs, stride), outputs, 1)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def gpt():
    width, heads, length, vocabulary = 256, 8, 128, 65

    class Attention(layers.Layer):
        def call(self, qkv):
            b, t, _ = qkv.shape
            q, k, v = tf.unstack(
                tf.transpose(tf.reshape(qkv, (b, t, 3, heads, width // heads)), (2, 0, 3, 1, 4))
            )
            scores = tf.matmul(q, k, transpose_b=True) * (width // heads) ** -0.5
            past = tf.linalg.band_part(tf.ones((t, t), tf.bool), -1, 0)
            y = tf.matmul(tf.nn.softmax(tf.where(past, scores, -1e9)), v)
            return tf.reshape(tf.transpose(y, (0, 2, 1, 3)), (b, t, width))

    class Places(layers.Layer):
        def build(self, shape):
            self.places = self.add_weight(shape=(length, width), name="places")

        def call(self, x):
            return x + self.places

    def norm(x):
        return layers.LayerNormalization(epsilon=1e-5)(x)

    index = keras.Input((length,), batch_size=16, dtype="int32")
    x = Places()(layers.Embedding(vocabulary, width)(index))
    for _ in range(4):
        y = Attention()(layers.Dense(3 * width)(norm(x)))
        x = layers.Add()([x, layers.Dense(width)(y)])
        up = layers.Dense(4 * width, activation="gelu")(norm(x))  # Keras's gelu is the exact one
        x = layers.Add()([x, layers.Dense(width)(up)])
    x = layers.Dense(vocabulary, use_bias=False)(norm(x))
    return keras.Model(index, layers.Reshape((length, vocabulary))(x))


BUILDERS = {
    "mlp": mlp, "cnn": cnn, "lenet": lenet, "lstm_classifier": lstm_classifier,
    "resnet18": resnet18, "gpt": gpt,
}  # fmt: skip


def optimizer_of(network: Network):
    kind = keras.optimizers
    if network.optimizer == "sgd":
        return kind.SGD(0.01, momentum=network.momentum)
    if network.optimizer == "adam":
        return kind.Adam(1e-3, epsilon=1e-8)
    return kind.AdamW(1e-3, weight_decay=0.01, epsilon=1e-8)


# ------------------------------------------------------------------------------------ functions


def build(network: Network):
    """The model and its batch, channels last."""
    keras.utils.set_random_seed(0)
    inputs, targets = network.arrays()
    if inputs.ndim == 4:
        inputs = np.ascontiguousarray(inputs.transpose(0, 2, 3, 1))
    x, y = tf.constant(inputs), tf.constant(targets)
    if network.vocabulary:
        x, y = tf.cast(x, tf.int32), tf.reshape(y, network.shape)
    model = BUILDERS[network.model.__name__]()
    model(x)
    return model, x, y


def training(network: Network, xla: bool):
    model, x, y = build(network)
    optimizer = optimizer_of(network)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=xla)
    def step(x, y):
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        optimizer.apply(tape.gradient(loss, model.trainable_variables))
        return loss

    return lambda: step(x, y)


def inference(network: Network, xla: bool):
    model, x, _ = build(network)
    forward = tf.function(partial(model, training=False), jit_compile=xla)
    return lambda: forward(x)


def faster(make, network: Network):
    """The graph's function or XLA's, by the best of three short turns each."""
    functions = {"graph": make(network, xla=False), "XLA": make(network, xla=True)}
    for function in functions.values():
        function()
    best = {name: min(time_call(f, 0.02) for _ in range(3)) for name, f in functions.items()}
    name = min(best, key=best.get)
    function = functions[name]
    function.note = name
    return function


def makers():
    out = {n.training_case: partial(faster, training, n) for n in NETWORKS}
    return out | {n.inference_case: partial(faster, inference, n) for n in NETWORKS}
