"""Published weights into models: files as they are found, prefixes, old names, clear refusals."""

from __future__ import annotations

import os
import pickle
import zipfile

import numpy as np
import pytest

import gradstone as gs
from gradstone import models
from gradstone.models import load_pretrained
from gradstone.models.pretrained import read_weights
from gradstone.serialization import reading
from models_pins import cases

GPT2 = models.GPT2Config(11, 5, 6, 2, 3)
BERT = models.BertConfig(11, 6, 2, 3, 7)


def published(model, seed=2000):
    """NumPy values for every name of the model."""
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    return {
        k: v.astype(np.int64 if v.dtype == np.int64 else np.float32)
        for k, v in cases.weights(shapes, seed).items()
    }


def write(path, tensors):
    from safetensors.numpy import save_file

    save_file(tensors, path, metadata={"format": "pt"})
    return path


def holds(model, values):
    return all(np.array_equal(v.numpy(), values[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_resnet_from_safetensors(tmp_path, prefix):
    model = models.resnet18(7, width=4)
    values = published(model)
    path = write(tmp_path / "r.safetensors", {prefix + k: v for k, v in values.items()})
    result = load_pretrained(model, path)
    assert result == ([], [])
    assert holds(model, values)


def test_norms_without_counters_load(tmp_path):
    """Files from before BatchNorm counted its batches."""
    model = models.resnet18(7, width=4)
    values = published(model)
    old = {k: v for k, v in values.items() if not k.endswith("num_batches_tracked")}
    load_pretrained(model, write(tmp_path / "r.safetensors", old))
    assert holds(model, values)


def test_files_of_gradstone(tmp_path):
    model, other = models.LeNet(), models.LeNet()
    for state in (model.state_dict(), {"model": model.state_dict(), "epoch": 3}):
        for p in other.parameters():
            p.detach().zero_()
        gs.save(state, tmp_path / "m.gs")
        load_pretrained(other, tmp_path / "m.gs")
        assert gs.equal(other.fc3.weight, model.fc3.weight)


def test_dtype_of_the_model_stays(tmp_path):
    import ml_dtypes

    model = models.LeNet()
    values = published(model)
    half = {k: v.astype(ml_dtypes.bfloat16) for k, v in values.items()}
    load_pretrained(model, write(tmp_path / "m.safetensors", half))
    assert model.fc1.weight.dtype == gs.float32
    np.testing.assert_array_equal(
        model.fc1.weight.detach().numpy(), half["fc1.weight"].astype(np.float32)
    )


def gpt2_file(values, prefix="", head=None):
    """As Hugging Face writes it: causal masks among the weights, with a prefix and the tied head
    when the whole language model was saved."""
    out = {prefix + k: v for k, v in values.items()}
    for i in range(GPT2.n_layer):
        out[f"{prefix}h.{i}.attn.bias"] = np.tril(np.ones((1, 1, 5, 5), np.float32))
        out[f"{prefix}h.{i}.attn.masked_bias"] = np.array(-1e4, np.float32)
    return out if head is None else {**out, "lm_head.weight": head}


def test_gpt2_files(tmp_path):
    values = published(models.GPT2(GPT2))
    path = tmp_path / "gpt2.safetensors"
    for prefix, head in (("", None), ("transformer.", values["wte.weight"].copy())):
        model = models.GPT2(GPT2)
        assert load_pretrained(model, write(path, gpt2_file(values, prefix, head))) == ([], [])
        assert holds(model, values)
    # Only the head was kept of the two.
    model, short = models.GPT2(GPT2), gpt2_file(values, "transformer.", values["wte.weight"].copy())
    del short["transformer.wte.weight"]
    load_pretrained(model, write(path, short))
    assert holds(model, values)
    other = gpt2_file(values, "transformer.", values["wte.weight"] + 1)
    with pytest.raises(RuntimeError, match=r"one in the model: lm_head.weight, wte.weight"):
        load_pretrained(models.GPT2(GPT2), write(path, other))


def test_bert_files(tmp_path):
    """The file of a pre-training model, with old names of norms, into each form of BERT."""
    masked = published(models.BertForMaskedLM(BERT))
    pooler = {"bert.pooler.dense.weight": np.ones((6, 6), np.float32),
              "bert.pooler.dense.bias": np.ones(6, np.float32)}  # fmt: skip
    file = {}
    for k, v in {**masked, **pooler}.items():
        k = k.replace("LayerNorm.weight", "LayerNorm.gamma")
        file[k.replace("LayerNorm.bias", "LayerNorm.beta")] = v
    file["bert.embeddings.position_ids"] = np.arange(5)
    file["cls.seq_relationship.weight"] = np.zeros((2, 6), np.float32)
    file["cls.predictions.decoder.weight"] = masked["bert.embeddings.word_embeddings.weight"].copy()
    path = write(tmp_path / "bert.safetensors", file)

    model = models.BertForMaskedLM(BERT)
    assert load_pretrained(model, path) == ([], [])
    assert holds(model, masked)

    base = models.Bert(BERT)
    assert load_pretrained(base, path) == ([], [])
    inner = {k.removeprefix("bert."): v for k, v in {**masked, **pooler}.items()}
    assert holds(base, inner)

    classes = models.BertForSequenceClassification(BERT, 3)
    with pytest.raises(RuntimeError, match="missing in the file: classifier.weight, class"):
        load_pretrained(classes, path)
    missing, unexpected = load_pretrained(classes, path, strict=False)
    assert (missing, unexpected) == (["classifier.weight", "classifier.bias"], [])
    assert holds(classes.bert, inner)

    # A file of the base model, whose names have no prefix.
    again = models.BertForMaskedLM(BERT)
    inner = {k: v for k, v in inner.items() if not k.startswith("cls.")}
    path = write(tmp_path / "base.safetensors", inner)
    missing, unexpected = load_pretrained(again, path, strict=False)
    assert all(k.startswith("cls.predictions.") for k in missing)
    assert len(missing) == 5
    assert not unexpected
    assert gs.equal(
        again.bert.encoder.layer[1].output.dense.weight,
        base.encoder.layer[1].output.dense.weight,
    )


def test_everything_wrong_is_listed_and_nothing_written(tmp_path):
    model = models.LeNet()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    values = published(model)
    del values["conv2.bias"]
    values["fc9.weight"] = np.zeros(3, np.float32)
    values["fc1.weight"] = values["fc1.weight"][:, :-1].copy()
    values["fc3.bias"] = np.zeros(11, np.float32)
    path = write(tmp_path / "wrong.safetensors", values)
    with pytest.raises(RuntimeError) as caught:
        load_pretrained(model, path)
    text = str(caught.value)
    assert "wrong.safetensors does not fit LeNet" in text
    assert "missing in the file: conv2.bias" in text
    assert "unexpected in the file: fc9.weight" in text
    assert "fc1.weight (120, 399) in the file, (120, 400) in the model" in text
    assert "fc3.bias (11,) in the file, (10,) in the model" in text
    with pytest.raises(RuntimeError, match="shapes differ") as caught:
        load_pretrained(model, path, strict=False)
    assert "missing" not in str(caught.value)
    assert all(gs.equal(v, before[k]) for k, v in model.state_dict().items())


def test_files_that_are_not_read(tmp_path):
    model = models.LeNet()
    with pytest.raises(FileNotFoundError):
        load_pretrained(model, tmp_path / "none.safetensors")
    pt = tmp_path / "m.pt"
    with zipfile.ZipFile(pt, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": 1}))
    with pytest.raises(RuntimeError, match="entries that are no tensors"):
        load_pretrained(model, pt)
    (tmp_path / "old.pth").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(RuntimeError, match="pickle"):
        load_pretrained(model, tmp_path / "old.pth")
    good = write(tmp_path / "m.safetensors", published(model)).read_bytes()
    (tmp_path / "m.safetensors").write_bytes(good[:-10])
    with pytest.raises(RuntimeError, match="truncated or damaged"):
        load_pretrained(model, tmp_path / "m.safetensors")
    gs.save({"epoch": 3}, tmp_path / "n.gs")
    with pytest.raises(RuntimeError, match=r"no tensors: \['epoch'\]"):
        load_pretrained(model, tmp_path / "n.gs")
    gs.save([1, 2], tmp_path / "n.gs")
    with pytest.raises(RuntimeError, match="no state_dict: list"):
        load_pretrained(model, tmp_path / "n.gs")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(RuntimeError, match="empty"):
        load_pretrained(model, tmp_path / "empty")
    from safetensors.numpy import save_file

    save_file({"fc1.weight": np.ones((2, 3), np.uint16)}, tmp_path / "u.safetensors")
    with pytest.raises(RuntimeError, match=r"u\.safetensors: fc1\.weight is of dtype U16"):
        load_pretrained(model, tmp_path / "u.safetensors")


def test_a_file_that_is_cut_off_while_it_is_read(tmp_path, monkeypatch):
    path = write(tmp_path / "m.safetensors", {"a": np.ones(2000, np.float32)})
    assert read_weights(path)["a"].sum().item() == 2000
    made = reading.from_bytes

    def cut(dtype, shape, values):
        os.truncate(path, 5000)
        return made(dtype, shape, values)

    write(path, {name: np.ones(2000, np.float32) for name in "ab"})
    monkeypatch.setattr(reading, "from_bytes", cut)
    with pytest.raises(RuntimeError, match=r"m\.safetensors is truncated or damaged"):
        read_weights(path)


def test_quantised_weights_are_not_taken_for_weights(tmp_path):
    model = models.LeNet()
    weights = published(model)
    weights["fc3.bias"] = np.arange(10, dtype=np.int8)
    path = write(tmp_path / "q.safetensors", weights)
    before = model.fc3.bias.tolist()
    for strict in (True, False):
        with pytest.raises(RuntimeError, match=r"no floats in the file: fc3\.bias gradstone\.int8"):
            load_pretrained(model, path, strict)
    assert model.fc3.bias.tolist() == before
