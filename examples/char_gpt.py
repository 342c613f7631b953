"""Train a small GPT on Shakespeare's plays, one character at a time, and let it write.

    python examples/char_gpt.py --data DIR       input.txt in DIR or DIR/tinyshakespeare
    python examples/char_gpt.py --download       fetch it into --data first

The network is a decoder of the Transformer with normalisation before each part, as in GPT-2, and
rotary positions: 4 layers of 128 features and 4 heads over blocks of 128 characters, 0.8 million
parameters, trained with AdamW;
the learning rate rises for 100 steps and falls along a cosine. It ends with text that the network
wrote, a line `validation loss: N.NNNN` (mean cross entropy of the last tenth of the plays, nats a
character), a checkpoint (char_gpt.gs) and a picture (char_gpt.png) in --output.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import gradstone as gs
from gradstone import nn, optim
from gradstone.nn import functional as F
from gradstone.text import CharacterDataset, TinyShakespeare
from gradstone.training import Progress
from gradstone.utils.data import DataLoader, RandomSampler


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="default: %(default)s")
    parser.add_argument("--download", action="store_true", help="fetch the plays into --data")
    parser.add_argument(
        "--epochs", type=int, default=5, help="the steps are shown in so many parts, each with a "
        "validation (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=2500, help="in all (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--block", type=int, default=128, help="characters (default: %(default)s)")
    parser.add_argument("--features", type=int, default=128, help="default: %(default)s")
    parser.add_argument("--layers", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--heads", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=4e-3, help="the largest (default: %(default)s)")
    parser.add_argument(
        "--limit", type=int, default=None, help="characters to read (default: all 1,115,394)"
    )
    parser.add_argument("--length", type=int, default=500, help="characters to write")
    parser.add_argument("--temperature", type=float, default=0.8, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=None, help="default: all CPUs")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "out",
        help="folder for the checkpoint and the picture (default: out, beside this file)",
    )
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error(f"--epochs: expected 1 or more, got {args.epochs}")
    return args


def turn(x, cos, sin):
    """Rotary positions (Su et al., 2021): the two halves of the features of x (..., T, D), taken as
    pairs, are turned by angles that grow with the position, so that query times key knows how far
    apart they are."""
    a, b = x.chunk(2, -1)
    return gs.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Block(nn.Module):
    """x + attention(x), then x + mlp(x), each of the normalised x (B, T, E)."""

    def __init__(self, features, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(features)
        self.qkv = nn.Linear(features, 3 * features)
        self.projection = nn.Linear(features, features)
        self.norm2 = nn.LayerNorm(features)
        self.mlp = nn.Sequential(
            nn.Linear(features, 4 * features), nn.GELU(), nn.Linear(4 * features, features)
        )

    def attention(self, x, cos, sin):
        b, t, e = x.shape
        qkv = self.qkv(x).reshape(b, t, 3, self.heads, e // self.heads).permute(2, 0, 3, 1, 4)
        query, key = turn(qkv[:2], cos[:t], sin[:t])
        heads = F.scaled_dot_product_attention(query, key, qkv[2], is_causal=True)
        return self.projection(heads.transpose(1, 2).reshape(b, t, e))

    def forward(self, x, cos, sin):
        x = x + self.attention(self.norm1(x), cos, sin)
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Characters (B, T) int64 -> logits of the next ones (B, T, vocabulary), T <= block."""

    def __init__(self, vocabulary, block, features, layers, heads):
        super().__init__()
        self.block = block
        self.characters = nn.Embedding(vocabulary, features)
        self.layers = nn.ModuleList(Block(features, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(features)
        self.head = nn.Linear(features, vocabulary, bias=False)
        self.head.weight = self.characters.weight  # one table for input and output
        half = features // heads // 2
        angles = gs.outer(gs.arange(block).float(), 10000.0 ** (-gs.arange(half) / half))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                # What is added to the sum of all layers starts smaller, as in GPT-2.
                last = name.endswith(("projection.weight", "mlp.2.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * layers) if last else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)

    def forward(self, x):
        x = self.characters(x)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        return self.head(self.norm(x))


def loss_of(model, x, y):
    logits = model(x)
    return F.cross_entropy(logits.reshape(-1, logits.size(-1)), y.reshape(-1))


def evaluate(model, dataset, batch_size=32):
    """Mean loss over all blocks."""
    model.eval()
    total = 0.0
    with gs.no_grad():
        for x, y in DataLoader(dataset, batch_size=batch_size):
            total += loss_of(model, x, y).item() * len(x)
    model.train()
    return total / len(dataset)


def generate(model, vocab, start, length, temperature):
    """`start` and `length` more characters, each drawn from the network's probabilities; at a
    temperature of 0 the most likely."""
    ids = vocab.encode(start)
    model.eval()
    with gs.no_grad():
        for _ in range(length):
            logits = model(gs.tensor([ids[-model.block :]]))[0, -1]
            if temperature == 0:
                ids.append(logits.argmax().item())
            else:
                ids.append(gs.multinomial(F.softmax(logits / temperature, -1), 1).item())
    return "".join(vocab.decode(ids))


def make_optimizer(model, lr):
    """AdamW; weight decay for matrices only, not for biases and normalisations."""
    weights = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": weights, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return optim.AdamW(groups, lr=lr, betas=(0.9, 0.99))


def train(model, train_set, validation_set, args):
    """Gives (step, loss) of the training batches, and of the validations."""
    optimizer = make_optimizer(model, args.lr)
    warmup = min(100, args.steps // 10 + 1)

    def rate(step):
        done = max(0.0, (step - warmup) / max(1, args.steps - warmup))
        return min(1.0, (step + 1) / warmup) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))

    scheduler = optim.lr_scheduler.LambdaLR(optimizer, rate)
    drawn = RandomSampler(train_set, replacement=True, num_samples=args.steps * args.batch_size)
    batches = iter(DataLoader(train_set, batch_size=args.batch_size, sampler=drawn))
    losses, validations, step = [], [], 0
    for part in range(1, args.epochs + 1):
        count = args.steps * part // args.epochs - step
        with Progress(count, f"part {part}/{args.epochs}") as bar:
            for _ in range(count):
                x, y = next(batches)
                optimizer.zero_grad()
                loss = loss_of(model, x, y)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                step += 1
                losses.append((step, loss.item()))
                recent = losses[-50:]
                bar.update(loss=sum(v for _, v in recent) / len(recent))
        validations.append((step, evaluate(model, validation_set)))
        print(f"step {step}: validation loss {validations[-1][1]:.4f}", flush=True)
    return losses, validations


def draw(path, losses, validations, written):
    """The losses beside what the network wrote."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    width = max(1, len(losses) // 100)
    groups = [losses[i : i + width] for i in range(0, len(losses), width)]
    left.plot(
        [g[-1][0] for g in groups],
        [sum(v for _, v in g) / len(g) for g in groups],
        label="training",
    )
    left.plot(*zip(*validations), marker="o", label="validation")
    left.set(xlabel="step", ylabel="cross entropy (nats a character)", ylim=(1.2, 3.4))
    left.grid(alpha=0.3)
    left.legend()
    lines = [line[:62] for line in written.split("\n")][:24]
    right.text(0, 1, "\n".join(lines), va="top", family="monospace", fontsize=8, parse_math=False)
    right.axis("off")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    try:
        plays = TinyShakespeare(args.data, download=args.download)
    except (OSError, RuntimeError) as error:
        sys.exit(f"char_gpt: {error} (--data names the folder, --download fetches the files)")
    text = plays.text[: args.limit]
    cut = len(text) * 9 // 10
    vocab = CharacterDataset(text, args.block).vocab
    train_set = CharacterDataset(text[:cut], args.block, vocab=vocab)
    validation_set = CharacterDataset(text[cut:], args.block, stride=args.block, vocab=vocab)
    model = GPT(len(vocab), args.block, args.features, args.layers, args.heads)
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{cut:,} characters to train on, {len(text) - cut:,} to validate with, {len(vocab)} "
        f"distinct; {count:,} parameters; {gs.get_num_threads()} threads"
    )

    start = time.perf_counter()
    losses, validations = train(model, train_set, validation_set, args)
    seconds = time.perf_counter() - start
    print(f"trained {args.steps} steps of {args.batch_size} blocks in {seconds:.0f} s")

    args.output.mkdir(parents=True, exist_ok=True)
    checkpoint = args.output / "char_gpt.gs"
    gs.save({"model": model.state_dict(), "vocab": vocab.itos, "losses": validations}, checkpoint)
    print(f"saved {checkpoint}")
    written = generate(model, vocab, "\n", args.length, args.temperature)
    print(f"{'-' * 72}{written}\n{'-' * 72}")
    picture = args.output / "char_gpt.png"
    try:
        draw(picture, losses, validations, written.lstrip("\n"))
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    print(f"validation loss: {validations[-1][1]:.4f}")


if __name__ == "__main__":
    main()
