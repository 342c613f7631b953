"""Training steps and inference of whole networks in gradstone and four other libraries, in turns.

    python bench/peers.py                      everything, at one thread and at two
    python bench/peers.py --only cnn           cases whose name contains this
    python bench/peers.py --json FILE          also as JSON

PyTorch is in the environment that runs this; TensorFlow, JAX and ONNX Runtime (which only infers)
are in another (--peers). The ratio is the best other library's time over gradstone's: above 1,
gradstone is the fastest.
"""

import json
import subprocess
from pathlib import Path

from cases.networks import NETWORKS
from compare import (
    HERE,
    Worker,
    alternate,
    machine,
    show,
    timing_arguments,
    write_json,
)

TITLES = {
    "gradstone": "gradstone", "torch": "PyTorch", "peers.tensorflow": "TensorFlow",
    "peers.jax": "JAX", "peers.onnxruntime": "ONNX Runtime",
}  # fmt: skip

# What each library of the other environment is installed as.
PACKAGES = {
    "peers.tensorflow": ("tensorflow-cpu", "keras"),
    "peers.jax": ("jax", "jaxlib"),
    "peers.onnxruntime": ("onnxruntime", "onnx"),
}

# Between two turns: ONNX Runtime's threads spin for 33 ms after a call (their CPU time, measured),
# beside whatever library comes next.
REST = 0.06

VERSIONS = """
import importlib.metadata, json, sys
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""


def versions(python: Path) -> dict[str, str]:
    """Of the packages that the other environment has."""
    names = [name for packages in PACKAGES.values() for name in packages]
    if not python.exists():
        return {}
    out = subprocess.run(
        [python, "-c", VERSIONS, *names], capture_output=True, text=True, check=True
    ).stdout
    return {name: version for name, version in json.loads(out).items() if version}


def case_names(only: list[str]) -> list[str]:
    names = [n.training_case for n in NETWORKS] + [n.inference_case for n in NETWORKS]
    return [name for name in names if not only or any(text in name for text in only)]


class Workers:
    """A pinned process for each library and number of threads; dead ones are started anew."""

    def __init__(self, libraries: list[str], threads: int, python: Path) -> None:
        self.threads, self.python = threads, python
        self.running = {library: self.start(library) for library in libraries}

    def start(self, library: str) -> Worker:
        other = {"python": self.python} if library in PACKAGES else {}
        return Worker(library, self.threads, "--pin", **other)

    def of(self, case: str) -> dict[str, Worker]:
        for library, worker in self.running.items():
            if worker.process.poll() is not None:
                self.running[library] = self.start(library)
        infers = case.startswith("infer/")
        return {n: w for n, w in self.running.items() if infers or n != "peers.onnxruntime"}

    def close(self) -> None:
        for worker in self.running.values():
            worker.close()


def measure(workers: dict[str, Worker], case: str, threads: int, args) -> dict:
    times, errors = alternate(workers, case, args.rounds, args.seconds, REST)
    notes = {name: worker.note for name, worker in workers.items() if worker.note}
    row = {"case": case, "threads": threads, **times, "notes": notes, "errors": errors}
    others = {name: time for name, time in times.items() if name != "gradstone"}
    if others and "gradstone" in times:
        row["best"] = min(others, key=others.get)
        row["ratio"] = others[row["best"]] / times["gradstone"]
    return row


def line_of(row: dict, libraries: list[str]) -> str:
    cells = []
    for library in libraries:
        failed = "failed" if library in row["errors"] else ""
        cells.append(show(row[library]) if library in row else f"{failed:>11}")
    line = f"{row['case']:36} {row['threads']} " + " ".join(f"{cell:>12}" for cell in cells)
    if "ratio" in row:
        line += f" {row['ratio']:8.2f}  {TITLES[row['best']]:12}"
    return f"{line} {row['notes'].get('peers.tensorflow', '')}".rstrip()


def main() -> None:
    parser = timing_arguments(__doc__, rounds=3)
    parser.add_argument(
        "--peers", type=Path, default=HERE.parent / ".venv-peers/bin/python",
        help="Python of the environment with the other libraries",
    )  # fmt: skip
    args = parser.parse_args()
    about = machine() | (found := versions(args.peers))
    print("  ".join(f"{key} {value}" for key, value in about.items()))
    libraries = []
    for library, title in TITLES.items():
        if all(package in found for package in PACKAGES.get(library, ())):
            libraries.append(library)
        else:
            print(f"{title} is left out: not installed beside {args.peers}")
    titles = " ".join(f"{TITLES[library]:>12}" for library in libraries)
    print(f"{'case':36} t {titles}    ratio  to           TensorFlow as")
    rows = []
    for threads in args.threads:
        workers = Workers(libraries, threads, args.peers)
        for case in case_names(args.only):
            rows.append(measure(workers.of(case), case, threads, args))
            print(line_of(rows[-1], libraries), flush=True)
            for library, error in rows[-1]["errors"].items():
                print(f"    {TITLES[library]}: {error}", flush=True)
        workers.close()
    write_json(args.json, {"machine": about, "rows": rows})


if __name__ == "__main__":
    main()
