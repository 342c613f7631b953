"""Registers, shared memory, stack and spills of every CUDA kernel, beside the table in resources/.

python tests/cuda/resources.py             # after a build with nvcc in build/nvcc: compares
python tests/cuda/resources.py --update    # writes the table

resources/<file>.txt has a line for each kernel of cuda/<file>.cu: per architecture the registers of
a thread, then, where there are any, the bytes of shared memory known when it is compiled (smem),
of local memory (stack, which a kernel needs for arrays it indexes and for spills) and of spilled
registers (stores/loads). It is an error when one of them grew, or a kernel is new or missing; when
all are as they were or smaller the check passes, and says what to write down. Other versions of
nvcc assign other registers: they are not compared.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).parent / "resources"

ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True)
class Usage:
    registers: int
    smem: int = 0
    stack: int = 0
    spill_stores: int = 0
    spill_loads: int = 0

    def __str__(self) -> str:
        text = str(self.registers)
        if self.smem:
            text += f" smem={self.smem}"
        if self.stack:
            text += f" stack={self.stack}"
        if self.spill_stores or self.spill_loads:
            text += f" spill={self.spill_stores}/{self.spill_loads}"
        return text

    @staticmethod
    def parse(text: str) -> Usage:
        registers, *rest = text.split()
        named = dict(part.split("=") for part in rest)
        stores, loads = named.get("spill", "0/0").split("/")
        stack, smem = named.get("stack", "0"), named.get("smem", "0")
        return Usage(int(registers), int(smem), int(stack), int(stores), int(loads))

    def grew_from(self, old: Usage) -> bool:
        return any(now > then for now, then in zip(vars(self).values(), vars(old).values()))


# File -> kernel -> architecture -> usage.
Kernels = dict[str, dict[str, dict[str, Usage]]]


# ---- what the compiler said


def demangle(names: list[str]) -> list[str]:
    """By c++filt of the binutils, or that of CUDA."""
    tool = shutil.which("c++filt") or shutil.which("cu++filt")
    if not tool:
        raise SystemExit("c++filt is needed (Debian: binutils)")
    answer = subprocess.run([tool], input="\n".join(names), text=True, capture_output=True)
    return answer.stdout.splitlines()


SHORT = [
    (r"\(anonymous namespace\)::|\bgs::(cuda::)?|^void ", ""),
    (r"\bunsigned (char|short|int|long)\b", r"u\1"),
    (r"\bsigned char\b", "schar"),
    (r"\bBFloat16\b", "bf16"),
    (r"\bHalf\b", "half"),
    (r"\bcompute_type<(?:bf16|half|float)>::type\b", "float"),
    (r"\bcompute_type<double>::type\b", "double"),
    (r", ", ","),
    (r" >", ">"),
]


def short_names(mangled: list[str]) -> dict[str, str]:
    """Readable names without parameters, unless two kernels differ in nothing else."""
    full = dict(zip(mangled, demangle(mangled)))
    for name, text in full.items():
        for pattern, with_ in SHORT:
            text = re.sub(pattern, with_, text)
        full[name] = text
    bare = {name: without_parameters(text) for name, text in full.items()}
    used = list(bare.values())
    return {name: text if used.count(text) == 1 else full[name] for name, text in bare.items()}


def without_parameters(text: str) -> str:
    """`kernel<(Op)3,f>(float*,long)` -> `kernel<(Op)3,f>`."""
    depth = 0
    for at, letter in enumerate(text):
        if letter == "(" and depth == 0:
            return text[:at]
        depth += {"<": 1, ">": -1}.get(letter, 0)
    return text


def read_listing(text: str) -> dict[tuple[str, str], Usage]:
    """(mangled name, architecture) -> usage, from what ptxas -v printed for one file."""
    found: dict[tuple[str, str], Usage] = {}
    kernel, frame = None, (0, 0, 0)
    for line in text.splitlines():
        if match := ENTRY.search(line):
            kernel, frame = (match[1], match[2]), (0, 0, 0)
        elif match := FRAME.search(line):
            frame = (int(match[1]), int(match[2]), int(match[3]))
        elif kernel and (match := USED.search(line)):
            smem = SHARED.search(line)
            found[kernel] = Usage(int(match[1]), int(smem[1]) if smem else 0, *frame)
            kernel = None
    return found


def sources() -> list[str]:
    return sorted(
        path.relative_to(ROOT / "cuda").as_posix() for path in (ROOT / "cuda").rglob("*.cu")
    )


def listings(build: Path) -> dict[str, str]:
    """What the compiler printed for each file; cmake/compile_cuda.sh keeps it."""
    folder = build / "CMakeFiles" / "gradstone_cuda.dir" / "cuda"
    found = {}
    for source in sources():
        path = folder / f"{source}.o.ptxas"
        if not path.exists():
            raise SystemExit(f"{path} is missing: build with GRADSTONE_CUDA=ON first")
        found[source] = path.read_text()
    return found


def read_kernels(texts: dict[str, str]) -> Kernels:
    kernels: Kernels = {}
    for source, text in texts.items():
        usages = read_listing(text)
        names = short_names(sorted({name for name, _ in usages}))
        of_file: dict[str, dict[str, Usage]] = {}
        for (name, architecture), usage in usages.items():
            of_file.setdefault(names[name], {})[architecture] = usage
        if of_file:
            kernels[source] = of_file
    return kernels


def compiler(build: Path) -> str:
    """`nvcc 13.0`, from what CMake found."""
    for path in build.glob("CMakeFiles/*/CMakeCUDACompiler.cmake"):
        if match := re.search(r'COMPILER_VERSION "(\d+\.\d+)', path.read_text()):
            return f"nvcc {match[1]}"
    raise SystemExit(f"{build} is no build with nvcc")


# ---- the table


def table_path(source: str) -> Path:
    return TABLE / f"{source.removesuffix('.cu').replace('/', '-')}.txt"


def read_table() -> tuple[Kernels, set[str]]:
    """The kernels and the versions of nvcc that the files name."""
    kernels: Kernels = {}
    versions = set()
    for path in sorted(TABLE.glob("*.txt")):
        head, *lines = path.read_text().splitlines()
        version, source, *architectures = head.removeprefix("# ").split(" | ")
        versions.add(version)
        of_file = kernels[source] = {}
        for line in lines:
            *cells, name = line.split(" | ")
            of_file[name.strip()] = {
                architecture: Usage.parse(cell)
                for architecture, cell in zip(architectures, cells)
                if cell.strip() != "-"
            }
    return kernels, versions


def write_table(kernels: Kernels, version: str) -> None:
    TABLE.mkdir(exist_ok=True)
    for path in TABLE.glob("*.txt"):
        path.unlink()
    for source, of_file in kernels.items():
        architectures = sorted({a for usages in of_file.values() for a in usages})
        rows = []
        for name, usages in sorted(of_file.items()):
            cells = [str(usages.get(architecture, "-")) for architecture in architectures]
            rows.append([*cells, name])
        widths = [max(len(row[i]) for row in rows) for i in range(len(architectures))]
        lines = [" | ".join([version, source, *architectures])]
        lines += [
            " | ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]])
            for row in rows
        ]
        table_path(source).write_text("# " + "\n".join(lines) + "\n")


# ---- the comparison


def compare(now: Kernels, table: Kernels) -> tuple[list[str], list[str]]:
    """What is wrong, and what is better than the table says."""
    wrong, better = [], []
    for source in sorted(now.keys() | table.keys()):
        new, old = now.get(source, {}), table.get(source, {})
        for name in sorted(new.keys() | old.keys()):
            for architecture in sorted(new.get(name, {}).keys() | old.get(name, {}).keys()):
                is_, was = new.get(name, {}).get(architecture), old.get(name, {}).get(architecture)
                where = f"{source}: {name} on {architecture}"
                if is_ is None:
                    wrong.append(f"{where}: in the table, not in the build")
                elif was is None:
                    spills = "; it spills" if is_.spill_stores or is_.spill_loads else ""
                    wrong.append(f"{where}: not in the table{spills} ({is_})")
                elif is_.grew_from(was):
                    wrong.append(f"{where}: {was} became {is_}")
                elif is_ != was:
                    better.append(f"{where}: {was} became {is_}")
    return wrong, better


def notes(kernels: Kernels) -> list[str]:
    """The kernels to know of: those that spill, and those that fill the register file."""
    lines = []
    for source, of_file in kernels.items():
        for name, usages in sorted(of_file.items()):
            for architecture, usage in sorted(usages.items()):
                if usage.spill_stores or usage.spill_loads or usage.registers >= 250:
                    lines.append(f"{source}: {name} on {architecture}: {usage}")
    return lines


def show(title: str, lines: list[str], most: int = 40) -> None:
    if lines:
        print(f"{title}:")
        print("\n".join(f"  {line}" for line in lines[:most]))
        if len(lines) > most:
            print(f"  and {len(lines) - most} more")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "nvcc")
    parser.add_argument("--update", action="store_true", help="write the table")
    arguments = parser.parse_args()

    texts, version = listings(arguments.build), compiler(arguments.build)
    now = read_kernels(texts)
    warnings = [line for text in texts.values() for line in text.splitlines() if "warning" in line]
    show("warnings of the compiler", warnings)
    table, versions = read_table()
    wrong, better = compare(now, table)
    count = sum(len(of_file) for of_file in now.values())
    if arguments.update:
        show("kernels that spill, or use nearly all of 255 registers", notes(now))
        show("changed", wrong + better)
        write_table(now, version)
        print(f"{count} kernels in {len(now)} files written to {TABLE.relative_to(ROOT)}")
        return 0
    if versions != {version}:
        names = " and ".join(sorted(versions)) or "no compiler"
        print(f"kernels' resources not compared: the table is of {names}, this build of {version}")
        return 1 if warnings else 0
    show("less than the table says; `make nvcc-table` writes it down", better)
    show("not as the table says (`make nvcc-table` accepts it)", wrong)
    print(f"{count} kernels in {len(now)} files: {len(wrong)} worse, {len(better)} better")
    return 1 if wrong or warnings else 0


if __name__ == "__main__":
    sys.exit(main())
