"""The forward pass of the same networks as in `training_steps`: eval mode, no gradients."""

from . import Case
from .networks import NETWORKS, Network


def inference_case(network: Network) -> Case:
    def make(T):
        T.manual_seed(0)
        model, inputs = network.model(T).eval(), network.batch(T)[0]

        def forward():
            with T.no_grad():
                return model(inputs)

        return forward

    return Case(network.inference_case, make, samples=network.samples)


CASES = [inference_case(network) for network in NETWORKS]
