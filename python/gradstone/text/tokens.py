"""Text cut into tokens."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache


@lru_cache(16)
def _pattern(marks: str) -> re.Pattern[str]:
    """A word with its inner apostrophes (don't, wall's), or one sign that is neither word nor
    space. `marks` go on with a word: to `re` accents and vowel signs are no part of one."""
    word = rf"\w[\w{re.escape(marks)}]*"
    return re.compile(rf"{word}(?:['\u2019]{word})*|[^\w\s]")


# Letters that Unicode does not decompose into a base letter and a mark.
_LETTERS = str.maketrans(
    {
        "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O",
        "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th",
        "ı": "i", "\u2019": "'", "\u2018": "'", "\xa0": " ",
    }
)  # fmt: skip


def words(text: str, lower: bool = True) -> list[str]:
    """Words (runs of letters with their marks, digits and _, with inner apostrophes) and single
    punctuation signs.

    >>> words("Don't stop!")
    ["don't", 'stop', '!']
    """
    text = text.lower() if lower else text
    marks = ""
    if not text.isascii():
        marks = "".join(sorted(c for c in set(text) if unicodedata.category(c)[0] == "M"))
    return _pattern(marks).findall(text)


def characters(text: str) -> list[str]:
    """Every code point of the text, spaces and line ends included."""
    return list(text)


def to_ascii(text: str) -> str:
    """The text in ASCII: marks are dropped (é becomes e), ß becomes ss, ł becomes l; what has no
    such form is left out. The decomposition is Unicode's NFD (Unicode Standard Annex 15)."""
    decomposed = unicodedata.normalize("NFD", text.translate(_LETTERS))
    return "".join(c for c in decomposed if ord(c) < 128)
