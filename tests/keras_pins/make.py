"""Records what Keras gives for the cases: python tests/keras_pins/make.py

Needs TensorFlow (recorded with tensorflow-cpu 2.21.0 and Keras 3.15.1); writes pins.npz beside this
file.
"""

from pathlib import Path

import keras
import numpy as np
from cases import CASES


def main() -> None:
    index, values = [], []
    for name, case in CASES.items():
        keras.backend.clear_session()
        for key, value in case(keras).items():
            array = np.asarray(value, np.float32)
            index.append(f"{name}/{key}/{' '.join(map(str, array.shape))}")
            values.append(array.reshape(-1))
    path = Path(__file__).with_name("pins.npz")
    # One array after another: a file in the archive for each would double its size.
    np.savez_compressed(path, index="\n".join(index), values=np.concatenate(values))
    print(f"keras {keras.__version__}: {len(index)} arrays of {len(CASES)} cases in {path.name}")


if __name__ == "__main__":
    main()
