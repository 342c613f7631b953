"""The ratios to PyTorch that gradstone sets out to reach, against those of a run.

    python bench/goals.py bench/results/RUN.json      a table in Markdown

A goal names cases by a pattern and holds at one thread unless a second figure is given for two.
"""

import argparse
import fnmatch
import json
from pathlib import Path

# (what, pattern of cases, goal at one thread, goal at two)
GOALS: list[tuple[str, str, float, float | None]] = [
    ("GEMM 512 and above", "gemm/512", 1.03, 1.03),
    ("", "gemm/1024", 1.03, 1.03),
    ("", "gemm/2048", 1.03, 1.03),
    ("GEMM, small", "gemm/32", 1.4, None),
    ("", "gemm/64", 1.4, None),
    ("", "gemm/128", 1.4, None),
    ("", "gemm/32x10x128", 3.0, None),
    ("GEMM, one row; narrow", "gemm/1x4096x4096", 1.3, None),
    ("", "gemm/4096x4096x64", 2.2, None),
    ("convolution 3x3, 32 to 256 channels, forward", "conv2d/32x*-k*r3s1p1", 1.0, None),
    ("the same, training", "conv2d/32x*-k*r3s1p1/train", 1.1, None),
    ("one input channel, forward", "conv2d/32x1x*-k*p0", 1.5, None),
    ("the same, training", "conv2d/32x1x*-k*p0/train", 1.5, None),
    ("three input channels, forward", "conv2d/*x3x*-k64r?s?p?", 1.8, None),
    ("the same, training", "conv2d/*x3x*-k64r?s?p?/train", 1.4, None),
    ("depthwise 3x3, forward", "conv2d/32x64x56x56-k64r3s1p1g64", 1.5, None),
    ("the same, training", "conv2d/32x64x56x56-k64r3s1p1g64/train", 4.4, None),
    ("max pooling 2x2, forward", "max_pool2d/64x64x56x56-2", 19, None),
    ("the same, training", "max_pool2d/64x64x56x56-2/train", 13, None),
    ("average pooling 2x2, forward", "avg_pool2d/64x64x56x56-2", 6, None),
    ("the same, training", "avg_pool2d/64x64x56x56-2/train", 15, None),
    ("batch norm, forward", "batch_norm/64x64x56x56", 6, None),
    ("the same, training", "batch_norm/64x64x56x56/train", 3, None),
    ("layer norm, forward", "layer_norm/4096x768", 1.2, None),
    ("the same, training", "layer_norm/4096x768/train", 1.5, None),
    ("softmax, forward and training", "softmax/4096x1000*", 1.5, None),
    ("cross entropy, training", "cross_entropy/4096x1000/train", 2, None),
    ("", "cross_entropy/32x10/train", 4, None),
    ("relu, gelu, exp over 1e7", "relu/1e7", 8, None),
    ("", "gelu/1e7", 8, None),
    ("", "exp/1e7", 8, None),
    ("tanh, add over 1e7", "tanh/1e7", 11, None),
    ("", "add/1e7", 7, None),
    ("relu, gelu, exp over 1e3", "relu/1e3", 3, None),
    ("", "gelu/1e3", 3, None),
    ("", "exp/1e3", 3, None),
    ("sum over the first axis", "sum/4096x4096-0", 2, None),
    ("LSTM, forward", "lstm/100x32x128x256x2", 1.03, 1.03),
    ("LSTM, training", "lstm/100x32x128x256x2/train", 1.1, 1.5),
    ("LSTM, one sequence", "lstm/100x1x128x256x1", 1.3, None),
    ("GRU, training", "gru/100x32x128x256x2/train", 1.45, None),
    ("causal attention, forward and training", "attention/8x12x512x64-causal*", 2.2, None),
    ("embedding backward", "embedding/50000x256-32x128/train", 30, None),
    ("x + y on (2, 2)", "overhead/add-2x2", 5, None),
    ("ten operations, forward and backward", "overhead/chain*", 8, None),
    ("Linear(8, 8)", "overhead/linear-8x8", 7, None),
    ("the same, training", "overhead/linear-8x8/train", 8, None),
    ("Adam on ten small tensors, against the fused one", "overhead/adam*fused*", 12, None),
    ("DataLoader, 60,000 images", "dataloader/60000x28x28-32", 7, None),
    ("the same, two workers", "dataloader/60000x28x28-32-workers2", 20, None),
    ("MLP", "train/mlp*", 2.2, None),
    ("CNN, batch 32", "train/cnn-b32*", 2.5, None),
    ("CNN, batch 128", "train/cnn-b128*", 2.3, 2.8),
    ("LeNet-5", "train/lenet5*", 2, None),
    ("LSTM classifier", "train/lstm*", 1.4, None),
    ("ResNet-18", "train/resnet18*", 1.1, None),
    ("GPT", "train/gpt*", 1.35, 1.6),
]


def rows_of(run: dict, pattern: str, threads: int) -> list[dict]:
    return [
        row
        for row in run["rows"]
        if row["threads"] == threads and "ratio" in row and fnmatch.fnmatch(row["case"], pattern)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="JSON written by compare.py")
    run = json.loads(parser.parse_args().run.read_text())
    print("| work | case | threads | goal | ratio | |")
    print("| --- | --- | --- | --- | --- | --- |")
    count = reached = 0
    for what, pattern, one, two in GOALS:
        for threads, goal in ((1, one), (2, two)):
            found = rows_of(run, pattern, threads) if goal else []
            if goal and not found:
                print(f"| {what} | {pattern} | {threads} | {goal} | - | not in this run |")
            for row in found:
                count += 1
                reached += (good := row["ratio"] >= goal)
                print(
                    f"| {what} | {row['case']} | {threads} | {goal} | {row['ratio']:.2f} "
                    f"| {'reached' if good else 'missed'} |"
                )
    print(f"\n{reached} of {count} reached.")


if __name__ == "__main__":
    main()
