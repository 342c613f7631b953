"""Text: tokens, vocabularies, corpora, padded batches, and data sets of names, sentences and
translations."""

from gradstone.text.batches import BucketBatchSampler, PadCollate, pad_sequence
from gradstone.text.corpus import BlockDataset, CharacterDataset, WordDataset
from gradstone.text.datasets import (
    NamesByLanguage,
    SentimentSentences,
    TinyShakespeare,
    TranslationPairs,
)
from gradstone.text.tokens import characters, to_ascii, words
from gradstone.text.vocab import Vocab

__all__ = [
    "BlockDataset",
    "BucketBatchSampler",
    "CharacterDataset",
    "NamesByLanguage",
    "PadCollate",
    "SentimentSentences",
    "TinyShakespeare",
    "TranslationPairs",
    "Vocab",
    "WordDataset",
    "characters",
    "pad_sequence",
    "to_ascii",
    "words",
]
