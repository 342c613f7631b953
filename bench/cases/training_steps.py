"""Whole training steps of the networks that people train: forward, loss, backward, optimizer."""

from . import Case
from .networks import NETWORKS, Network, training_step


def training_case(network: Network) -> Case:
    def make(T):
        T.manual_seed(0)
        model = network.model(T)
        step = training_step(T, model, network.optimizer_of(T, model.parameters()))
        inputs, targets = network.batch(T)
        return lambda: step(inputs, targets)

    return Case(network.training_case, make, samples=network.samples)


CASES = [training_case(network) for network in NETWORKS]
