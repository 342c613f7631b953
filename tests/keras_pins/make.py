"""Records what Keras gives for the cases: python tests/keras_pins/make.py

Needs TensorFlow (recorded with tensorflow-cpu 2.21.0 and Keras 3.15.1); writes pins.npz beside this
file.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from keras_pins.cases import CASES  # noqa: E402
from keras_pins.tf_cases import TF_CASES  # noqa: E402


def main() -> None:
    index, values = [], []
    runs = [(name, case, keras) for name, case in CASES.items()]
    runs += [(f"tf_{name}", case, tf) for name, case in TF_CASES.items()]
    for name, case, module in runs:
        keras.backend.clear_session()
        for key, value in case(module).items():
            array = np.asarray(value, np.float32)
            index.append(f"{name}/{key}/{' '.join(map(str, array.shape))}")
            values.append(array.reshape(-1))
    path = Path(__file__).with_name("pins.npz")
    # One array after another: a file in the archive for each would double its size.
    np.savez_compressed(path, index="\n".join(index), values=np.concatenate(values))
    print(f"keras {keras.__version__}: {len(index)} arrays of {len(runs)} cases in {path.name}")


if __name__ == "__main__":
    main()
