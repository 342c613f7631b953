"""Rules for the text of cuda/: where assembly, shared memory and launches may be written, and that
no instruction is left out in silence where a GPU lacks it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}

ASSEMBLY = re.compile(r"\b(?:asm|__asm|__asm__)\b")
# What only sm_90 and newer know.
NEW_INSTRUCTION = re.compile(
    r"wgmma\.|setmaxnreg\.|cp\.async\.bulk|cp\.reduce\.async\.bulk|mbarrier\.try_wait|expect_tx"
    r"|fence\.proxy\.|fence\.mbarrier_init|barrier\.cluster|\bmapa\.|stmatrix\.|elect\.sync"
    r"|griddepcontrol|%cluster|%nctaid_cluster"
)
CONDITION = re.compile(r"^[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else|endif)\b(.*)$", re.MULTILINE)
OF_NEW_GPUS = re.compile(r"__CUDA_ARCH_FEAT_SM|__CUDA_ARCH_SPECIFIC__|__CUDA_ARCH__[ \t]*>")


def without_comments(text: str) -> str:
    """The text with as many lines, comments blank; strings stay."""
    pattern = r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/'
    return re.sub(
        pattern,
        lambda m: m[0] if m[0][0] == '"' else re.sub(r"[^\n]", " ", m[0]),
        text,
        flags=re.DOTALL,
    )


def without_strings(text: str) -> str:
    return re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)


class Chain:
    """An #if with its branches: (condition, first line, line behind the last)."""

    def __init__(self, condition: str, line: int):
        self.branches = [(condition, line, line)]

    def close(self, line: int) -> None:
        condition, first, _ = self.branches[-1]
        self.branches[-1] = (condition, first, line)

    def branch_of(self, line: int) -> str | None:
        for condition, first, behind in self.branches:
            if first <= line < behind:
                return condition
        return None


def chains(text: str) -> list[Chain]:
    """Every #if of a text without comments, the inner ones first."""
    open_, done = [], []
    for match in CONDITION.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        word, condition = match[1], match[2].strip()
        if word in ("if", "ifdef", "ifndef"):
            open_.append(Chain(f"!{condition}" if word == "ifndef" else condition, line))
            continue
        open_[-1].close(line)
        if word == "endif":
            done.append(open_.pop())
        else:
            open_[-1].branches.append((condition or "else", line, line))
    return done


def has_host_version(chain: Chain) -> bool:
    """`#if EMU host #elif ... assembly`, or `#if __CUDA_ARCH__ assembly #else host`."""
    first, last = chain.branches[0][0], chain.branches[-1][0]
    return "GRADSTONE_CUDA_EMU" in first or ("__CUDA_ARCH__" in first and last == "else")


def assembly_problems(text: str) -> list[tuple[int, str]]:
    """For a file of cuda/ptx: assembly has a host version, and traps where it is missing."""
    problems = []
    lines, found = text.split("\n"), chains(text)
    for match in ASSEMBLY.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        around = [chain for chain in found if chain.branch_of(line) is not None]
        if not any(has_host_version(chain) for chain in around):
            problems.append((line, "assembly without its version for the host"))
        guarded = [chain for chain in around if OF_NEW_GPUS.search(chain.branch_of(line) or "")]
        statement = text[match.start() : text.find(";\n", match.start())]
        if NEW_INSTRUCTION.search(statement) and not guarded:
            problems.append((line, "only sm_90 knows this, and nothing says so around it"))
        for chain in guarded:
            first, behind = chain.branches[0][1], chain.branches[-1][2]
            if not re.search("trap", "\n".join(lines[first - 1 : behind])):
                problems.append((line, "on other GPUs this does nothing, and must trap"))
    return problems


def problems_of(root: Path) -> list[str]:
    problems = []
    for path in sorted((root / "cuda").rglob("*")):
        if path.suffix not in SUFFIXES:
            continue
        where = path.relative_to(root).as_posix()
        text = without_comments(path.read_text(encoding="utf-8"))

        def report(line: int, what: str, where: str = where) -> None:
            problems.append(f"{where}:{line}: {what}")

        if where.startswith("cuda/ptx/"):
            for line, what in assembly_problems(text):
                report(line, what)
        for line, words in enumerate(without_strings(text).split("\n"), 1):
            if not where.startswith("cuda/ptx/") and ASSEMBLY.search(words):
                report(line, "assembly stands in cuda/ptx/ alone")
            if where != "cuda/portable.cuh":
                if "__shared__" in words:
                    report(line, "shared memory through GS_SHARED or GS_DYNAMIC_SHARED")
                if "<<<" in words:
                    report(line, "launches through launch()")
    return problems


def test_kernels_keep_the_rules():
    assert len(list((ROOT / "cuda").rglob("*.cu"))) > 5, "the test looks at the wrong folder"
    problems = problems_of(ROOT)
    assert not problems, "\n" + "\n".join(problems)


def wrapper(condition: str, instruction: str, otherwise: str = "") -> str:
    return (
        "inline void f() {\n#if defined(GRADSTONE_CUDA_EMU)\n  host();\n"
        f'#elif {condition}\n  asm volatile("{instruction};");\n{otherwise}#endif\n}}\n'
    )


OLD, NEW = "defined(__CUDA_ARCH__)", "defined(__CUDA_ARCH_FEAT_SM90_ALL)"
TRAP = "#elif defined(__CUDA_ARCH__)\n  __trap();\n"


@pytest.mark.parametrize(
    ("where", "text", "bad"),
    [
        ("cuda/a.cu", "__shared__ float x[3];\n", True),
        ("cuda/a.cuh", "extern __shared__ char x[];\n", True),
        ("cuda/a.cu", "// no __shared__ here\n/* asm */ GS_SHARED(x, float[3]);\n", False),
        ("cuda/portable.cuh", "#define GS_SHARED(x) __shared__ x\n", False),
        ("cuda/a.cu", 'asm("nanosleep.u32 1;");\n', True),
        ("cuda/deep/a.cuh", '__asm__ volatile ("");\n', True),
        ("cuda/a.cu", 'puts("asm __shared__ <<<");\n', False),
        ("cuda/a.cu", "f<<<1, 2>>>();\n", True),
        ("cuda/ptx/a.cuh", wrapper(OLD, "mma.sync.m16n8k16"), False),
        ("cuda/ptx/a.cuh", 'inline void f() { asm("mma.sync"); }\n', True),
        ("cuda/ptx/a.cuh", '#if defined(__CUDA_ARCH__)\nasm("");\n#else\nf();\n#endif\n', False),
        ("cuda/ptx/a.cuh", '#if defined(__CUDA_ARCH__)\nasm("");\n#endif\n', True),
        ("cuda/ptx/a.cuh", wrapper(OLD, "wgmma.fence.sync"), True),
        ("cuda/ptx/a.cuh", wrapper(NEW, "wgmma.fence.sync"), True),
        ("cuda/ptx/a.cuh", wrapper(NEW, "wgmma.fence.sync", TRAP), False),
        ("cuda/ptx/a.cuh", wrapper("__CUDA_ARCH__ >= 900", "elect.sync", TRAP), False),
        ("cuda/ptx/a.cuh", wrapper("__CUDA_ARCH__ >= 900", "elect.sync"), True),
    ],
)
def test_planted_texts_are_judged(tmp_path, where, text, bad):
    path = tmp_path / where
    path.parent.mkdir(parents=True)
    path.write_text(text)
    problems = problems_of(tmp_path)
    assert bool(problems) == bad, problems
