"""Peak memory of a training step, gradstone beside PyTorch, each in a fresh process.

    python bench/memory.py [--only NAME ...] [--steps 3] [--json FILE]

Resident memory as the system counts it (VmRSS and VmHWM of /proc/self/status, so Linux only), in MB
beyond what the process holds once the library is imported and has trained a tiny network for a
step (what a library loads at its first use is not the network's): parameters, gradients, optimizer
state, saved tensors, and whatever allocator and kernels keep.
"""

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path

from cases import all_cases
from compare import machine

LIBRARIES = ("gradstone", "torch")


def status_mb(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"/proc/self/status has no {key}")


def warm_up(T) -> None:
    """A step of a network with nearly no memory of its own."""
    nn = T.nn
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    optimizer = T.optim.Adam(model.parameters())
    nn.functional.cross_entropy(model(T.randn(2, 1, 4, 4)), T.randint(0, 2, (2,))).backward()
    optimizer.step()


def measure(library: str, name: str, threads: int, steps: int) -> float:
    """In the process that is measured: MB beyond the library's own."""
    T = importlib.import_module(library)
    T.set_num_threads(threads)
    warm_up(T)
    before = status_mb("VmRSS")
    step = next(case for case in all_cases() if case.name == name).make(T)
    for _ in range(steps):
        step()
    return status_mb("VmHWM") - before


def in_fresh_process(library: str, name: str, args) -> float:
    command = [sys.executable, __file__, "--measure", library, "--only", name]
    command += ["--threads", str(args.threads), "--steps", str(args.steps)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", default=["train/"], help="names that contain these")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the results here too")
    parser.add_argument("--measure", choices=LIBRARIES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.only[0], args.threads, args.steps)))
        return
    about = machine()
    print("  ".join(f"{key} {value}" for key, value in about.items()))
    print(f"{'peak memory of training, MB':44} gradstone   PyTorch   gradstone / PyTorch")
    rows = []
    for name in (c.name for c in all_cases() if any(text in c.name for text in args.only)):
        ours, theirs = (in_fresh_process(library, name, args) for library in LIBRARIES)
        rows.append({"case": name, "gradstone": ours, "torch": theirs})
        print(f"{name:44} {ours:9.1f} {theirs:9.1f}   {ours / theirs:19.2f}", flush=True)
    if args.json:
        args.json.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
