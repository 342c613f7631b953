"""Learn to draw: a variational autoencoder on small grey pictures.

    python examples/vae.py               10,000 digits that come with the repository
    python examples/vae.py --data DIR    MNIST or Fashion-MNIST in DIR (IDX files, gzipped or not)

The encoder turns a picture into a normal distribution over --latent numbers, the decoder turns
such numbers into the brightness of every pixel. Both are trained to raise the evidence lower bound,

    ELBO = E[log p(picture | z)] - KL(q(z | picture) || N(0, 1)),

with a Bernoulli likelihood per pixel (Kingma and Welling, "Auto-Encoding Variational Bayes", 2014).
New pictures are what the decoder makes of numbers drawn from N(0, 1). It ends with a line
`test ELBO: NNN.NN nats (reconstruction NNN.NN, KL NN.NN)`, averaged over the test pictures, and a
picture (vae.png) in --output: the curve, reconstructions, samples, and walks between two pictures.
"""

import argparse
import sys
import time
from pathlib import Path

import gradstone as gs
from gradstone import nn, optim
from gradstone.nn import functional as F
from gradstone.training import Progress
from gradstone.utils.data import DataLoader, TensorDataset
from gradstone.vision.datasets import read_idx

DIGITS = Path(__file__).parent / "data" / "mnist10k"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DIGITS, help="default: the digits beside this")
    parser.add_argument("--epochs", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=2e-3, help="Adam's (default: %(default)s)")
    parser.add_argument("--latent", type=int, default=16, help="size of z (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=None, help="use the first LIMIT pictures only")
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


def load(folder, part, limit):
    """Pictures of `part` (train or t10k): float32 (N, 1, 28, 28) from 0 to 1."""
    files = sorted(folder.glob(f"{part}*-images-idx3-ubyte*"))
    if not files:
        sys.exit(f"vae: there is no {part}-images-idx3-ubyte(.gz) in {folder}; --data names it")
    try:
        return gs.from_numpy(read_idx(files[0])[:limit]).float().unsqueeze(1) / 255
    except RuntimeError as error:
        sys.exit(f"vae: {error}")


class VAE(nn.Module):
    """(B, 1, 28, 28) pictures -> logits of the pixels, mean and log variance of z (B, latent)."""

    def __init__(self, latent):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=2, padding=1),  # (B, 32, 14, 14)
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),  # (B, 64, 7, 7)
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, 2 * latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, 64 * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),  # (B, 32, 14, 14)
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),  # (B, 1, 28, 28)
        )

    def encode(self, x):
        return self.encoder(x).chunk(2, 1)

    def forward(self, x):
        mean, log_variance = self.encode(x)
        # z = mean + deviation * noise: the noise is an input, so gradients reach both outputs.
        z = mean + (0.5 * log_variance).exp() * gs.randn_like(mean)
        return self.decoder(z), mean, log_variance


def elbo_terms(model, x):
    """Reconstruction log likelihood and KL divergence, each summed over the batch, in nats."""
    logits, mean, log_variance = model(x)
    likelihood = -F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
    return likelihood, divergence


def evaluate(model, dataset, batch_size=500):
    """Mean reconstruction and mean KL per picture, with one sample of z each."""
    likelihood = divergence = 0.0
    with gs.no_grad():
        for (x,) in DataLoader(dataset, batch_size=batch_size):
            parts = elbo_terms(model, x)
            likelihood += parts[0].item()
            divergence += parts[1].item()
    return likelihood / len(dataset), divergence / len(dataset)


def train(model, train_set, test_set, args):
    """Returns the ELBO per picture, on training and test pictures, after every epoch."""
    loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=True, drop_last=True)
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * len(loader))
    history = {"train": [], "test": []}
    with Progress(args.epochs * len(loader), "training") as bar:
        for _ in range(args.epochs):
            total = seen = 0
            for (x,) in loader:
                optimizer.zero_grad()
                likelihood, divergence = elbo_terms(model, x)
                loss = (divergence - likelihood) / len(x)
                loss.backward()
                optimizer.step()
                scheduler.step()
                total -= loss.item() * len(x)
                seen += len(x)
                bar.update(1, elbo=total / seen)
            history["train"].append(total / seen)
            likelihood, divergence = evaluate(model, test_set)
            history["test"].append(likelihood - divergence)
    return history


def draw(path, model, history, test):
    """The curve, test pictures over their reconstructions, samples, and walks through z."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    def mosaic(pictures, columns):
        """(N, 1, 28, 28) -> one picture of N / columns rows."""
        rows = pictures.reshape(-1, columns, 28, 28).transpose(1, 2)
        return rows.reshape(-1, columns * 28).numpy()

    with gs.no_grad():
        mean = model.encode(test[:40])[0]
        again = model.decoder(mean).sigmoid()
        pairs = gs.stack([test[:40].reshape(4, 10, 28, 28), again.reshape(4, 10, 28, 28)], 1)
        samples = model.decoder(gs.randn(80, mean.shape[1])).sigmoid()
        steps = gs.linspace(0, 1, 10)[:, None]
        walks = [mean[2 * i] + steps * (mean[2 * i + 1] - mean[2 * i]) for i in range(8)]
        walked = model.decoder(gs.cat(walks)).sigmoid()
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
    for name, values in history.items():
        axes[0].plot(range(1, len(values) + 1), values, marker=".", label=name)
    axes[0].set(title="ELBO (nats per picture)", xlabel="epoch")
    axes[0].legend()
    grids = (
        ("test pictures over reconstructions", pairs.reshape(-1, 1, 28, 28)),
        ("samples", samples),
        ("walks between two test pictures", walked),
    )
    for axis, (title, pictures) in zip(axes[1:], grids, strict=True):
        axis.imshow(mosaic(pictures, 10), cmap="gray_r", vmin=0, vmax=1)
        axis.set_title(title)
        axis.axis("off")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    train_set = TensorDataset(load(args.data, "train", args.limit))
    test_set = TensorDataset(load(args.data, "t10k", args.limit))
    model = VAE(args.latent)
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{len(train_set):,} training and {len(test_set):,} test pictures; {count:,} parameters; "
        f"{gs.get_num_threads()} threads"
    )

    start = time.perf_counter()
    history = train(model, train_set, test_set, args)
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.1f} s")

    likelihood, divergence = evaluate(model, test_set)
    args.output.mkdir(parents=True, exist_ok=True)
    gs.save({"model": model.state_dict(), "history": history}, args.output / "vae.gs")
    picture = args.output / "vae.png"
    try:
        draw(picture, model, history, test_set.tensors[0])
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    print(
        f"test ELBO: {likelihood - divergence:.2f} nats "
        f"(reconstruction {likelihood:.2f}, KL {divergence:.2f})"
    )


if __name__ == "__main__":
    main()
