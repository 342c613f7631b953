"""The README's speed table: `python bench/speed_table.py bench/results/RUN.json`.

Writes a few rows of the run between the README's speed markers.
"""

import json
import re
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"

ROWS = {
    "matrix product 1024": "gemm/1024",
    "conv 3x3, 64 channels, training": "conv2d/32x64x28x28-k64r3s1p1/train",
    "max pooling": "max_pool2d/64x64x56x56-2",
    "LSTM, training": "lstm/100x32x128x256x2/train",
    "`x + y` on (2, 2)": "overhead/add-2x2",
    "training an MLP": "train/mlp-784-128-10-b32-sgd",
    "training the CNN of the demo": "train/cnn-b32-adam",
    "training ResNet-18": "train/resnet18-3x32x32-b32-sgd",
    "training a small GPT": "train/gpt-4x256-t128-b16-adamw",
    "import": "import",
}


def show(seconds: float) -> str:
    for unit, scale in (("s", 1), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return "0"


def table(run: dict) -> str:
    rows = {(row["case"], row["threads"]): row for row in run["rows"] if "ratio" in row}
    lines = [
        "| | gradstone | PyTorch | faster by | with two threads |",
        "| --- | --- | --- | --- | --- |",
    ]
    for text, case in ROWS.items():
        one, two = rows.get((case, 1)), rows.get((case, 2))
        if one:
            both = f"{two['ratio']:.1f}" if two else ""
            ours, theirs = show(one["gradstone"]), show(one["torch"])
            lines.append(f"| {text} | {ours} | {theirs} | {one['ratio']:.1f} | {both} |")
    about = run["machine"]
    lines.append("")
    lines.append(
        f"One thread of an {about['cpu']} ({about['isa']}), float32, against PyTorch "
        f"{about['torch']}; every row, good and bad, in [bench/results](bench/results)."
    )
    return "\n".join(lines)


def main() -> None:
    run = json.loads(Path(sys.argv[1]).read_text())
    text = README.read_text(encoding="utf-8")
    new = f"<!-- speed -->\n{table(run)}\n<!-- /speed -->"
    text = re.sub(r"<!-- speed -->(.*<!-- /speed -->)?", lambda _: new, text, count=1, flags=re.S)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
