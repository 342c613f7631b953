"""The next token from logits: greedy, or drawn at a temperature from the top k or the top p."""

from __future__ import annotations

from gradstone import _C
from gradstone._C import Generator, Tensor
from gradstone._checks import whole
from gradstone._sampling import multinomial


def check_sampling(op: str, temperature: float, top_k: int | None, top_p: float | None) -> None:
    """ValueError for what cannot be sampled with."""
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"[{op}] expected temperature >= 0, got {temperature}.")
    if top_k is not None:
        whole(op, "top_k", top_k, 1)
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"[{op}] expected 0 < top_p <= 1, got {top_p}.")


def restrict(logits: Tensor, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """Logits (N, V) with -inf outside of the k largest (Fan et al., 2018) and outside of the
    smallest set of the most likely tokens that has probability p (nucleus; Holtzman et al.,
    2020)."""
    if top_k is not None and top_k < logits.size(1):
        least = _C.topk(logits, top_k, 1)[0][:, -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    if top_p is not None and top_p < 1:
        ordered, order = _C.sort(logits, 1, True)
        p = ordered.softmax(1)
        # A token stays while those before it have not reached p: the first always does.
        drop = _C.cumsum(p, 1) - p >= top_p
        ordered = ordered.masked_fill(drop, float("-inf"))
        logits = _C.scatter(logits, 1, order, ordered)
    return logits


def choose(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """One token for each row of logits (N, V): (N) int64. Temperature 0 takes the most likely."""
    if temperature == 0:
        return logits.argmax(1)
    # The most likely at 0: no temperature is so low that the others' quotients overflow upwards.
    logits = logits.float()
    logits = (logits - logits.amax(1, True)) / temperature
    weights = restrict(logits, top_k, top_p).softmax(1)
    return multinomial(weights, 1, generator=generator).squeeze(1)
