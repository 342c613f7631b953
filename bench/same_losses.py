"""The same training in gradstone and in PyTorch: equal parameters, equal batches, equal losses?

    python bench/same_losses.py                the networks of cases/networks.py, 20 steps each
    python bench/same_losses.py --only gpt     those whose name contains one of these

Exits with 1 when a loss of gradstone's is further from the exact one than rounding explains.
"""

import argparse
import sys

import numpy as np
import torch
from cases.networks import NETWORKS, Network, training_step

import gradstone

STEPS, SHOWN = 20, (1, 10, 20)

# How far from the exact losses may a float32 run be? No fixed number says it: training multiplies
# a rounding error, by about ten a step in ResNet-18, whose losses agree to seven digits in the
# first step and to two in the tenth, in whatever order one sums; Adam divides a gradient by its
# own size, so that one which is nothing but rounding moves its parameter as far as any other. So
# PyTorch is the yardstick: its float64 run stands for the exact losses, and two float32 runs, on
# the batches as they are and with their rows in reverse (the same sums in another order), show
# what rounding does to this network. Up to each step, gradstone may be MULTIPLE times as far from
# the exact loss as the further of them has been so far (about one step of ResNet's growth), and
# FLOOR more, for a loss is itself a float32 (eps 1.2e-7) summed over a batch.
# As a trial, a learning rate wrong by a thousandth was found in the MLP, the CNN and the LSTM, not
# in LeNet-5, whose losses it moves by 1.3e-6.
MULTIPLE, FLOOR = 10, 1e-6


def losses(T, network: Network, state: dict, batches: list, double: bool = False) -> np.ndarray:
    """The losses of training from the parameters `state`, one step a batch."""
    model = network.model(T)
    model.load_state_dict({name: T.from_numpy(array.copy()) for name, array in state.items()})
    if double:
        model.double()
    step = training_step(T, model, network.optimizer_of(T, model.parameters()))
    out = []
    for arrays in batches:
        inputs, targets = (T.from_numpy(array) for array in arrays)
        if double and inputs.is_floating_point():
            inputs = inputs.double()
        out.append(step(inputs, targets).item())
    return np.array(out)


def reverse(batch: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The batch with its rows in reverse order."""
    inputs, targets = batch
    rows = targets.reshape(len(inputs), -1)
    return inputs[::-1].copy(), rows[::-1].flatten()


def compare(network: Network) -> bool:
    """Trains, prints and judges."""
    torch.manual_seed(0)
    state = {name: t.numpy().copy() for name, t in network.model(torch).state_dict().items()}
    batches = [network.arrays(seed) for seed in range(STEPS)]
    ours = losses(gradstone, network, state, batches)
    theirs = losses(torch, network, state, batches)
    reversed_rows = losses(torch, network, state, [reverse(batch) for batch in batches])
    exact = losses(torch, network, state, batches, double=True)

    def distance(run: np.ndarray) -> np.ndarray:
        return abs(run - exact) / exact

    yardstick = np.maximum(distance(theirs), distance(reversed_rows))
    allowed = MULTIPLE * np.maximum.accumulate(yardstick) + FLOOR
    good = bool((distance(ours) <= allowed).all())
    print(network.name)
    for step in SHOWN:
        i = step - 1
        print(
            f"  step {step:2}   gradstone {ours[i]:.7f}   PyTorch {theirs[i]:.7f}   "
            f"float64 {exact[i]:.7f}"
        )
    print(
        f"  largest relative difference: to PyTorch {(abs(ours - theirs) / theirs).max():.1e}; "
        f"from float64 {distance(ours).max():.1e}, PyTorch's own {yardstick.max():.1e}"
    )
    if not good:
        worst = int((distance(ours) / allowed).argmax())
        print(
            f"  NOT EXPLAINED BY ROUNDING: step {worst + 1} is {distance(ours)[worst]:.1e} from "
            f"float64, {allowed[worst]:.1e} allowed"
        )
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", default=[], help="networks whose name contains one")
    only = parser.parse_args().only
    chosen = [n for n in NETWORKS if not only or any(text in n.name for text in only)]
    good = [compare(network) for network in chosen]
    print(f"same losses: {sum(good)} of {len(good)} networks")
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
