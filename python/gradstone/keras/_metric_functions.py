"""Accuracies of single samples: functions of targets and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras._loss_functions import as_pair
from gradstone.keras._tensor import from_host


def tensor_of(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else from_host(value)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """Share of the last dimension where (pred > threshold) is true."""
    true, pred = as_pair(y_true, y_pred)
    right = (true == (pred > threshold).to(true.dtype)).float()
    return right if right.dim() == 0 else right.mean(-1)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest of the output is the largest of the target."""
    return (tensor_of(y_true).argmax(-1) == tensor_of(y_pred).argmax(-1)).float()


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest of the output is the class."""
    true, pred = tensor_of(y_true), tensor_of(y_pred)
    if true.dim() == pred.dim() and true.size(-1) == 1:
        true = true.squeeze(-1)
    return (true.long() == pred.argmax(-1)).float()


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the class is among the k largest."""
    true, pred = tensor_of(y_true), tensor_of(y_pred)
    if true.dim() == pred.dim() and true.size(-1) == 1:
        true = true.squeeze(-1)
    best = _C.topk(pred, min(k, pred.size(-1)))[1]
    return (best == true.long().unsqueeze(-1)).any(-1).float()


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the target's largest is among the k largest."""
    return sparse_top_k_categorical_accuracy(tensor_of(y_true).argmax(-1), y_pred, k)


def accuracy_for(y_true: Any, y_pred: Any) -> Callable[..., Tensor]:
    """What "accuracy" means for these: binary for one output, otherwise by the largest output,
    against classes or against one-hot rows."""
    true, pred = tensor_of(y_true), tensor_of(y_pred)
    if pred.dim() == 0 or pred.size(-1) == 1 or pred.dim() == 1:
        return binary_accuracy
    if true.dim() < pred.dim() or true.size(-1) == 1:
        return sparse_categorical_accuracy
    return categorical_accuracy
