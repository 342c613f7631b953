"""What a training run is judged by. Counts stay on the device of the outputs until ``compute``."""

from gradstone.training.metrics.base import Metric
from gradstone.training.metrics.classification import Accuracy, TopKAccuracy
from gradstone.training.metrics.confusion import ConfusionMatrix
from gradstone.training.metrics.per_class import F1, PerClass, Precision, Recall
from gradstone.training.metrics.perplexity import Perplexity
from gradstone.training.metrics.regression import (
    MeanAbsoluteError,
    MeanSquaredError,
    R2Score,
    RootMeanSquaredError,
)

__all__ = [
    "F1",
    "Accuracy",
    "ConfusionMatrix",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "PerClass",
    "Perplexity",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "TopKAccuracy",
]
