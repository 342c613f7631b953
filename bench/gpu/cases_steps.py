"""Whole training steps: the MNIST CNN, an MLP, a character LSTM, GPT-2 124M. What a loop takes that
does not look at its losses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from libraries import Library, Missing
from rows import Class, Row

Model = Callable[[Library, bool], Any]


def mnist_cnn(lib: Library, tiny: bool) -> Any:
    nn, (a, b, c) = lib.T.nn, (2, 3, 8) if tiny else (32, 64, 128)
    return nn.Sequential(
        nn.Conv2d(1, a, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(a, b, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(b * (4 if tiny else 25), c), nn.ReLU(), nn.Linear(c, 10),
    )  # fmt: skip


def mlp(lib: Library, tiny: bool) -> Any:
    nn, wide = lib.T.nn, 8 if tiny else 128
    return nn.Sequential(nn.Flatten(), nn.Linear(196 if tiny else 784, wide), nn.ReLU(),
                         nn.Linear(wide, 10))  # fmt: skip


def char_lstm(lib: Library, tiny: bool) -> Any:
    T, (width, hidden) = lib.T, (8, 8) if tiny else (64, 128)

    class CharLstm(T.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = T.nn.Embedding(65, width)
            self.lstm = T.nn.LSTM(width, hidden, batch_first=True)
            self.head = T.nn.Linear(hidden, 65)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(self.table(x))[0]).flatten(0, 1)

    return CharLstm()


def gpt2(lib: Library, tiny: bool) -> Any:
    """GPT-2 124M: 12 layers of 768, 12 heads, tied embeddings, no dropout."""
    T, F = lib.T, lib.F
    layers, width, heads, length, words = (1, 16, 2, 8, 65) if tiny else (12, 768, 12, 1024, 50257)

    class Block(T.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.between = T.nn.LayerNorm(width), T.nn.LayerNorm(width)
            self.qkv, self.out = T.nn.Linear(width, 3 * width), T.nn.Linear(width, width)
            self.up, self.down = T.nn.Linear(width, 4 * width), T.nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            b, t, _ = x.shape
            parts = self.qkv(self.before(x)).view(b, t, 3, heads, width // heads)
            q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(b, t, width))
            return x + self.down(F.gelu(self.up(self.between(x)), approximate="tanh"))

    class Gpt2(T.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = T.nn.Embedding(words, width), T.nn.Embedding(length, width)
            self.blocks = T.nn.Sequential(*(Block() for _ in range(layers)))
            self.after = T.nn.LayerNorm(width)

        def forward(self, x: Any) -> Any:
            y = self.words(x) + self.places(T.arange(x.shape[1], device=lib.device))
            return F.linear(self.after(self.blocks(y)), self.words.weight).flatten(0, 1)

    return Gpt2()


def images(batch: int):
    def make(lib: Library) -> tuple[Any, Any]:
        side = 14 if lib.tiny else 28
        return lib.randn(batch, 1, side, side), lib.randint(10, batch)

    return make


def texts(batch: int, length: int, words: int):
    def make(lib: Library) -> tuple[Any, Any]:
        return lib.randint(words, batch, length), lib.randint(words, batch * length)

    return make


def training(model_of: Model, batch_of, way: str, optimizer: str = "AdamW", dtype: str = "float32"):
    """The step in a way: eager, graph, compile; `dtype` of parameters, or autocast."""

    def make(lib: Library) -> Any:
        T = lib.T
        T.manual_seed(0)
        lib.float32_products("exact")
        model = model_of(lib, lib.tiny).to(lib.device)
        autocast = lib.need(T, "autocast") if dtype == "autocast" else None
        if autocast is None:
            model = model.to(lib.dtype(dtype))
        fused = {"fused": True} if lib.is_torch else {}
        if lib.is_torch and way == "graph" and optimizer != "SGD":
            fused["capturable"] = True
        step_of = getattr(T.optim, optimizer)(model.parameters(), lr=1e-4, **fused)
        x, y = batch_of(lib)
        if way == "compile" and not lib.compiles:
            raise Missing("torch.compile takes a minute: --compile asks for it")
        run = T.compile(model) if way == "compile" else model

        def loss_of() -> Any:
            return lib.F.cross_entropy(run(x), y)

        def step() -> Any:
            step_of.zero_grad(set_to_none=True)
            if autocast is None:
                loss = loss_of()
            else:
                with autocast(lib.device, dtype=T.bfloat16):
                    loss = loss_of()
            loss.backward()
            step_of.step()
            return loss

        if not math.isfinite(float(step().detach().item())):
            raise ValueError("the loss is not finite")
        return lib.graphed(step) if way == "graph" else step

    return make


def in_ways(model: Model, batch, *ways: str, **more: Any) -> dict[str, Any]:
    return {way: training(model, batch, way, **more) for way in ways}


def small_row(name: str, model: Model, batch, goals: tuple[float, float | None], **more) -> Row:
    ways = in_ways(model, batch, "eager", "graph", **more)
    pairs = [("graph", "eager", goals[0]), ("eager", "eager", None), ("graph", "graph", goals[1])]
    return Row(name, ways, ways, pairs, device=False, quick=True)


def classes(tiny: bool) -> list[Class]:
    batch = 2 if tiny else 64
    length, words = (8, 65) if tiny else (1024, 50257)
    few = 1 if tiny else 8
    # 6 operations a parameter and token, and attention's.
    tokens = float(few * length)
    flops = tokens * (6 * 124e6 + 12 * 12 * 768 * length / 2)
    text = texts(few, length, words)
    of_gpt = {dtype: in_ways(gpt2, text, "eager", "compile", dtype=dtype)
              for dtype in ("bfloat16", "autocast")}  # fmt: skip
    gpt = [
        Row(f"GPT-2 124M, {few}x{length}, {'bf16 parameters' if d == 'bfloat16' else d}",
            {"eager": of_gpt[d]["eager"]}, of_gpt[d],
            [("eager", "eager", 1.05), ("eager", "compile", 0.90)],
            0.0 if tiny else flops, device=False, peak="bf16", quick=d == "bfloat16")
        for d in ("bfloat16", "autocast")
    ]  # fmt: skip
    chars = texts(2, 4, 65) if tiny else texts(32, 64, 65)
    return [
        Class("mnist", "MNIST CNN training step, batch 64", "0.5 to 1 ms eager",
              [small_row(f"CNN, batch {batch}", mnist_cnn, images(batch), (8.0, 1.5))]),
        Class("small", "character LSTM and small MLP, training step", "launches",
              [small_row("character LSTM", char_lstm, chars, (8.0, None)),
               small_row(f"MLP, batch {batch}, SGD", mlp, images(batch), (8.0, None),
                         optimizer="SGD")]),
        Class("gpt2", "GPT-2 124M, training step, bf16", "eager, SDPA", gpt),
    ]  # fmt: skip
