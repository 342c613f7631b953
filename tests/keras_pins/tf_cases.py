"""What gradstone.tensorflow must compute as TensorFlow does, once for both (see cases.py)."""

import numpy as np

from keras_pins.cases import numbers, whole


def array(t):
    return np.asarray(t.numpy() if hasattr(t, "numpy") else t)


def arrays(values):
    return {key: array(value) for key, value in values.items()}


def functions(tf):
    """Functions of one tensor."""
    x, positive = tf.constant(numbers(1, 3, 4)), tf.constant(np.abs(numbers(2, 3, 4)) + 0.1)
    found = {}
    for name in """abs exp square sign sin cos tan sinh cosh tanh sigmoid floor round negative
    zeros_like ones_like identity stop_gradient transpose sort argmax argmin argsort cumsum size
    shape rank""".split():
        found[name] = getattr(tf, name)(x)
    for name in "log log1p sqrt rsqrt reciprocal erf ceil is_finite".split():
        found[f"math.{name}"] = getattr(tf.math, name)(positive)
    for name in """relu relu6 elu selu silu softplus softsign leaky_relu gelu softmax log_softmax
    l2_loss""".split():
        found[f"nn.{name}"] = getattr(tf.nn, name)(x)
    return arrays(found)


def reductions(tf):
    found = {}
    for kind, x in (("float", numbers(1, 2, 3, 4)), ("int", whole(2, 9, 2, 3, 4))):
        t = tf.constant(x)
        for name in "sum mean max min prod".split():
            reduce = getattr(tf, f"reduce_{name}")
            found[f"{kind} {name}"] = reduce(t)
            found[f"{kind} {name} 1"] = reduce(t, axis=1)
            found[f"{kind} {name} keep"] = reduce(t, axis=[0, 2], keepdims=True)
    x = tf.constant(numbers(1, 2, 3, 4))
    found["std"] = tf.math.reduce_std(x, axis=1)
    found["variance"] = tf.math.reduce_variance(x)
    found["logsumexp"] = tf.reduce_logsumexp(x, axis=2)
    found["all"] = tf.reduce_all(x > -1, axis=0)
    found["any"] = tf.reduce_any(x > 1, axis=[0, 1])
    return arrays(found)


def operators(tf):
    a, b = tf.constant(numbers(1, 2, 3)), tf.constant(numbers(2, 2, 3))
    i, j = tf.constant([7, -7, 8]), tf.constant([2, 2, -3])
    n = np.arange(6).reshape(2, 3)  # int64
    f = n / 7  # float64
    found = {
        "add": a + b, "sub": a - b, "mul": a * b, "div": a / b, "pow": abs(a) ** b,
        "array": a + f, "array before": f * a, "ints": a * n, "ints before": n - a,
        "number": 2 - a, "number pow": 2.0 ** a, "list": a + [1, 2, 3], "neg": -a,
        "int div": i / j, "int floor": i // j, "int mod": i % j, "int pow": i**2,
        "int number div": i / 2, "number int div": 1 / j, "int mean": tf.divide(i, j),
        "less": a < b, "equal": i == [7, 7, 8], "matmul": a @ tf.transpose(b),
        "index": a[1], "slices": a[:, 1:], "ellipsis": a[..., 0],
        "new axis": a[:, tf.newaxis], "and": (a > 0) & (b > 0), "not": ~(a > 0),
        "maximum": tf.maximum(a, 0.0), "minimum": tf.minimum(0.5, b), "mod": tf.math.mod(a, 0.3),
        "floordiv": tf.math.floordiv(a, 0.3), "squared": tf.math.squared_difference(a, b),
    }  # fmt: skip
    found |= {f"dtype {k}": np.float32(array(v).dtype.itemsize) for k, v in found.items()}
    return arrays(found)


def shapes(tf):
    x = tf.constant(numbers(1, 2, 3, 4))
    a, b, c = tf.split(x, [1, 2, 1], axis=2)
    found = {
        "reshape": tf.reshape(x, [4, -1]),
        "transpose": tf.transpose(x, [1, 0, 2]),
        "expand": tf.expand_dims(x, -1),
        "squeeze": tf.squeeze(x[:1]),
        "concat": tf.concat([x, x + 1], axis=1),
        "stack": tf.stack([x, x], axis=1),
        "stack numbers": tf.stack([1.0, tf.constant(2.0)]),
        "unstack": tf.unstack(x, axis=1)[2],
        "split a": a,
        "split b": b,
        "split equal": tf.split(x, 2, axis=2)[1],
        "tile": tf.tile(x, [1, 2, 3]),
        "gather": tf.gather(x, [[0, 1], [1, 1]], axis=0),
        "gather last": tf.gather(x, [3, 0], axis=2),
        "pad": tf.pad(x, [[0, 0], [1, 0], [0, 2]]),
        "where": tf.where(x > 0, x, 0.0),
        "where places": tf.where(x > 1),
        "mask": tf.boolean_mask(x, x[..., 0] > 0),
        "broadcast": tf.broadcast_to(x[:, :1], [2, 5, 4]),
        "range": tf.range(5),
        "range step": tf.range(1.0, 2.0, 0.25),
        "linspace": tf.linspace(0.0, 1.0, 5),
        "eye": tf.eye(3),
        "fill": tf.fill([2, 2], 7),
        "one hot": tf.one_hot([0, 2, 5, -1], 4),
        "one hot values": tf.one_hot([[1], [0]], 3, on_value=5.0, off_value=-1.0, axis=1),
        "cast": tf.cast([1.7, -1.7], tf.int32),
        "clip": tf.clip_by_value(x, -0.5, 0.5),
        "clip norm": tf.clip_by_norm(x, 1.0),
        "clip global": tf.clip_by_global_norm([x, x[0]], 2.0)[0][1],
        "tensordot": tf.tensordot(x, x, [[0, 2], [0, 2]]),
        "tensordot 1": tf.tensordot(x, tf.constant(numbers(3, 4, 5)), 1),
        "einsum": tf.einsum("ijk,ilk->ijl", x, x),
        "matmul": tf.matmul(x, x, transpose_b=True),
        "norm": tf.norm(x, axis=1),
        "matvec": tf.linalg.matvec(x, x[:, 0]),
        "trace": tf.linalg.trace(tf.constant(numbers(4, 3, 3))),
    }
    return arrays(found)


def networks(tf):
    x, y = tf.constant(numbers(1, 5, 4)), whole(2, 4, 5)
    image, kernel = tf.constant(numbers(3, 2, 7, 6, 3)), tf.constant(numbers(4, 3, 2, 3, 5))
    nn = tf.nn
    found = {
        "softmax ce": nn.softmax_cross_entropy_with_logits(labels=tf.one_hot(y, 4), logits=x),
        "sparse ce": nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=x),
        "sigmoid ce": nn.sigmoid_cross_entropy_with_logits(labels=tf.one_hot(y, 4), logits=x),
        "conv valid": nn.conv2d(image, kernel, strides=1, padding="VALID"),
        "conv same": nn.conv2d(image, kernel, strides=[1, 2, 3, 1], padding="SAME"),
        "max pool": nn.max_pool2d(image, 2, 2, "SAME"),
        "avg pool": nn.avg_pool2d(image, 3, 2, "SAME"),
        "moments": nn.moments(x, axes=[0])[1],
        "l2": nn.l2_normalize(x, axis=1),
        "top k": nn.top_k(x, 2)[0],
        "top k places": nn.top_k(x, 2)[1],
        "in top k": nn.in_top_k(y, x, 2),
        "bias": nn.bias_add(x, [1.0, 2.0, 3.0, 4.0]),
        "lookup": nn.embedding_lookup(x, [[0, 4], [1, 1]]),
    }
    return arrays(found)


def tapes(tf):
    """Gradients: of variables and watched tensors, twice, of lists, of gradients."""
    w, b = tf.Variable(numbers(1, 3, 2)), tf.Variable([0.5, -0.5])
    x = tf.constant(numbers(2, 4, 3))
    found = {}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = tf.tanh(x @ w + b)
        loss = tf.reduce_mean(y**2)
    found["w"], found["b"] = tape.gradient(loss, [w, b])
    found["x"] = tape.gradient(loss, x)
    found["dict"] = tape.gradient(loss, {"w": w})["w"]
    found["middle"] = tape.gradient(loss, y)
    found["weighted"] = tape.gradient(y, b, output_gradients=tf.ones_like(y) * 3.0)
    found["zero"] = tape.gradient(loss, tf.Variable(1.0), unconnected_gradients="zero")
    v = tf.Variable(2.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            z = v**3
        first = inner.gradient(z, v)
    found["first"], found["second"] = first, outer.gradient(first, v)
    with tf.GradientTape() as tape:
        z = v * tf.constant([1.0, 2.0, 3.0]) ** v
    found["jacobian"] = tape.jacobian(z, v)
    with tf.GradientTape() as one, tf.GradientTape() as two:
        z = v**2
        left, right = z * 3.0, z * v
    found["one"], found["two"] = one.gradient(left, v), two.gradient(right, v)
    v.assign_add(1.0)
    found["assigned"] = v
    return arrays(found)


def loop(tf):
    """A loop written by hand over a Keras model."""
    model = tf.keras.Sequential(
        [tf.keras.Input((3,)), tf.keras.layers.Dense(4, "relu"), tf.keras.layers.Dense(2)]
    )
    rng = np.random.default_rng(5)
    model.set_weights([rng.normal(size=w.shape).astype(np.float32) for w in model.get_weights()])
    optimizer = tf.keras.optimizers.Adam(0.05)
    measure = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = tf.keras.metrics.SparseCategoricalAccuracy()
    x, y = tf.constant(numbers(6, 16, 3)), whole(7, 2, 16)
    losses = []
    for _ in range(5):
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = measure(y, logits)
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables))
        accuracy.update_state(y, logits)
        losses.append(float(loss))
    found = {"losses": np.float32(losses), "accuracy": accuracy.result()}
    return arrays(found | {f"weight{i}": w for i, w in enumerate(model.get_weights())})


TF_CASES = {
    f.__name__: f for f in (functions, reductions, operators, shapes, networks, tapes, loop)
}
