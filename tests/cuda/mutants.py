"""Plants bugs in the CUDA kernels, one at a time, and looks whether the kernel tests find them.

python tests/cuda/mutants.py               # every family
python tests/cuda/mutants.py conv softmax  # some

The bugs are in mutants/<family>.txt: what is wrong behind "#", the text of the source behind "-",
its replacement behind "+" (\\n for a line break), then a blank line. "#thread" instead of "#" marks
a bug that ThreadSanitizer alone can see. A family's tests are those of test_<family>.cpp.

A bug is found when these tests fail in one of the scheduler's orders, or else under
AddressSanitizer, or else under ThreadSanitizer; the first that finds it ends its trial. One that is
not found is an error. For each bug the changed sources alone are compiled, and the tests are linked
anew. What was found, and by what, is written to mutants/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]
PLANTED = Path(__file__).parent / "mutants"
RESULTS = PLANTED / "RESULTS.md"
TREE = ROOT / "build" / "mutants"
FOLDERS = ("cmake", "csrc", "cuda", "tests/cpp", "tests/cuda", "tests/cuda_host", "tools")
TARGET = "gradstone_cuda_tests"
MOST_SOURCES = 6  # compiled for one bug in a header
FEWEST_SECONDS, MOST_SECONDS = 180.0, 900.0  # before a test that does not end counts as failed

ORDERS = {
    "fifo": {"GS_CUDA_HOST_ORDER": "fifo"},
    "lifo": {"GS_CUDA_HOST_ORDER": "lifo"},
    "reverse": {"GS_CUDA_HOST_ORDER": "reverse"},
    "random 1": {"GS_CUDA_HOST_ORDER": "random", "GS_CUDA_HOST_SEED": "1"},
    "random 2": {"GS_CUDA_HOST_ORDER": "random", "GS_CUDA_HOST_SEED": "2"},
}
ADDRESS = "AddressSanitizer"
THREAD = "ThreadSanitizer"
NOT_FOUND, NOT_TRIED = "not found", "not tried"
MODES = (*ORDERS, ADDRESS, THREAD)


@dataclass
class Mutant:
    family: str
    what: str
    old: str
    new: str
    thread_only: bool
    file: Path  # relative to the tree
    found_by: str | None = None


def read(family: str) -> list[Mutant]:
    """The bugs of a family's file."""
    found = []
    for block in re.split(r"\n\s*\n", (PLANTED / f"{family}.txt").read_text().strip()):
        rows = block.splitlines()
        if [row[:1] for row in rows] != ["#", "-", "+"]:
            raise SystemExit(f"{family}.txt: expected lines of '#', '-' and '+', got:\n{block}")
        mark, what = rows[0].split(" ", 1)
        old, new = (row[2:].replace("\\n", "\n") for row in rows[1:])
        place = place_of(family, what, old)
        found.append(Mutant(family, what, old, new, mark == "#thread", place))
    return found


def place_of(family: str, what: str, old: str) -> Path:
    """The one file that holds the text; a file of the family's own name wins."""
    places = [p for p in sorted((ROOT / "cuda").rglob("*.c*")) if old in p.read_text()]
    own = [p for p in places if p.stem.startswith(family)]
    chosen = own if len(own) == 1 else places
    if len(chosen) != 1:
        names = ", ".join(p.name for p in chosen) or "no file"
        raise SystemExit(f"{family}: '{what}': its text is in {names}")
    return chosen[0].relative_to(ROOT)


def suites_of(family: str) -> str:
    """A filter for the tests of test_<family>.cpp; `attention_tile` has those of `attention`."""
    names = (family, family.split("_")[0])
    files = [ROOT / "tests" / "cuda" / f"test_{name}.cpp" for name in names]
    text = next(file for file in files if file.exists()).read_text()
    suites = sorted(set(re.findall(r"^TEST(?:_[FP])?\((\w+),", text, re.MULTILINE)))
    return ":".join(f"{name}.*:*/{name}.*" for name in suites)


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


@dataclass
class Mode:
    """How a bug is looked for: the orders that are tried, or a sanitizer. Sanitizers are for the
    changed sources and the emulator alone; everything else is as in the plain build."""

    name: str
    orders: tuple[str, ...]
    flags: tuple[str, ...] = ()
    emulator_flags: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)


ADDRESS_FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g1")
SEARCHES = (
    Mode("", tuple(ORDERS)),
    Mode(
        ADDRESS,
        ("random 1",),
        ADDRESS_FLAGS,
        ADDRESS_FLAGS,
        {"ASAN_OPTIONS": "detect_leaks=0:detect_container_overflow=0"},
    ),
    Mode(
        THREAD,
        ("random 1",),
        ("-fsanitize=thread", "-g1"),
        ("-DGS_CUDA_HOST_TSAN",),
        {
            "TSAN_OPTIONS": "suppress_equal_addresses=0:history_size=7:halt_on_error=1",
            "GRADSTONE_NUM_THREADS": "1",
        },
    ),
)


class Build:
    """The kernel tests without a bug, and how to make some of their objects anew."""

    def __init__(self, through: list[str]):
        self.folder = TREE / "build" / "plain"
        self.through = through
        self.commands: dict[str, list[str]] = {}  # of each source
        self.seconds: dict[str, float] = {}  # of a family's tests
        self.emulators: dict[str, str] = {}  # of each sanitizer: its objects
        self.passed: set[tuple[str, ...]] = set()  # sources under a sanitizer, without a bug

    def make(self) -> None:
        options = ["-DGRADSTONE_TESTS=ON", "-DGRADSTONE_CUDA=EMU", "-DGRADSTONE_BASELINE_ONLY=ON"]
        run([*self.through, "tools/build_cpp.sh", str(self.folder), TARGET, *options], TREE)
        self.link = self._ask("commands", TARGET).splitlines()[-1]
        database = json.loads((self.folder / "compile_commands.json").read_text())
        for entry in database:
            name = str(Path(entry["file"]).relative_to(TREE))
            command = shlex.split(entry["command"])
            target = Path(command[command.index("-o") + 1]).parts[1]
            if target in ("gradstone_cuda.dir", "gradstone_cuda_host.dir"):
                self.commands[name] = command

    def _ask(self, *question: str) -> str:
        return run(["ninja", "-t", *question], self.folder)

    def _object_of(self, source: str) -> str:
        command = self.commands[source]
        return command[command.index("-o") + 1]

    def sources_with(self, mutant: Mutant) -> list[str]:
        """What is compiled anew: the sources that include a header; when they are many, those of
        the family if there are any."""
        if str(mutant.file) in self.commands:
            return [str(mutant.file)]
        kernels = [source for source in self.commands if source.startswith("cuda/")]
        found = [s for s in kernels if str(mutant.file) in self._ask("deps", self._object_of(s))]
        own = [s for s in found if Path(s).stem.split("_")[0] == mutant.family.split("_")[0]]
        return own if own and len(found) > MOST_SOURCES else found

    def compile(self, source: str, made: Path, flags: tuple[str, ...], cuda: Path) -> str:
        """A shell command that compiles a source of the folder `cuda`."""
        command = [part.replace(str(TREE / "cuda"), str(cuda)) for part in self.commands[source]]
        command[command.index("-o") + 1] = str(made)
        return shlex.join([*command, "-w", *flags])

    def emulator(self, mode: Mode) -> str:
        """The emulator's objects for a sanitizer, made once."""
        if mode.flags and mode.name not in self.emulators:
            folder = TREE / "build" / mode.name
            folder.mkdir(exist_ok=True)
            made, lines = [], ["set -e"]
            for source in self.commands:
                if source.endswith(".cu"):
                    continue
                made.append(str(folder / f"{Path(source).name}.o"))
                flags = mode.flags if source.startswith("cuda/") else mode.emulator_flags
                lines.append(self.compile(source, Path(made[-1]), flags, TREE / "cuda"))
            run([*self.through, "sh", "-c", "\n".join(lines)], self.folder)
            self.emulators[mode.name] = " ".join(made)
        return self.emulators.get(mode.name, "")

    def trial(self, family: str, sources: list[str], mode: Mode, worker: Path) -> str | None:
        """Compiles these sources of the worker's folder, links the tests and runs the family's. The
        order or sanitizer with which they fail, or None."""
        lines, link = ["set -e"], self.link
        for source in sources:
            made = worker / f"{Path(source).name}.o"
            link = link.replace(self._object_of(source), str(made))
            lines.append(self.compile(source, made, mode.flags, worker / "cuda"))
        if mode.flags:  # the sanitized ones in place of the plain
            emulator = self.emulator(mode)
            for source in self.commands:
                if source.endswith(".cpp") and source not in sources:
                    link = link.replace(self._object_of(source), "")
                elif source.endswith(".cpp"):
                    emulator = " ".join(
                        o for o in emulator.split() if Path(o).name != f"{Path(source).name}.o"
                    )
            link = link.replace(f"-o {TARGET}", f"{mode.flags[0]} {emulator} -o {TARGET}")
        binary = worker / TARGET
        # Ninja's line is a list joined by "&&", whose failure "set -e" would pass over.
        lines.append("{ " + link.replace(f"-o {TARGET}", f"-o {binary}") + "; } || exit 1")
        for order in mode.orders:
            test = self.test(binary, family, ORDERS[order] | mode.settings)
            lines.append(f"{test} >{worker}/log 2>&1 || {{ echo '{mode.name or order}'; exit; }}")
        answer = run([*self.through, "sh", "-c", "\n".join([*lines, "echo passed"])], self.folder)
        return None if answer.splitlines()[-1] == "passed" else answer.splitlines()[-1]

    def test(self, binary: Path, family: str, settings: dict[str, str]) -> str:
        """A shell command that runs a family's tests."""
        words = ["env", *(f"{name}={value}" for name, value in settings.items())]
        limit = max(FEWEST_SECONDS, 10 * self.seconds.get(family, MOST_SECONDS / 10))
        words += ["timeout", f"{limit:.0f}", str(binary), f"--gtest_filter={suites_of(family)}"]
        return shlex.join([*words, "--gtest_fail_fast"])

    def try_one(self, mutant: Mutant, mode: Mode, worker: Path) -> None:
        """Sets found_by if the tests fail."""
        sources = self.sources_with(mutant)
        shutil.rmtree(worker, ignore_errors=True)
        shutil.copytree(TREE / "cuda", worker / "cuda")
        without = (mode.name, mutant.family, *sources)
        if mode.flags and without not in self.passed:
            if self.trial(mutant.family, sources, mode, worker):
                raise SystemExit(f"{mutant.family}: {mode.name} finds something without a bug")
            self.passed.add(without)
        changed = worker / mutant.file
        changed.write_text(changed.read_text().replace(mutant.old, mutant.new, 1))
        mutant.found_by = self.trial(mutant.family, sources, mode, worker)

    def check(self, family: str) -> None:
        """A family's tests pass as long as nothing is planted."""
        if family in self.seconds:
            return
        start = time.monotonic()
        test = self.test(self.folder / TARGET, family, ORDERS["random 1"])
        run([*self.through, "sh", "-c", test], self.folder)
        self.seconds[family] = time.monotonic() - start


def copy_tree() -> None:
    """The sources as they are now, so that they may change while this runs."""
    for folder in FOLDERS:
        shutil.rmtree(TREE / folder, ignore_errors=True)
        shutil.copytree(ROOT / folder, TREE / folder)
    for name in ("CMakeLists.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, TREE / name)


def commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "-"


# --------------------------------------------------------------------------------------- results


Results = dict[str, tuple[str, dict[str, str]]]  # family: commit, and what found each bug


def earlier_results() -> Results:
    """Of each family: the commit it was last tried at, and what found each of its bugs."""
    found: Results = {}
    family = ""
    for line in RESULTS.read_text().splitlines() if RESULTS.exists() else []:
        if heading := re.fullmatch(r"## (\w+) at (\S+)", line):
            family = heading[1]
            found[family] = (heading[2], {})
        elif family and (row := re.fullmatch(r"- (.*): \*(.*)\*", line)):
            found[family][1][row[1]] = row[2]
    return found


def write_results(family: str, tried: list[Mutant]) -> None:
    """RESULTS.md with this family's results; those of its bugs that were not tried stay."""
    results = earlier_results()
    before = results.get(family, ("", {}))[1]
    now = {m.what: m.found_by or NOT_FOUND for m in tried}
    rows = {m.what: now.get(m.what) or before.get(m.what, NOT_TRIED) for m in read(family)}
    results[family] = (commit(), rows)
    results = {name: results[name] for name in sorted(results)}
    columns = (*MODES, NOT_FOUND, NOT_TRIED)
    lines = [
        "# Planted bugs and what found them",
        "",
        "Written by `make mutants`. The modes are tried from left to right, and the first that",
        "finds a bug ends its trial: a bug is counted once.",
        "",
        "| family | planted | " + " | ".join(columns) + " |",
        "| --- |" + " ---: |" * (len(columns) + 1),
    ]
    all_found = [how for _, rows in results.values() for how in rows.values()]
    for name, found in [
        *((n, list(r.values())) for n, (_, r) in results.items()),
        ("all", all_found),
    ]:
        counts = (str(found.count(mode)) for mode in columns)
        lines.append(f"| {name} | {len(found)} | " + " | ".join(counts) + " |")
    for name, (at, rows) in results.items():
        lines += ["", f"## {name} at {at}", ""]
        lines += [f"- {what}: *{how}*" for what, how in rows.items()]
    RESULTS.write_text("\n".join(lines) + "\n")


def chosen(families: list[str], missed: bool) -> list[Mutant]:
    """The bugs of these families; `missed`: those that RESULTS.md does not say are found."""
    planted = [m for family in families for m in read(family)]
    if not missed:
        return planted
    results = earlier_results()

    def was_found(m: Mutant) -> bool:
        return results.get(m.family, ("", {}))[1].get(m.what) in MODES

    return [m for m in planted if not was_found(m)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", help="default: all")
    parser.add_argument("--jobs", type=int, default=1, help="bugs tried at once")
    parser.add_argument("--missed", action="store_true", help="what RESULTS.md says was not found")
    parser.add_argument("--quick", action="store_true", help="no sanitizers")
    parser.add_argument("--through", default="nice", help="a command that runs compilers and tests")
    arguments = parser.parse_args()
    families = arguments.families or sorted(p.stem for p in PLANTED.glob("*.txt"))
    planted = chosen(families, arguments.missed)
    copy_tree()
    build = Build(shlex.split(arguments.through))
    build.make()
    start = time.monotonic()
    workers: SimpleQueue[Path] = SimpleQueue()
    for i in range(arguments.jobs):
        workers.put(TREE / f"worker{i}")

    def try_one(mutant: Mutant, mode: Mode) -> None:
        worker = workers.get()
        try:
            build.try_one(mutant, mode, worker)
            how = mutant.found_by or f"not found {mode.name}"
        except RuntimeError as error:
            how = f"does not compile:\n{error}"
        finally:
            workers.put(worker)
        seconds = time.monotonic() - start
        print(f"{seconds:6.0f} s  {mutant.family}: {mutant.what}: {how}", flush=True)

    with ThreadPoolExecutor(arguments.jobs) as pool:
        for mode in SEARCHES[:1] if arguments.quick else SEARCHES:
            for family in families:
                of_family = [m for m in planted if m.family == family]
                left = [m for m in of_family if not m.found_by]
                left = [m for m in left if not m.thread_only or mode.name == THREAD]
                if not left:
                    continue
                build.check(family)
                list(pool.map(try_one, left, [mode] * len(left)))
                write_results(family, of_family)
    missed = sum(m.found_by is None for m in planted)
    print(f"{len(planted) - missed} of {len(planted)} found")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
