"""Tokens, vocabularies, corpora, padded batches, and the data sets of text."""

from __future__ import annotations

import gzip
import http.server
import os
import threading
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
from gradstone import text
from gradstone.utils.data import DataLoader

ROOT = Path(__file__).resolve().parents[2]
DATA = (
    Path(os.environ.get("GRADSTONE_SEED_PROGRAMS", ROOT.parent / "shared" / "seed_programs")).parent
    / "data"
)
real = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}")


def test_words_and_characters():
    assert text.words("Don't stop, he said: 3 times!") == [
        "don't", "stop", ",", "he", "said", ":", "3", "times", "!",
    ]  # fmt: skip
    assert text.words("Straße O'Neill's", lower=False) == ["Straße", "O'Neill's"]
    assert text.words("  'quoted' ") == ["'", "quoted", "'"]
    assert text.characters("a b\n") == ["a", " ", "b", "\n"]


@pytest.mark.parametrize(
    ("name", "plain"),
    [("Ślusarski", "Slusarski"), ("Größe", "Grosse"), ("Żółw", "Zolw"), ("O’Néàl", "O'Neal"),
     ("Cañón", "Canon"), ("Æther", "AEther"), ("漢字", "")],
)  # fmt: skip
def test_to_ascii(name, plain):
    assert text.to_ascii(name) == plain


def test_vocab_order_and_unknown():
    vocab = text.Vocab.build("b a c b a b <unk>".split(), specials=["<pad>"], unk="<unk>")
    assert vocab.itos == ["<pad>", "<unk>", "b", "a", "c"]
    assert vocab.stoi["a"] == 3
    assert vocab.encode(["c", "zebra", "b"]) == [4, 1, 2]
    assert vocab.decode([4, 0, 2]) == ["c", "<pad>", "b"]
    assert vocab.decode(gs.tensor([4, 0, 2]), skip_specials=True) == ["c", "b"]
    assert "b" in vocab
    assert "zebra" not in vocab
    assert len(text.Vocab.build("b a c b a b".split(), min_count=2)) == 2
    assert text.Vocab.build("b a c b a b".split(), max_size=2, unk="?").itos == ["?", "b"]


def test_vocab_errors():
    vocab = text.Vocab(["a", "b"])
    with pytest.raises(KeyError, match="'z' is not among the 2 tokens"):
        vocab.encode("az")
    with pytest.raises(IndexError, match="no token 2: there are 2"):
        vocab.decode([0, 2])
    with pytest.raises(IndexError):
        vocab.decode([-1])
    with pytest.raises(ValueError, match=r"distinct.*'a'"):
        text.Vocab(["a", "b", "a"])
    with pytest.raises(TypeError, match="one str"):
        text.Vocab("ab")
    with pytest.raises(ValueError, match="no room"):
        text.Vocab.build("ab", max_size=1, specials=["<pad>"], unk="<unk>")


def test_vocab_is_saved_as_json(tmp_path):
    vocab = text.Vocab.build("ü ü ñ \n".split(" "), specials=["<pad>"], unk="<unk>")
    vocab.save(tmp_path / "vocab.json")
    again = text.Vocab.load(tmp_path / "vocab.json")
    assert (again.itos, again.specials, again.unk) == (vocab.itos, vocab.specials, "<unk>")
    assert again["nothing"] == again.stoi["<unk>"]
    (tmp_path / "other.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"other\.json is not a vocabulary"):
        text.Vocab.load(tmp_path / "other.json")
    for state in ('"ab", "specials": []', '5, "specials": []', '["a"], "specials": "xy"'):
        (tmp_path / "other.json").write_text(f'{{"tokens": {state}, "unk": null}}')
        with pytest.raises(ValueError, match=r"other\.json is not a vocabulary"):
            text.Vocab.load(tmp_path / "other.json")
    with pytest.raises(UnicodeEncodeError):
        text.Vocab(["\ud800"]).save(tmp_path / "vocab.json")
    assert text.Vocab.load(tmp_path / "vocab.json").itos == vocab.itos


def test_character_blocks_are_shifted_by_one():
    data = text.CharacterDataset("hello world", 4)
    assert len(data) == 7
    x, y = data[6]
    assert ("".join(data.vocab.decode(x)), "".join(data.vocab.decode(y))) == ("worl", "orld")
    assert data.vocab.itos == sorted(set("hello world"))
    strided = text.CharacterDataset("hello world", 4, stride=3, vocab=data.vocab)
    assert len(strided) == 3
    assert "".join(data.vocab.decode(strided[2][1])) == "orld"
    with pytest.raises(ValueError, match="4 tokens are too few for one block of 4"):
        text.CharacterDataset("four", 4)
    with pytest.raises(KeyError, match="'!'"):
        text.CharacterDataset("hello!", 2, vocab=data.vocab)
    with pytest.raises(ValueError, match="vector of int64"):
        text.BlockDataset(gs.zeros(9), 2)


def test_blocks_are_gathered_whole():
    data = text.CharacterDataset("to be or not to be", 5)
    loader = DataLoader(data, batch_size=4)
    assert loader._gathers()
    x, y = next(iter(loader))
    assert gs.equal(x, gs.stack([data[i][0] for i in range(4)]))
    assert gs.equal(y, gs.stack([data[i][1] for i in range(4)]))


def test_word_blocks():
    data = text.WordDataset("The cat, the dog. The end", 3, min_count=2)
    assert data.vocab.itos == ["<unk>", "the"]
    assert data.ids.tolist() == [1, 0, 0, 1, 0, 0, 1, 0]
    assert data[1][0].tolist() == [0, 0, 1]
    assert data[1][1].tolist() == [0, 1, 0]


def test_pad_sequence():
    parts = [gs.tensor([1, 2, 3]), gs.tensor([4]), []]
    assert text.pad_sequence(parts, batch_first=True, padding_value=9).tolist() == [
        [1, 2, 3], [4, 9, 9], [9, 9, 9],
    ]  # fmt: skip
    assert text.pad_sequence(parts).tolist() == [[1, 4, 0], [2, 0, 0], [3, 0, 0]]
    left = text.pad_sequence(parts[:2], True, padding_side="left")
    assert left.tolist() == [[1, 2, 3], [0, 0, 4]]
    assert left.dtype == gs.int64
    frames = text.pad_sequence([gs.ones(2, 3), gs.ones(4, 3)], batch_first=True)
    assert frames.shape == (2, 4, 3)
    assert frames[0, :, 0].tolist() == [1, 1, 0, 0]
    with pytest.raises(ValueError, match=r"\(L, 3\), got \(4, 2\)"):
        text.pad_sequence([gs.ones(2, 3), gs.ones(4, 2)])
    with pytest.raises(ValueError, match="at least one"):
        text.pad_sequence([])


def test_pad_sequence_passes_gradients():
    a, b = gs.ones(2, requires_grad=True), gs.ones(3, requires_grad=True)
    (text.pad_sequence([a, b], True) * gs.tensor([[1.0, 2, 3], [4, 5, 6]])).sum().backward()
    assert a.grad.tolist() == [1, 2]
    assert b.grad.tolist() == [4, 5, 6]


def test_collate_gives_lengths():
    loader = DataLoader([([5, 6], 1), ([7], 0)], batch_size=2, collate_fn=text.PadCollate(-1))
    (tokens, lengths), targets = next(iter(loader))
    assert tokens.tolist() == [[5, 6], [7, -1]]
    assert lengths.tolist() == [2, 1]
    assert targets.tolist() == [1, 0]
    _, targets = text.PadCollate(0, target_padding=-100)([([1], [2, 3]), ([4], [5])])
    assert targets.tolist() == [[2, 3], [5, -100]]


def test_buckets_hold_everything_once_and_pad_little():
    lengths = [(i * 37) % 50 for i in range(203)]
    sampler = text.BucketBatchSampler(lengths, 8)
    first, second = list(sampler), list(sampler)
    assert len(first) == len(sampler) == 26
    assert sorted(i for batch in first for i in batch) == list(range(203))
    assert first != second

    def padding(batches):
        return sum(max(lengths[i] for i in b) - lengths[j] for b in batches for j in b)

    plain = [list(range(i, min(i + 8, 203))) for i in range(0, 203, 8)]
    assert padding(first) < padding(plain) / 5
    gs.manual_seed(5)
    a = list(sampler)
    gs.manual_seed(5)
    assert list(sampler) == a
    assert all(len(b) == 8 for b in text.BucketBatchSampler(lengths, 8, drop_last=True))
    ordered = [lengths[i] for b in text.BucketBatchSampler(lengths, 8, shuffle=False) for i in b]
    assert ordered == sorted(lengths)


# -------------------------------------------------------------------------------- data sets, made


def make_names(root):
    folder = root / "names" / "languages"
    folder.mkdir(parents=True)
    for k, language in enumerate(text.NamesByLanguage.classes):
        names = ["Same", f"Név{k}", f"Né {k}", "Same"]
        (folder / f"{language}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


def test_names(tmp_path):
    make_names(tmp_path)
    data = text.NamesByLanguage(tmp_path)
    assert len(data) == 18 * 4
    assert data[5] == ("Név1", 1)
    assert text.NamesByLanguage(tmp_path, ascii=True, transform=str.upper)[1] == ("NEV0", 0)
    assert len(text.NamesByLanguage(tmp_path, unique=True)) == 18 * 3
    train, test = (text.NamesByLanguage(tmp_path, split) for split in ("train", "test"))
    assert len(train) + len(test) == 72
    assert not set(train.samples) & set(test.samples)
    assert test.samples == text.NamesByLanguage(tmp_path, "test").samples
    assert test.samples != text.NamesByLanguage(tmp_path, "test", seed=1).samples
    with pytest.raises(ValueError, match="'train', 'test' or None, got 'valid'"):
        text.NamesByLanguage(tmp_path, "valid")
    (tmp_path / "names" / "languages" / "Greek.txt").unlink()
    with pytest.raises(RuntimeError, match=r"no Greek\.txt in .*download=True"):
        text.NamesByLanguage(tmp_path)


def test_sentences_split_at_line_feeds_only(tmp_path):
    lines = "Good\x85 really\t1\nIt was \t bad.\t0\r\n\n"
    (tmp_path / "imdb_labelled.txt").write_bytes(lines.encode())
    data = text.SentimentSentences(tmp_path, sources=["imdb"])
    assert data.samples == [("Good\x85 really", 1), ("It was \t bad.", 0)]
    (tmp_path / "imdb_labelled.txt").write_text("Good\t1\nno label\n")
    with pytest.raises(RuntimeError, match=r"line 2: expected a sentence, a tab and 0 or 1"):
        text.SentimentSentences(tmp_path, sources=["imdb"])
    with pytest.raises(ValueError, match="sources should be some of"):
        text.SentimentSentences(tmp_path, sources="imdb")


def test_translation_pairs(tmp_path):
    lines = "1\t2\r\nGo.\tGeh.\tCC-BY\r\nI am here now.\tIch bin hier.\r\nGo.\tLos!\r\n"
    (tmp_path / "deu.txt.gz").write_bytes(gzip.compress(lines.encode()))
    data = text.TranslationPairs(tmp_path)
    assert data.pairs == [("Go.", "Geh."), ("I am here now.", "Ich bin hier."), ("Go.", "Los!")]
    assert text.TranslationPairs(tmp_path, swap=True, max_words=2)[1] == ("Los!", "Go.")
    train, test = (text.TranslationPairs(tmp_path, s, test_share=0.5) for s in ("train", "test"))
    assert {p[0] for p in train.pairs}.isdisjoint(p[0] for p in test.pairs)
    assert len(train) + len(test) == 3
    (tmp_path / "deu.txt.gz").write_bytes(gzip.compress(lines.encode())[:-9])
    with pytest.raises(RuntimeError, match=r"deu\.txt\.gz is damaged"):
        text.TranslationPairs(tmp_path)
    (tmp_path / "deu.txt.gz").write_bytes(b"Go.\tGeh.\nnothing\n")
    with pytest.raises(RuntimeError, match="line 2: no tab"):
        text.TranslationPairs(tmp_path)


class Server(http.server.BaseHTTPRequestHandler):
    content = b"All the world's a stage" * 10

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *args):
        pass


def test_downloads_are_verified(tmp_path, monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{httpd.server_port}/input.txt"
        wrong = {"input.txt": (url, "0" * 32)}
        monkeypatch.setattr(text.TinyShakespeare, "resources", wrong)
        with pytest.raises(RuntimeError, match="MD5"):
            text.TinyShakespeare(tmp_path, download=True)
        right = {"input.txt": (url, md5(Server.content).hexdigest())}
        monkeypatch.setattr(text.TinyShakespeare, "resources", right)
        data = text.TinyShakespeare(tmp_path, download=True)
        httpd.shutdown()
    assert data.text == Server.content.decode()
    assert data.train + data.validation == data.text
    assert len(data.train) == 207
    assert (tmp_path / "tinyshakespeare" / "input.txt").is_file()
    assert text.TinyShakespeare(tmp_path, download=True).text == data.text  # the server is gone


def test_missing_files_and_no_network(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match=r"no input\.txt in .*download=True"):
        text.TinyShakespeare(tmp_path)
    nowhere = {"deu.txt": ("http://127.0.0.1:9/deu.txt", "0" * 32)}
    monkeypatch.setattr(text.TranslationPairs, "resources", nowhere)
    with pytest.raises(RuntimeError, match=r"(?s)is there a network\?.*127\.0\.0\.1:9.*yourself"):
        text.TranslationPairs(tmp_path, download=True)


# -------------------------------------------------------------------------------- data sets, real


@real
def test_real_files():
    plays = text.TinyShakespeare(DATA)
    assert len(plays.text) == 1_115_394
    assert len(set(plays.text)) == 65
    names = text.NamesByLanguage(DATA)
    assert len(names) == 20_050
    ascii_names = text.NamesByLanguage(DATA, ascii=True)
    assert all(name.isascii() and name for name, _ in ascii_names.samples)
    sentences = text.SentimentSentences(DATA)
    assert len(sentences) == 3000
    assert sum(label for _, label in sentences.samples) == 1500
    pairs = text.TranslationPairs(DATA)
    assert len(pairs) == 50_001
    assert pairs[1] == ("Hi.", "Hallo!")
    assert not any("\r" in german for _, german in pairs.pairs)


@real
def test_checksums_are_those_of_the_real_files():
    for language, digest in text.NamesByLanguage.md5.items():
        data = (DATA / "names" / "languages" / f"{language}.txt").read_bytes()
        assert md5(data).hexdigest() == digest
    for source, name in text.SentimentSentences.names.items():
        data = (DATA / "sentiment-sentences" / name).read_bytes()
        assert md5(data).hexdigest() == text.SentimentSentences.md5[source]
    pairs = gzip.decompress((DATA / "deu-eng" / "deu.txt.gz").read_bytes())
    assert md5(pairs).hexdigest() == text.TranslationPairs.resources["deu.txt"][1]
    plays = (DATA / "tinyshakespeare" / "input.txt").read_bytes()
    assert md5(plays).hexdigest() == text.TinyShakespeare.resources["input.txt"][1]


def test_marks_belong_to_their_letters():
    assert text.words("Cafe\u0301, e\u0301te\u0301!") == ["cafe\u0301", ",", "e\u0301te\u0301", "!"]
    assert text.words("हिन्दी है") == ["हिन्दी", "है"]
    assert text.words("a\u0301b plain") == ["a\u0301b", "plain"]
    assert text.words("\u0301") == ["\u0301"]


def test_an_empty_vocabulary_is_not_replaced():
    empty = text.Vocab([])
    with pytest.raises(KeyError, match="'a' is not among the 0 tokens"):
        text.CharacterDataset("abcd", 2, vocab=empty)
    with pytest.raises(KeyError):
        text.WordDataset("a b c d", 2, vocab=empty)


def test_whole_numbers_beside_fractions():
    padded = text.pad_sequence([[1, 2], [0.5], []], True)
    assert padded.dtype == gs.float32
    assert padded.tolist() == [[1, 2], [0.5, 0], [0, 0]]


def test_fractions_are_no_tokens():
    with pytest.raises(ValueError, match="expected a vector of int64, got gradstone.float32"):
        text.BlockDataset([1.0, 2.5, 3.0], 1)
    assert text.BlockDataset(np.array([1, 2, 3], np.int32), 1)[0][0].tolist() == [1]
    vocab = text.Vocab(["a", "b"])
    for ids in ([0.5], gs.tensor([0.0])):
        with pytest.raises(TypeError):
            vocab.decode(ids)
    assert vocab.decode(gs.tensor([1, 0])) == vocab.decode(np.array([1, 0])) == ["b", "a"]
