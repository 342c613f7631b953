"""Tokens and their numbers."""

from __future__ import annotations

import json
import operator
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gradstone._replace import write_file


class Vocab:
    """A list of distinct tokens: ``itos[i]`` is token i, ``stoi[token]`` its number.

    `unk` is the token that stands for those not in the list; without one they are a KeyError.
    ``specials`` are the tokens that no text contains (padding, begin, end, unknown); ``decode``
    can leave them out.
    """

    def __init__(
        self, tokens: Sequence[str], specials: Sequence[str] = (), unk: str | None = None
    ) -> None:
        """`tokens` in their order, `specials` among them or, if not, put before them."""
        if isinstance(tokens, str):
            raise TypeError("[Vocab] expected a list of tokens, got one str; list(text) makes one.")
        if unk is not None and unk not in specials and unk not in tokens:
            specials = (*specials, unk)
        present = set(tokens)
        self.itos = [s for s in specials if s not in present] + list(tokens)
        for token in self.itos:
            if not isinstance(token, str):
                raise TypeError(f"[Vocab] tokens must be str, got {type(token).__name__}.")
        self.stoi = {token: i for i, token in enumerate(self.itos)}
        if len(self.stoi) != len(self.itos):
            twice = [token for token, n in Counter(self.itos).items() if n > 1]
            raise ValueError(f"[Vocab] tokens must be distinct; more than once: {twice[:5]}.")
        self.specials = tuple(specials)
        self.unk = unk

    @classmethod
    def build(
        cls,
        tokens: Iterable[str],
        min_count: int = 1,
        max_size: int | None = None,
        specials: Sequence[str] = (),
        unk: str | None = None,
    ) -> Vocab:
        """The tokens that occur at least `min_count` times, the most frequent first (equal ones in
        the order of their code points), at most `max_size` with the specials."""
        if min_count < 1:
            raise ValueError(f"[Vocab] expected min_count of at least 1, got {min_count}.")
        if isinstance(tokens, str):
            tokens = iter(tokens)
        counts = Counter(tokens)
        if unk is not None and unk not in specials:
            specials = (*specials, unk)
        for special in specials:
            counts.pop(special, None)
        kept = sorted(
            (t for t, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t)
        )
        if max_size is not None:
            if max_size < len(specials):
                raise ValueError(
                    f"[Vocab] max_size {max_size} leaves no room for {len(specials)} specials."
                )
            kept = kept[: max_size - len(specials)]
        return cls(kept, specials, unk)

    def __len__(self) -> int:
        return len(self.itos)

    def __contains__(self, token: object) -> bool:
        return token in self.stoi

    def __getitem__(self, token: str) -> int:
        found = self.stoi.get(token)
        if found is not None:
            return found
        if self.unk is None:
            raise KeyError(
                f"[Vocab] {token!r} is not among the {len(self)} tokens, and there is no unk token."
            )
        return self.stoi[self.unk]

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """The number of every token. KeyError for an unknown one when there is no `unk`."""
        return [self[token] for token in tokens]

    def decode(self, ids: Iterable[Any], skip_specials: bool = False) -> list[str]:
        """The tokens of these numbers (ints or a 1-D tensor). IndexError outside 0...len-1."""
        out = []
        for i in ids:
            i = operator.index(i)
            if not 0 <= i < len(self.itos):
                raise IndexError(f"[Vocab] no token {i}: there are {len(self)}.")
            out.append(self.itos[i])
        return [t for t in out if t not in self.specials] if skip_specials else out

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the vocabulary as JSON (UTF-8); an old file stays until the new one is whole."""
        state = {"tokens": self.itos, "specials": list(self.specials), "unk": self.unk}
        text = json.dumps(state, ensure_ascii=False, indent=0)
        write_file(path, f"{text}\n".encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocab:
        """A vocabulary that ``save`` wrote. ValueError when the file holds something else."""
        try:
            state = json.loads(Path(path).read_text(encoding="utf-8"))
            tokens, specials, unk = state["tokens"], state["specials"], state["unk"]
            if not isinstance(specials, list):
                raise TypeError("specials are no list")
            return cls(tokens, specials, unk)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(f"[Vocab] {path} is not a vocabulary saved by Vocab.save.") from None

    def __repr__(self) -> str:
        return f"Vocab({len(self)} tokens, specials={list(self.specials)}, unk={self.unk!r})"
