"""Plants bugs in the CUDA kernels, one at a time, and looks whether the kernel tests find them.

python tests/cuda/mutants.py               # every family
python tests/cuda/mutants.py conv softmax  # some

The bugs are in mutants/<family>.txt: what is wrong behind "#", the text of the source behind "-",
its replacement behind "+" (\\n for a line break), then a blank line. A family's tests are those
of test_<family>.cpp. A bug is found when they fail, in one of the scheduler's orders or under
AddressSanitizer; one that is not found is an error.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLANTED = Path(__file__).parent / "mutants"
BUILD = ROOT / "build" / "mutants"
TREE = BUILD / "tree"
FOLDERS = ("cmake", "csrc", "cuda", "tests/cpp", "tests/cuda", "tests/cuda_host")

ORDERS = (
    {"GS_CUDA_HOST_ORDER": "fifo"},
    {"GS_CUDA_HOST_ORDER": "lifo"},
    {"GS_CUDA_HOST_ORDER": "reverse"},
    {"GS_CUDA_HOST_ORDER": "random", "GS_CUDA_HOST_SEED": "1"},
    {"GS_CUDA_HOST_ORDER": "random", "GS_CUDA_HOST_SEED": "2"},
)


@dataclass
class Mutant:
    family: str
    what: str
    old: str
    new: str


def read(family: str) -> list[Mutant]:
    """The bugs of a family's file."""
    found = []
    for block in re.split(r"\n\s*\n", (PLANTED / f"{family}.txt").read_text().strip()):
        lines = {line[:1]: line[2:].replace("\\n", "\n") for line in block.splitlines()}
        if set(lines) != {"#", "-", "+"}:
            raise SystemExit(f"{family}.txt: expected lines of '#', '-' and '+', got:\n{block}")
        found.append(Mutant(family, lines["#"], lines["-"], lines["+"]))
    return found


def place_of(mutant: Mutant) -> Path:
    """The one file that holds the text; a file of the family's own name wins."""
    places = [p for p in sorted((TREE / "cuda").rglob("*.cu*")) if mutant.old in p.read_text()]
    own = [p for p in places if p.stem.startswith(mutant.family)]
    chosen = own if len(own) == 1 else places
    if len(chosen) != 1:
        names = ", ".join(str(p.relative_to(TREE)) for p in chosen) or "no file"
        raise SystemExit(f"{mutant.family}: '{mutant.what}': its text is in {names}")
    return chosen[0]


def suites_of(family: str) -> str:
    """A filter for the tests of test_<family>.cpp."""
    text = (ROOT / "tests" / "cuda" / f"test_{family}.cpp").read_text()
    names = sorted(set(re.findall(r"^TEST(?:_P)?\((\w+),", text, re.MULTILINE)))
    return ":".join(f"*{name}.*" for name in names)


class Build:
    def __init__(self, name: str, *options: str):
        self.folder = BUILD / name
        self.binary = self.folder / "gradstone_cuda_tests"
        self.options = options

    def make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ["tools/build_cpp.sh", str(self.folder), "gradstone_cuda_tests"]
        command += ["-DGRADSTONE_TESTS=ON", "-DGRADSTONE_CUDA=EMU", "-DGRADSTONE_BASELINE_ONLY=ON"]
        done = subprocess.run(
            [*command, *self.options], cwd=TREE, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"the build failed:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")

    def fails(self, tests: str, environment: dict[str, str]) -> bool:
        command = [str(self.binary), f"--gtest_filter={tests}", "--gtest_fail_fast"]
        settings = {**os.environ, **environment, "ASAN_OPTIONS": "detect_leaks=0"}
        try:
            done = subprocess.run(
                command, env=settings, capture_output=True, timeout=300, check=False
            )
        except subprocess.TimeoutExpired:
            return True
        return done.returncode != 0


def copy_tree() -> None:
    shutil.rmtree(TREE, ignore_errors=True)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, TREE / folder)
    shutil.copytree(ROOT / "tools", TREE / "tools")
    for name in ("CMakeLists.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, TREE / name)


def found_by(mutant: Mutant, builds: list[Build]) -> str | None:
    """How the planted bug was found, or None."""
    tests = suites_of(mutant.family)
    for build in builds:
        build.make()
        for order in ORDERS if build is builds[0] else ORDERS[-1:]:
            if build.fails(tests, order):
                return f"{build.folder.name}, {' '.join(order.values())}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", help="default: all")
    families = parser.parse_args().families or sorted(p.stem for p in PLANTED.glob("*.txt"))
    copy_tree()
    builds = [Build("plain"), Build("asan", "-DGRADSTONE_SANITIZE=address")]
    planted = [m for family in families for m in read(family)]
    places = [place_of(m) for m in planted]
    builds[0].make()
    for family in families:
        if builds[0].fails(suites_of(family), {}):
            raise SystemExit(f"{family}: the tests fail without a planted bug")
    missed, start = [], time.monotonic()
    for i, (mutant, place) in enumerate(zip(planted, places), 1):
        source = place.read_text()
        place.write_text(source.replace(mutant.old, mutant.new, 1))
        how = found_by(mutant, builds)
        place.write_text(source)
        seconds = time.monotonic() - start
        print(
            f"{i:3d}/{len(planted)} {seconds:6.0f} s  {mutant.family}: {mutant.what}: "
            f"{how or 'NOT FOUND'}",
            flush=True,
        )
        missed += [] if how else [mutant]
    print(f"{len(planted) - len(missed)} of {len(planted)} found")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
