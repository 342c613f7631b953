"""What gradstone.keras must compute as Keras does, written once for both.

Every case is a function of the module `keras` (Keras itself, or gradstone.keras) that gives a dict
of arrays. ``make.py`` runs them with Keras and records the results, tests/python/test_keras_pins.py
runs them with gradstone.keras and compares.
"""

import numpy as np


def numbers(seed, *shape):
    """Normal float32 numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def whole(seed, high, *shape):
    """int32 numbers below high."""
    return np.random.default_rng(seed).integers(0, high, shape).astype(np.int32)


def array(t):
    return np.asarray(t.numpy() if hasattr(t, "numpy") else t)


def fill(model):
    """Weights that have nothing special: in (-0.5, 1), variances above 0."""
    rng = np.random.default_rng(7)
    shapes = [w.shape for w in model.get_weights()]
    names = [w.name for w in model.weights]
    values = [rng.uniform(-0.5, 1, s).astype(np.float32) for s in shapes]
    model.set_weights([np.abs(v) + 0.1 if "variance" in n else v for v, n in zip(values, names)])


def study(keras, model, x):
    """What the model gives, and its weights after a step of training."""
    fill(model)
    out = array(model(x))
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    loss = model.train_on_batch(x, numbers(9, *out.shape))
    found = {"out": out, "loss": np.float32(loss)}
    return found | {f"weight{i}": w for i, w in enumerate(model.get_weights())}


def through(keras, layer, x, dtype="float32"):
    inputs = keras.Input(x.shape[1:], dtype=dtype)
    return study(keras, keras.Model(inputs, layer(inputs)), x)


SEQUENCE = numbers(1, 3, 7, 4)
IMAGE = numbers(2, 2, 9, 8, 3)
ROWS = numbers(3, 5, 6)
WORDS = np.array([[1, 4, 2, 0, 0], [3, 0, 0, 0, 0], [5, 5, 1, 2, 3]], np.int32)

# name: (layer from keras.layers, what goes in)
LAYERS = {
    "dense": (lambda l: l.Dense(4, "relu"), ROWS),
    "dense_sequence_no_bias": (lambda l: l.Dense(3, "tanh", use_bias=False), SEQUENCE),
    "conv1d_valid": (lambda l: l.Conv1D(5, 3, activation="relu"), SEQUENCE),
    "conv1d_same_stride": (lambda l: l.Conv1D(5, 4, strides=2, padding="same"), SEQUENCE),
    "conv1d_causal": (lambda l: l.Conv1D(2, 2, padding="causal", dilation_rate=2), SEQUENCE),
    "conv2d_valid": (lambda l: l.Conv2D(4, (3, 2), activation="tanh"), IMAGE),
    "conv2d_same": (lambda l: l.Conv2D(4, 3, padding="same"), IMAGE),
    "conv2d_same_even": (lambda l: l.Conv2D(4, (2, 4), padding="same"), IMAGE),
    "conv2d_same_stride": (lambda l: l.Conv2D(2, 3, strides=(2, 3), padding="same"), IMAGE),
    "conv2d_groups": (lambda l: l.Conv2D(6, 3, groups=3, strides=2), IMAGE),
    "conv2d_softmax": (lambda l: l.Conv2D(4, 1, activation="softmax"), IMAGE),
    "conv2d_transpose_valid": (lambda l: l.Conv2DTranspose(3, 3, strides=2), IMAGE),
    "conv2d_transpose_same": (lambda l: l.Conv2DTranspose(2, 4, strides=2, padding="same"), IMAGE),
    "conv2d_transpose_small": (lambda l: l.Conv2DTranspose(2, 2, strides=3, padding="same"), IMAGE),
    "depthwise": (lambda l: l.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), IMAGE),
    "max_pooling1d": (lambda l: l.MaxPooling1D(2), SEQUENCE),
    "max_pooling2d": (lambda l: l.MaxPooling2D((2, 3)), IMAGE),
    "max_pooling2d_same": (lambda l: l.MaxPooling2D(3, 2, padding="same"), IMAGE),
    "average_pooling1d_same": (lambda l: l.AveragePooling1D(3, 2, padding="same"), SEQUENCE),
    "average_pooling2d": (lambda l: l.AveragePooling2D(2), IMAGE),
    "average_pooling2d_same": (lambda l: l.AveragePooling2D(2, padding="same"), IMAGE),
    "global_average1d": (lambda l: l.GlobalAveragePooling1D(), SEQUENCE),
    "global_average2d": (lambda l: l.GlobalAveragePooling2D(keepdims=True), IMAGE),
    "global_max1d": (lambda l: l.GlobalMaxPooling1D(), SEQUENCE),
    "global_max2d": (lambda l: l.GlobalMaxPooling2D(), IMAGE),
    "flatten": (lambda l: l.Flatten(), IMAGE),
    "reshape": (lambda l: l.Reshape((4, -1)), IMAGE),
    "permute": (lambda l: l.Permute((2, 1)), SEQUENCE),
    "repeat_vector": (lambda l: l.RepeatVector(3), ROWS),
    "zero_padding1d": (lambda l: l.ZeroPadding1D((1, 2)), SEQUENCE),
    "zero_padding2d": (lambda l: l.ZeroPadding2D(((1, 2), (0, 3))), IMAGE),
    "cropping2d": (lambda l: l.Cropping2D(((1, 2), (0, 3))), IMAGE),
    "up_sampling2d": (lambda l: l.UpSampling2D((2, 3)), IMAGE),
    "batch_normalization": (lambda l: l.BatchNormalization(), IMAGE),
    "batch_normalization_rows": (lambda l: l.BatchNormalization(momentum=0.8, epsilon=0.01), ROWS),
    "batch_normalization_plain": (lambda l: l.BatchNormalization(scale=False, axis=1), SEQUENCE),
    "layer_normalization": (lambda l: l.LayerNormalization(), SEQUENCE),
    "layer_normalization_axes": (lambda l: l.LayerNormalization(axis=[1, 2]), SEQUENCE),
    "simple_rnn": (lambda l: l.SimpleRNN(5), SEQUENCE),
    "simple_rnn_relu": (lambda l: l.SimpleRNN(5, "relu", return_sequences=True), SEQUENCE),
    "lstm": (lambda l: l.LSTM(5), SEQUENCE),
    "lstm_sequences": (lambda l: l.LSTM(5, return_sequences=True, go_backwards=True), SEQUENCE),
    "lstm_no_bias": (lambda l: l.LSTM(3, use_bias=False), SEQUENCE),
    "lstm_other_gates": (lambda l: l.LSTM(3, "relu", "hard_sigmoid"), SEQUENCE),
    "gru": (lambda l: l.GRU(5), SEQUENCE),
    "gru_sequences": (lambda l: l.GRU(4, return_sequences=True), SEQUENCE),
    "gru_reset_before": (lambda l: l.GRU(4, reset_after=False), SEQUENCE),
    "gru_no_bias": (lambda l: l.GRU(4, use_bias=False), SEQUENCE),
    "bidirectional": (lambda l: l.Bidirectional(l.LSTM(3)), SEQUENCE),
    "bidirectional_sum": (
        lambda l: l.Bidirectional(l.GRU(3, return_sequences=True), merge_mode="sum"),
        SEQUENCE,
    ),
    "time_distributed": (lambda l: l.TimeDistributed(l.Dense(2)), SEQUENCE),
    "relu_options": (lambda l: l.ReLU(1.0, 0.1, 0.2), ROWS),
    "leaky_relu": (lambda l: l.LeakyReLU(), ROWS),
    "elu": (lambda l: l.ELU(0.5), ROWS),
    "softmax_axis": (lambda l: l.Softmax(axis=1), SEQUENCE),
    "rescaling": (lambda l: l.Rescaling(2.0, -1.0), ROWS),
}


def layer_cases():
    def case(make, x):
        return lambda keras: through(keras, make(keras.layers), x)

    return {f"layer_{name}": case(make, x) for name, (make, x) in LAYERS.items()}


def embedding(keras):
    return through(keras, keras.layers.Embedding(6, 3), WORDS, "int32")


def masked(kind):
    def case(keras):
        layers = keras.layers
        chain = {
            "lstm": [layers.LSTM(4, return_sequences=True), layers.GRU(3)],
            "bidirectional": [layers.Bidirectional(layers.LSTM(3)), layers.Dense(2)],
            "dense_between": [layers.Dense(4), layers.SimpleRNN(3)],
            "pooling": [layers.GlobalAveragePooling1D()],
            "loss": [layers.LSTM(4, return_sequences=True), layers.Dense(2)],
        }[kind]
        first = layers.Embedding(6, 3, mask_zero=True)
        return study(
            keras, keras.Sequential([keras.Input((5,), dtype="int32"), first, *chain]), WORDS
        )

    return case


def attention(causal):
    def case(keras):
        query, value = keras.Input((7, 4)), keras.Input((5, 6))
        layer = keras.layers.MultiHeadAttention(2, 3, value_dim=5)
        if causal:
            model = keras.Model(query, layer(query, query, use_causal_mask=True))
            return study(keras, model, SEQUENCE)
        return study(
            keras, keras.Model([query, value], layer(query, value)), [SEQUENCE, numbers(4, 3, 5, 6)]
        )

    return case


def states(keras):
    """An encoder whose states start a decoder; two outputs that share a layer."""
    first, second = keras.Input((7, 4)), keras.Input((7, 4))
    out, h, c = keras.layers.LSTM(3, return_state=True)(first)
    decoded = keras.layers.LSTM(3, return_sequences=True)(second, initial_state=[h, c])
    shared = keras.layers.Dense(3, "tanh")
    joined = keras.layers.Concatenate()([shared(out), shared(h), keras.layers.Flatten()(decoded)])
    return study(keras, keras.Model([first, second], joined), [SEQUENCE, numbers(5, 3, 7, 4)])


def merging(keras):
    found, layers = {}, keras.layers
    a, b = numbers(1, 4, 3), numbers(2, 4, 3)
    for name in "Add Subtract Multiply Average Maximum Minimum Concatenate".split():
        found[name] = array(getattr(layers, name)()([a, b]))
    found["Dot"] = array(layers.Dot(1)([a, b]))
    found["Dot cosine"] = array(layers.Dot(1, normalize=True)([a, b]))
    found["Dot matrices"] = array(layers.Dot((2, 1))([numbers(1, 2, 3, 4), numbers(2, 2, 4, 5)]))
    return found


def activations(keras):
    x = numbers(1, 4, 6) * 3
    names = """relu softmax sigmoid tanh softplus softsign elu selu gelu silu leaky_relu relu6 mish
    exponential hard_sigmoid hard_silu log_softmax linear""".split()
    return {name: array(keras.layers.Activation(name)(x)) for name in names}


def losses(keras):
    k, found = keras.losses, {}
    classes, logits = whole(1, 4, 6), numbers(2, 6, 4)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    probabilities[0] = [0, 0, 1, 0]
    hot = np.eye(4, dtype=np.float32)[classes]
    bits, bit_logits = whole(3, 2, 6, 3).astype(np.float32), numbers(4, 6, 3)
    chances = 1 / (1 + np.exp(-bit_logits))
    weight = np.arange(6, dtype=np.float32)
    cases = {
        "sparse": (k.SparseCategoricalCrossentropy(), classes, probabilities),
        "sparse logits": (k.SparseCategoricalCrossentropy(from_logits=True), classes, logits),
        "sparse ignore": (k.SparseCategoricalCrossentropy(True, ignore_class=2), classes, logits),
        "categorical": (k.CategoricalCrossentropy(), hot, probabilities),
        "categorical smooth": (k.CategoricalCrossentropy(True, 0.2), hot, logits),
        "categorical smooth p": (
            k.CategoricalCrossentropy(label_smoothing=0.2),
            hot,
            probabilities,
        ),
        "binary": (k.BinaryCrossentropy(), bits, chances),
        "binary logits": (k.BinaryCrossentropy(from_logits=True), bits, bit_logits),
        "binary smooth": (k.BinaryCrossentropy(label_smoothing=0.1), bits, chances),
        "huber": (k.Huber(0.5), bits, bit_logits),
        "cosine": (k.CosineSimilarity(), bits + 0.1, bit_logits),
        "kl": (k.KLDivergence(), probabilities, np.roll(probabilities, 1, 0)),
        "poisson": (k.Poisson(), bits, chances),
        "sum": (k.MeanSquaredError(reduction="sum"), bits, bit_logits),
        "mse of a column": (k.MeanSquaredError(), bits[:, 0], bit_logits[:, :1]),
    }
    for (
        name
    ) in "MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError LogCosh Hinge".split():
        cases[name] = (getattr(k, name)(), bits, bit_logits)
    for name in ("SquaredHinge", "MeanSquaredLogarithmicError"):
        cases[name] = (getattr(k, name)(), bits, chances)
    for name, (loss, true, pred) in cases.items():
        found[name] = array(loss(true, pred))
        found[f"{name} weighted"] = array(loss(true, pred, sample_weight=weight))
        found[f"{name} each"] = array(loss.call(true, pred))
    return found


def metrics(keras):
    k, found = keras.metrics, {}
    classes, scores = whole(1, 4, 2, 6), np.abs(numbers(2, 2, 6, 4))
    hot = np.eye(4, dtype=np.float32)[classes]
    bits, chances = whole(3, 2, 2, 6), np.random.default_rng(4).random((2, 6)).astype(np.float32)
    weight = np.array([[1, 0, 2, 1, 1, 0.5]] * 2, np.float32)
    cases = {
        "sparse": (k.SparseCategoricalAccuracy(), classes, scores),
        "categorical": (k.CategoricalAccuracy(), hot, scores),
        "top": (k.TopKCategoricalAccuracy(k=2), hot, scores),
        "sparse top": (k.SparseTopKCategoricalAccuracy(k=2), classes, scores),
        "binary": (k.BinaryAccuracy(), bits[..., None], chances[..., None]),
        "precision": (k.Precision(), bits, chances),
        "recall": (k.Recall(thresholds=0.3), bits, chances),
        "auc": (k.AUC(), bits, chances),
        "mse": (k.MeanSquaredError(), bits[..., None], chances[..., None]),
        "rmse": (k.RootMeanSquaredError(), bits[..., None], chances[..., None]),
        "mae": (k.MeanAbsoluteError(), bits[..., None], chances[..., None]),
        "crossentropy": (k.SparseCategoricalCrossentropy(from_logits=True), classes, scores),
    }
    for name, (metric, true, pred) in cases.items():
        for batch in range(2):
            metric.update_state(true[batch], pred[batch])
        found[name] = array(metric.result())
        metric.reset_state()
        for batch in range(2):
            metric.update_state(true[batch], pred[batch], sample_weight=weight[batch])
        found[f"{name} weighted"] = array(metric.result())
    mean = k.Mean()
    mean.update_state([1.0, 2.0, 6.0])
    mean.update_state([4.0])
    return found | {"mean": array(mean.result())}


def optimizer(make):
    """Weights after four steps with gradients of very different sizes."""

    def case(keras):
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3), keras.layers.Dense(1)])
        fill(model)
        model.compile(optimizer=make(keras.optimizers), loss="mse")
        x = ROWS * np.array([1e-3, 0.1, 1, 1, 5, 1e-4], np.float32)
        losses = [model.train_on_batch(x, numbers(step, 5, 1)) for step in range(4)]
        return {"losses": np.float32(losses)} | {
            f"weight{i}": w for i, w in enumerate(model.get_weights())
        }

    return case


OPTIMIZERS = {
    "sgd": lambda o: o.SGD(),
    "sgd_momentum": lambda o: o.SGD(0.05, momentum=0.9),
    "sgd_nesterov": lambda o: o.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda o: o.Adam(0.01),
    "adam_epsilon": lambda o: o.Adam(0.01, epsilon=0.1),
    "adam_amsgrad": lambda o: o.Adam(0.01, amsgrad=True),
    "adamw": lambda o: o.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda o: o.RMSprop(0.01),
    "rmsprop_centered": lambda o: o.RMSprop(0.01, centered=True, momentum=0.5),
    "adagrad": lambda o: o.Adagrad(0.1),
    "adadelta": lambda o: o.Adadelta(1.0),
    "adamax": lambda o: o.Adamax(0.01),
    "nadam": lambda o: o.Nadam(0.01),
    "clipnorm": lambda o: o.SGD(0.1, clipnorm=0.5),
    "clipvalue": lambda o: o.SGD(0.1, clipvalue=0.2),
    "global_clipnorm": lambda o: o.SGD(0.1, global_clipnorm=0.5),
    "exponential_decay": lambda o: o.SGD(o.schedules.ExponentialDecay(0.1, 2, 0.5)),
    "cosine_decay": lambda o: o.Adam(
        o.schedules.CosineDecay(0.0, 3, warmup_target=0.1, warmup_steps=2)
    ),
    "piecewise": lambda o: o.SGD(o.schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.01, 0.2])),
}


def schedules(keras):
    s = keras.optimizers.schedules
    each = {
        "exponential": s.ExponentialDecay(0.1, 3, 0.5),
        "staircase": s.ExponentialDecay(0.1, 3, 0.5, staircase=True),
        "inverse": s.InverseTimeDecay(0.1, 3, 0.5),
        "polynomial": s.PolynomialDecay(0.1, 5, 0.01, power=2.0),
        "cycle": s.PolynomialDecay(0.1, 5, 0.01, cycle=True),
        "cosine": s.CosineDecay(0.1, 6, alpha=0.1),
    }
    steps = [0, 1, 2, 3, 4, 7, 11]
    return {n: np.array([float(array(f(i))) for i in steps], np.float32) for n, f in each.items()}


def regularized(keras):
    r = keras.regularizers
    dense = keras.layers.Dense(2, kernel_regularizer=r.L1L2(0.1, 0.2), bias_regularizer="l2")
    model = keras.Sequential(
        [keras.Input((6,)), dense, keras.layers.Dense(1, activity_regularizer="l1")]
    )
    return study(keras, model, ROWS)


def fitted(keras, **options):
    """History and weights of a small classifier; the data in their order."""
    penalty = options.pop("penalty", None)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, "relu", kernel_regularizer=penalty, activity_regularizer=penalty),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3, "softmax"),
        ]
    )
    fill(model)
    model.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **({"weighted_metrics": ["accuracy"]} if options.pop("weighted", False) else {}),
    )
    x, y = numbers(1, 23, 6), whole(2, 3, 23)
    history = model.fit(x, y, batch_size=5, epochs=3, shuffle=False, verbose=0, **options)
    found = {name: np.float32(values) for name, values in history.history.items()}
    found |= {
        f"evaluate_{name}": np.float32(value)
        for name, value in model.evaluate(x, y, batch_size=7, verbose=0, return_dict=True).items()
    }
    found["predict"] = model.predict(x, batch_size=4, verbose=0)
    return found | {f"weight{i}": w for i, w in enumerate(model.get_weights())}


FITS = {
    "plain": lambda k: fitted(k),
    "split": lambda k: fitted(k, validation_split=0.3),
    "penalty": lambda k: fitted(k, penalty="l2", validation_split=0.3),
    "data": lambda k: fitted(k, validation_data=(numbers(3, 8, 6), whole(4, 3, 8))),
    "class_weight": lambda k: fitted(k, class_weight={0: 1.0, 1: 3.0, 2: 0.5}),
    "sample_weight": lambda k: fitted(
        k, sample_weight=np.linspace(0, 2, 23, dtype=np.float32), weighted=True
    ),
    "schedule": lambda k: fitted(
        k, callbacks=[k.callbacks.LearningRateScheduler(lambda epoch, rate: rate / (epoch + 1))]
    ),
    "plateau": lambda k: fitted(
        k,
        callbacks=[k.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10.0)],
    ),
    "early": lambda k: fitted(
        k,
        validation_split=0.3,
        callbacks=[
            k.callbacks.EarlyStopping("loss", min_delta=10.0, patience=1, restore_best_weights=True)
        ],
    ),
}


def two_outputs(keras):
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(4, "tanh")(inputs)
    left = keras.layers.Dense(1, name="left")(hidden)
    right = keras.layers.Dense(3, "softmax", name="right")(hidden)
    model = keras.Model(inputs, [left, right])
    fill(model)
    model.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=["mse", "sparse_categorical_crossentropy"],
        loss_weights=[0.5, 2.0],
        metrics=[["mae"], ["accuracy"]],
    )
    x, targets = numbers(1, 12, 6), [numbers(2, 12, 1), whole(3, 3, 12)]
    history = model.fit(x, targets, batch_size=4, epochs=2, shuffle=False, verbose=0)
    found = {name: np.float32(values) for name, values in history.history.items()}
    found["evaluate"] = np.float32(model.evaluate(x, targets, verbose=0))
    return found | {f"weight{i}": w for i, w in enumerate(model.get_weights())}


def frozen(keras):
    """A part that is not trainable, with batch normalisation in it, inside a model."""
    layers = keras.layers
    part = keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.BatchNormalization()])
    part.trainable = False
    return study(keras, keras.Sequential([part, layers.Dense(2)]), ROWS)


CASES = {
    **layer_cases(),
    "embedding": embedding,
    **{
        f"masked_{k}": masked(k)
        for k in ("lstm", "bidirectional", "dense_between", "pooling", "loss")
    },
    "attention": attention(False),
    "attention_causal": attention(True),
    "states": states,
    "merging": merging,
    "activations": activations,
    "losses": losses,
    "metrics": metrics,
    **{f"optimizer_{name}": optimizer(make) for name, make in OPTIMIZERS.items()},
    "schedules": schedules,
    "regularized": regularized,
    **{f"fit_{name}": run for name, run in FITS.items()},
    "two_outputs": two_outputs,
    "frozen": frozen,
}
