"""Data sets of text. Each reads files in `root` as they are published, or fetches them.

Items are str; a transform, or a collate function with a vocabulary, makes tensors of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from gradstone import _C
from gradstone._C import Generator
from gradstone.random import stream
from gradstone.text._files import download as _download
from gradstone.text._files import find, read_text
from gradstone.text.tokens import to_ascii
from gradstone.utils.data import Dataset

_GITHUB = "https://raw.githubusercontent.com/"
_SPLITS = ("train", "test", None)


def split_indices(count: int, share: float, seed: int, split: str | None) -> list[int]:
    """Numbers 0 ... count - 1 of the "train" or the "test" part; None gives all. The order drawn
    from `seed` is always the same, and the parts do not overlap."""
    if split not in _SPLITS:
        raise ValueError(f"split should be 'train', 'test' or None, got {split!r}")
    if not 0 < share < 1:
        raise ValueError(f"test_share should be between 0 and 1, got {share}")
    if split is None:
        return list(range(count))
    order = _C._randperm(count, *stream(Generator().manual_seed(seed))).tolist()
    test = round(count * share)
    return order[:test] if split == "test" else order[test:]


class TinyShakespeare:
    """40,000 lines of Shakespeare's plays as one text of 1,115,394 characters (Karpathy, 2015):
    ``text``, and the usual parts ``train`` (the first 90 %) and ``validation``.

    Reads input.txt in root or root/tinyshakespeare.
    """

    resources = {
        "input.txt": (
            _GITHUB + "karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
            "6fb458f1232090904fb40fe944165e91",
        )
    }

    def __init__(self, root: str | os.PathLike[str], download: bool = False) -> None:
        if download:
            _download(root, "tinyshakespeare", self.resources)
        self.text = read_text(find("TinyShakespeare", root, ["tinyshakespeare"], ["input.txt"]))
        cut = len(self.text) * 9 // 10
        self.train, self.validation = self.text[:cut], self.text[cut:]


class NamesByLanguage(Dataset[tuple[Any, Any]]):
    """About 20,000 surnames of 18 languages (Robertson, practical-pytorch): items (name, language),
    the language as a number, an index into ``classes``.

    `ascii` reduces the names to ASCII. `unique` keeps one of equal names of a language (there are
    many); equal names always fall into the same part of the split, so that the test part holds
    names that were not seen with that language. Reads <Language>.txt in root, root/names or
    root/names/languages.
    """

    classes = [
        "Arabic", "Chinese", "Czech", "Dutch", "English", "French", "German", "Greek", "Irish",
        "Italian", "Japanese", "Korean", "Polish", "Portuguese", "Russian", "Scottish", "Spanish",
        "Vietnamese",
    ]  # fmt: skip
    md5 = {
        "Arabic": "82fae9e94c57f0ce3971ff005db0429e",
        "Chinese": "7dc684c0c97218fccbbe40b4ae5a1feb",
        "Czech": "88035e92cbcd534cf6888c761c5c63af",
        "Dutch": "6ab7bbaf044b499721053f90e0773c5e",
        "English": "950fc1c5c1406e12f1d3c67bbb33ed66",
        "French": "20ca80761015630dbb80c0f1d43cb659",
        "German": "d10473b75cbb39f75de4ba71dccd852a",
        "Greek": "2edefe72c04ef0dafcc08080a06e71fc",
        "Irish": "e7eb4e53253058c0744bbb76cb3110f1",
        "Italian": "80327fae66e0ac14495bc0f62fc0c63f",
        "Japanese": "f5b11bdb2e0435c0a22c1a731aa287d8",
        "Korean": "a9b83a6c85dd59ed024a09c61de0c0e9",
        "Polish": "71aca5ee180890e83daeae1b01429dc0",
        "Portuguese": "9e678db31d44422908885fd3ddea89d6",
        "Russian": "abc12f2851bf747c0676ec50aceed9de",
        "Scottish": "7cb6daa864d1beac09420ea666c10f3d",
        "Spanish": "61f0b4e4deb4acaad0086996124e9b32",
        "Vietnamese": "1c081f30420eb147fb747a90e3d2a7af",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        ascii: bool = False,
        unique: bool = False,
        test_share: float = 0.2,
        seed: int = 0,
        transform: Callable[[str], Any] | None = None,
        download: bool = False,
    ) -> None:
        folders = ["names", "names/languages"]
        if download:
            address = _GITHUB + "spro/practical-pytorch/master/data/names/"
            files = {f"{c}.txt": (f"{address}{c}.txt", self.md5[c]) for c in self.classes}
            _download(root, folders[1], files, folders)
        self.transform = transform
        found: list[tuple[str, int]] = []
        for label, language in enumerate(self.classes):
            text = read_text(find("NamesByLanguage", root, folders, [f"{language}.txt"]))
            names = [line.strip() for line in text.split("\n")]
            found += [(to_ascii(name) if ascii else name, label) for name in names if name]
        distinct = list(dict.fromkeys(found))
        part = [distinct[i] for i in split_indices(len(distinct), test_share, seed, split)]
        kept = set(part)
        self.samples = part if unique else [pair for pair in found if pair in kept]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> tuple[Any, int]:
        name, label = self.samples[index]
        return (name if self.transform is None else self.transform(name)), label


class SentimentSentences(Dataset[tuple[Any, Any]]):
    """3,000 sentences of reviews, half of them positive (Kotzias et al., 2015): items (sentence,
    label), 1 for positive. `sources` is any of amazon, imdb and yelp. Eighteen sentences are there
    twice, and of some one is in each part of a split.

    Reads <source>_labelled.txt (amazon_cells_labelled.txt) in root or root/sentiment-sentences.
    """

    classes = ["negative", "positive"]
    names = {
        "amazon": "amazon_cells_labelled.txt",
        "imdb": "imdb_labelled.txt",
        "yelp": "yelp_labelled.txt",
    }
    md5 = {
        "amazon": "f737b1e64487b2d2518fcefdb0257e63",
        "imdb": "1905c862739415237bb76ffb7c5217be",
        "yelp": "4891be8c6549846fcd22427aa4a3924d",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        sources: Sequence[str] = ("amazon", "imdb", "yelp"),
        test_share: float = 0.2,
        seed: int = 0,
        transform: Callable[[str], Any] | None = None,
        download: bool = False,
    ) -> None:
        unknown = [s for s in sources if s not in self.names]
        if unknown or isinstance(sources, str) or not sources:
            raise ValueError(f"sources should be some of {list(self.names)}, got {sources!r}")
        if download:
            address = _GITHUB + "kvrao/sentiment_analysis/master/"
            address += quote("sentiment labelled sentences/")
            files = {self.names[s]: (address + self.names[s], self.md5[s]) for s in sources}
            _download(root, "sentiment-sentences", files)
        self.transform = transform
        found: list[tuple[str, int]] = []
        for source in sources:
            name = self.names[source]
            path = find("SentimentSentences", root, ["sentiment-sentences"], [name])
            # Not splitlines(): U+0085, which it takes for a line end, occurs inside sentences.
            for number, line in enumerate(read_text(path).split("\n"), 1):
                if not line.strip():
                    continue
                sentence, tab, label = line.rpartition("\t")
                if not tab or label.strip() not in ("0", "1"):
                    raise RuntimeError(
                        f"{path}, line {number}: expected a sentence, a tab and 0 or 1, got "
                        f"{line[:80]!r}."
                    )
                found.append((sentence.strip(), int(label)))
        self.samples = [found[i] for i in split_indices(len(found), test_share, seed, split)]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> tuple[Any, int]:
        sentence, label = self.samples[index]
        return (sentence if self.transform is None else self.transform(sentence)), label


class TranslationPairs(Dataset[tuple[str, str]]):
    """50,000 short English sentences and their German translations, from short to long (Tatoeba,
    by manythings.org/anki): items (English, German), or (German, English) with `swap`.

    Only pairs whose sentences have at most `max_words` words, when given. The split is drawn over
    distinct English sentences, many of which have several translations: none is in both parts. A
    German sentence may be, with different English ones.
    Reads deu.txt or deu.txt.gz in root or root/deu-eng: a pair in each line with a tab between,
    further columns (the authors) are left out.
    """

    resources = {
        "deu.txt": (
            _GITHUB
            + "DarrenCarvalho/Language-Translation/a30fc3ec31687d0ed561047a9c7d7fdb5915f89c"
            + "/data/deu.txt",
            "90d0268cfc34b4fb0a88f979018cf7bc",
        )
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        swap: bool = False,
        max_words: int | None = None,
        test_share: float = 0.1,
        seed: int = 0,
        download: bool = False,
    ) -> None:
        names = ["deu.txt", "deu.txt.gz"]
        try:
            path = find("TranslationPairs", root, ["deu-eng"], names)
        except RuntimeError:
            if not download:
                raise
            _download(root, "deu-eng", self.resources)
            path = find("TranslationPairs", root, ["deu-eng"], names)
        found: list[tuple[str, str]] = []
        for number, line in enumerate(read_text(path).split("\n"), 1):
            columns = line.rstrip("\r").split("\t")
            if number == 1 and columns[:2] == ["1", "2"]:
                continue  # a table's header that came into the file
            if len(columns) >= 2:
                found.append((columns[0], columns[1]))
            elif line.strip():
                raise RuntimeError(f"{path}, line {number}: no tab in {line[:80]!r}.")
        english = list(dict.fromkeys(pair[0] for pair in found))
        kept = {english[i] for i in split_indices(len(english), test_share, seed, split)}
        if max_words is not None:
            found = [p for p in found if max(len(s.split()) for s in p) <= max_words]
        pairs = [pair for pair in found if pair[0] in kept]
        self.pairs = [(german, first) for first, german in pairs] if swap else pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: Any) -> tuple[str, str]:
        return self.pairs[index]
