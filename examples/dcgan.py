"""Two networks against each other: one paints pictures, the other looks for the fakes.

    python examples/dcgan.py               10,000 digits that come with the repository
    python examples/dcgan.py --data DIR    MNIST or Fashion-MNIST in DIR (IDX files, gzipped or not)

Generator and discriminator are convolutional, trained by the recipe of Radford, Metz and Chintala
("Unsupervised representation learning with deep convolutional generative adversarial networks",
2016): transposed convolutions up, strided convolutions down, batch normalisation, leaky ReLU, Adam
with beta1 = 0.5, weights from N(0, 0.02). A GAN's losses do not say whether its pictures are good,
so a small classifier, trained on the real pictures first, looks at 2,000 samples: how many does it
put into one class with a confidence above 0.9, how many classes appear, and how far are its inner
features of the samples from those of real pictures (the Frechet distance of two normal
distributions, as Heusel et al. 2017 measure it with a larger network)? Test pictures and noise show
what is near and what is far. The example ends with a line `samples: NN.N % classified with
confidence (real NN.N %), NN of 10 classes, Frechet distance NN.N (real NN.N, noise NN.N)` and a
picture (dcgan.png) in --output.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import gradstone as gs
from gradstone import nn, optim
from gradstone.nn import functional as F
from gradstone.training import Progress
from gradstone.utils.data import DataLoader, TensorDataset
from gradstone.vision.datasets import read_idx

DIGITS = Path(__file__).parent / "data" / "mnist10k"
LATENT = 64


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DIGITS, help="default: the digits beside this")
    parser.add_argument("--epochs", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=5e-4, help="Adam's (default: %(default)s)")
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
    """Pictures (N, 1, 28, 28) from -1 to 1, as tanh paints them, and labels (N)."""
    arrays = []
    for name in (f"{part}*-images-idx3-ubyte*", f"{part}*-labels-idx1-ubyte*"):
        files = sorted(folder.glob(name))
        if not files:
            sys.exit(f"dcgan: there is no file {name} in {folder}; --data names the folder")
        try:
            arrays.append(gs.from_numpy(read_idx(files[0])[:limit]))
        except RuntimeError as error:
            sys.exit(f"dcgan: {error}")
    return TensorDataset(arrays[0].float().unsqueeze(1) / 127.5 - 1, arrays[1].long())


def make_generator():
    """(B, LATENT) noise -> (B, 1, 28, 28) pictures."""
    return nn.Sequential(
        nn.Linear(LATENT, 128 * 7 * 7, bias=False),
        nn.Unflatten(1, (128, 7, 7)),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1, bias=False),  # (B, 64, 14, 14)
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, stride=2, padding=1),  # (B, 1, 28, 28)
        nn.Tanh(),
    )


def make_discriminator():
    """(B, 1, 28, 28) pictures -> (B, 1) logits, positive for real."""
    return nn.Sequential(
        nn.Conv2d(1, 64, 4, stride=2, padding=1),  # (B, 64, 14, 14)
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 4, stride=2, padding=1, bias=False),  # (B, 128, 7, 7)
        nn.BatchNorm2d(128),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(128 * 7 * 7, 1),
    )


def make_classifier():
    """(B, 1, 28, 28) pictures -> (B, 10) logits."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3),  # (B, 16, 26, 26)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (B, 16, 13, 13)
        nn.Conv2d(16, 32, 3),  # (B, 32, 11, 11)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (B, 32, 5, 5)
        nn.Flatten(),
        nn.Linear(800, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def initialise(module):
    """The paper's weights: N(0, 0.02), and N(1, 0.02) for the scales of batch normalisation."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def train_classifier(model, dataset, epochs):
    """Learns the real pictures' classes."""
    loader = DataLoader(dataset, batch_size=32, shuffle=True)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    with Progress(epochs * len(loader), "classifier") as bar:
        for _ in range(epochs):
            for pictures, labels in loader:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(pictures), labels)
                loss.backward()
                optimizer.step()
                bar.update(1, loss=loss.item())


def train_gan(generator, discriminator, dataset, args):
    """Returns both losses of every epoch: on real pictures, on fakes, and the generator's."""
    loader = DataLoader(dataset, batch_size=args.batch_size, shuffle=True, drop_last=True)
    g_optimizer = optim.Adam(generator.parameters(), lr=args.lr, betas=(0.5, 0.999))
    d_optimizer = optim.Adam(discriminator.parameters(), lr=args.lr, betas=(0.5, 0.999))
    real_label, fake_label = gs.ones(args.batch_size, 1), gs.zeros(args.batch_size, 1)
    criterion = nn.BCEWithLogitsLoss()
    history = {"real": [], "fake": [], "generator": []}
    with Progress(args.epochs * len(loader), "GAN") as bar:
        for _ in range(args.epochs):
            sums = [0.0, 0.0, 0.0]
            for pictures, _ in loader:
                fakes = generator(gs.randn(args.batch_size, LATENT))
                # The discriminator: real pictures towards one, fakes towards zero. detach() keeps
                # this loss out of the generator.
                d_optimizer.zero_grad()
                real = criterion(discriminator(pictures), real_label)
                fake = criterion(discriminator(fakes.detach()), fake_label)
                (real + fake).backward()
                d_optimizer.step()
                # The generator: its fakes should be taken for real.
                g_optimizer.zero_grad()
                fooled = criterion(discriminator(fakes), real_label)
                fooled.backward()
                g_optimizer.step()
                losses = [loss.item() for loss in (real, fake, fooled)]
                sums = [total + loss for total, loss in zip(sums, losses, strict=True)]
                bar.update(1, d_real=losses[0], d_fake=losses[1], g=losses[2])
            for name, total in zip(history, sums, strict=True):
                history[name].append(total / len(loader))
    return history


def judge(classifier, pictures):
    """Fraction classified with a confidence above 0.9, and the count of each class (10,)."""
    with gs.no_grad():
        confidence, label = classifier(pictures).softmax(1).max(1)
    return (confidence > 0.9).float().mean().item(), gs.bincount(label, minlength=10)


def frechet_distance(classifier, first, second):
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of the means and covariances of the features."""
    with gs.no_grad():
        features = [classifier[:-1](pictures).double().numpy() for pictures in (first, second)]
    m1, m2 = (f.mean(0) for f in features)
    c1, c2 = (np.cov(f, rowvar=False) for f in features)
    # The product of two covariances has no negative eigenvalues, but for rounding.
    roots = np.sqrt(np.linalg.eigvals(c1 @ c2).real.clip(min=0))
    return ((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * roots.sum()


def paint(generator, number):
    """New pictures, with the statistics of batch normalisation gathered in training."""
    generator.eval()
    with gs.no_grad():
        return generator(gs.randn(number, LATENT))


def draw(path, history, samples, counts, real_counts):
    """Losses, classes, and 80 samples."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    labels = {
        "real": "discriminator, real",
        "fake": "discriminator, fakes",
        "generator": "generator",
    }
    for name, values in history.items():
        left.plot(range(1, len(values) + 1), values, marker=".", label=labels[name])
    left.set(title="losses", xlabel="epoch", ylim=(0, None))
    left.legend()
    for shift, values, name in ((-0.2, counts, "samples"), (0.2, real_counts, "real")):
        places = [k + shift for k in range(10)]
        middle.bar(places, (100 * values / values.sum()).tolist(), 0.4, label=name)
    middle.set(title="what the classifier sees (%)", xlabel="class", xticks=range(10))
    middle.legend()
    rows = samples[:80].reshape(8, 10, 28, 28).transpose(1, 2).reshape(8 * 28, 280)
    right.imshow(rows.numpy(), cmap="gray_r", vmin=-1, vmax=1)
    right.set_title("samples")
    right.axis("off")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main():
    args = parse_arguments()
    if args.threads:
        gs.set_num_threads(args.threads)
    gs.manual_seed(args.seed)
    train_set = load(args.data, "train", args.limit)
    real, labels = load(args.data, "t10k", args.limit).tensors
    generator, discriminator, classifier = (
        make_generator(), make_discriminator(), make_classifier()
    )  # fmt: skip
    generator.apply(initialise)
    discriminator.apply(initialise)
    print(f"{len(train_set):,} pictures; {gs.get_num_threads()} threads")

    start = time.perf_counter()
    train_classifier(classifier, train_set, epochs=min(4, args.epochs))
    with gs.no_grad():
        accuracy = (classifier(real).argmax(1) == labels).float().mean().item()
    print(f"the classifier is right on {100 * accuracy:.2f} % of the real test pictures")
    history = train_gan(generator, discriminator, train_set, args)
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.1f} s")
    print(
        f"last epoch: discriminator {history['real'][-1]:.3f} on real pictures and "
        f"{history['fake'][-1]:.3f} on fakes (0.693 is a coin), generator "
        f"{history['generator'][-1]:.3f}"
    )

    samples = paint(generator, 2000)
    sure, counts = judge(classifier, samples)
    real_sure, real_counts = judge(classifier, real)
    train_pictures = train_set.tensors[0]
    distance, real_distance, noise_distance = (
        frechet_distance(classifier, train_pictures, pictures)
        for pictures in (samples, real, 2 * gs.rand(2000, 1, 28, 28) - 1)
    )
    print("classes of the samples:", " ".join(str(n) for n in counts.tolist()))
    args.output.mkdir(parents=True, exist_ok=True)
    gs.save({"generator": generator.state_dict(), "history": history}, args.output / "dcgan.gs")
    picture = args.output / "dcgan.png"
    try:
        draw(picture, history, samples, counts, real_counts)
        print(f"drew {picture}")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'gradstone[plot]')")
    # A class counts as seen when at least one sample in a hundred belongs to it.
    seen = sum(n >= len(samples) / 100 for n in counts.tolist())
    print(
        f"samples: {100 * sure:.1f} % classified with confidence (real {100 * real_sure:.1f} %), "
        f"{seen} of 10 classes, Frechet distance {distance:.1f} (real {real_distance:.1f}, "
        f"noise {noise_distance:.1f})"
    )


if __name__ == "__main__":
    main()
