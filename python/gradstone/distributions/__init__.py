"""Random numbers with their probabilities, as reinforcement learning and variational networks need
them.

    policy = Categorical(logits=network(state))
    action = policy.sample()
    loss = -policy.log_prob(action) * reward

``rsample`` is differentiable in the parameters, ``sample`` is not.
"""

from gradstone.distributions.bernoulli import Bernoulli
from gradstone.distributions.categorical import Categorical
from gradstone.distributions.distribution import Distribution
from gradstone.distributions.divergence import kl_divergence
from gradstone.distributions.independent import Independent
from gradstone.distributions.normal import Normal
from gradstone.distributions.uniform import Uniform

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Independent",
    "Normal",
    "Uniform",
    "kl_divergence",
]
