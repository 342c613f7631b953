"""A text as blocks of tokens for language models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradstone import _C, _creation
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone.text.tokens import words
from gradstone.text.vocab import Vocab
from gradstone.utils.data import Dataset


def _whole_numbers(ids: Sequence[int]) -> Tensor:
    """As int64; fractions stay what they are, and are refused."""
    made = _creation.tensor(ids)
    return made if made.dtype.is_floating_point and made.numel() else made.long()


class BlockDataset(Dataset[tuple[Tensor, Tensor]]):
    """Items (x, y), each (block_size,) int64: `block_size` tokens, and the same shifted by one, so
    that y[t] is what follows x[t]. Item i begins at token i * stride.

    `ids` is a vector of int64, or a list of ints. Whole batches are gathered natively.
    """

    def __init__(self, ids: Tensor | Sequence[int], block_size: int, stride: int = 1) -> None:
        self.ids = ids if isinstance(ids, Tensor) else _whole_numbers(ids)
        self.block_size = whole("BlockDataset", "block_size", block_size, 1)
        self.stride = whole("BlockDataset", "stride", stride, 1)
        if self.ids.dim() != 1 or self.ids.dtype != _C.int64:
            raise ValueError(
                f"[BlockDataset] expected a vector of int64, got {self.ids.dtype} of shape "
                f"{tuple(self.ids.shape)}."
            )
        count = self.ids.size(0)
        if count <= block_size:
            raise ValueError(
                f"[BlockDataset] {count} tokens are too few for one block of {block_size} and its "
                "next token."
            )
        self._rows = (count - 1 - block_size) // stride + 1
        # Row i is a view of the block that begins at i * stride: overlaps take no memory.
        ids_ = self.ids.contiguous()
        steps, shape = (stride, 1), (self._rows, block_size)
        self._x = _C.as_strided(ids_, shape, steps)
        self._y = _C.as_strided(ids_[1:], shape, steps)

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor]:
        return self._x[index], self._y[index]

    def gather(self, index: Tensor) -> list[Any] | None:
        """x and y (B, block_size) for a vector of item numbers."""
        if type(self).__getitem__ is not BlockDataset.__getitem__:
            return None
        return [_C.index_select(t, 0, index) for t in (self._x, self._y)]


class CharacterDataset(BlockDataset):
    """Blocks of characters of `text`; ``vocab`` is that given (a part for validation takes the
    training part's), or the text's characters in the order of their code points."""

    def __init__(
        self, text: str, block_size: int, stride: int = 1, vocab: Vocab | None = None
    ) -> None:
        self.vocab = Vocab(sorted(set(text))) if vocab is None else vocab
        super().__init__(self.vocab.encode(text), block_size, stride)


class WordDataset(BlockDataset):
    """Blocks of words and punctuation signs (``gradstone.text.words``) of `text`; those that occur
    fewer than `min_count` times are ``<unk>``."""

    def __init__(
        self,
        text: str,
        block_size: int,
        stride: int = 1,
        vocab: Vocab | None = None,
        min_count: int = 1,
    ) -> None:
        tokens = words(text)
        self.vocab = Vocab.build(tokens, min_count, unk="<unk>") if vocab is None else vocab
        super().__init__(self.vocab.encode(tokens), block_size, stride)
