"""Gradients limited, parameters as one vector, sequences of different lengths,
weights in normalised form."""

from gradstone.nn.utils import rnn
from gradstone.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_, get_total_norm
from gradstone.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from gradstone.nn.utils.spectral_norm import remove_spectral_norm, spectral_norm
from gradstone.nn.utils.weight_norm import remove_weight_norm, weight_norm

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "parameters_to_vector",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]
