"""The folders are the architecture: an `#include` may point down, never up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Room -> the rooms whose headers it may include. Includes are written relative to csrc/.
ALLOWED = {
    "core": {"core"},
    "kernels": {"core", "kernels"},
    "cpu": {"core", "kernels", "cpu"},
    "cuda": {"core", "kernels", "cuda"},
    "autograd": {"core", "kernels", "autograd"},
    "ops": {"core", "kernels", "autograd", "ops"},
    "graph": {"core", "kernels", "autograd", "ops", "graph"},
    "python": {"core", "kernels", "autograd", "ops", "graph"},
}
FOLDERS = {room: f"csrc/{room}" for room in ALLOWED} | {"cuda": "cuda", "python": "python/src"}
# These two stand outside csrc/ and may name their own headers without a folder.
OWN_ROOT = {"cuda", "python"}

SUFFIXES = {".h", ".hpp", ".inc", ".inl", ".def", ".cpp", ".cc", ".cu", ".cuh"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.MULTILINE)
CUDA_HEADER = re.compile(
    r"^(cuda[\w.]*|device_launch_parameters|mma|cooperative_groups|nvrtc|curand\w*|cu(blas|dnn|fft)\w*"
    r"|nv/.*|cuda/.*|cub/.*|thrust/.*)(\.h|\.hpp|\.cuh)?$"
)
SIMD_HEADER = re.compile(r"^([a-z]?mmintrin|immintrin|x86intrin|x86gprintrin|arm_neon|arm_sve)\.h$")
# Their templates, compiled with AVX flags, could be merged with a baseline file's copy.
HEAVY_HEADERS = {"vector", "string", "map", "functional", "iostream", "algorithm"}


def source_files(root: Path) -> list[tuple[str, Path]]:
    """(room, file) for each C++ file under `root`; a folder of csrc that is no room is an error."""
    found = []
    for path in sorted((root / "csrc").rglob("*")):
        if path.is_file() and path.suffix in SUFFIXES:
            parts = path.relative_to(root / "csrc").parts
            found.append((parts[0] if len(parts) > 1 else "", path))
    for room in OWN_ROOT:
        for path in sorted((root / FOLDERS[room]).rglob("*")):
            if path.is_file() and path.suffix in SUFFIXES:
                found.append((room, path))
    return found


def includes(path: Path) -> list[tuple[int, bool, str]]:
    """(line, quoted, name) for each include; comments do not count."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL)
    return [
        (text.count("\n", 0, match.start(1)) + 1, match[1] == '"', match[2])
        for match in INCLUDE.finditer(text)
    ]


def direction_problem(root: Path, room: str, path: Path, quoted: bool, name: str) -> str | None:
    if ".." in Path(name).parts:
        return "includes are written from csrc/, without '..'"
    target = name.split("/")[0]
    if "/" in name and target in ALLOWED and not CUDA_HEADER.match(name):
        if target not in ALLOWED[room]:
            return f"{room} must not know {target}"
        return None
    if not quoted:
        return None
    if room in OWN_ROOT:
        if (path.parent / name).is_file() or (root / FOLDERS[room] / name).is_file():
            return None
        if room == "cuda" and CUDA_HEADER.match(name):
            return None
        return "no such header in this folder; write it from csrc/, or third-party ones in <>"
    return 'includes are written from csrc/, as in "core/shape.h"'


def layout_problems(root: Path) -> list[str]:
    problems = []
    for room, path in source_files(root):
        where = path.relative_to(root).as_posix()
        if room not in ALLOWED:
            problems.append(f"{where}: csrc/{room} is not a room of the architecture")
            continue
        for line, quoted, name in includes(path):

            def report(text: str, place: str = f"{where}:{line}: {name}") -> None:
                problems.append(f"{place}: {text}")

            problem = direction_problem(root, room, path, quoted, name)
            if problem:
                report(problem)
            if room != "cuda" and CUDA_HEADER.match(name):
                report("CUDA headers appear under cuda/ alone")
            if room != "cpu" and SIMD_HEADER.match(name):
                report("instruction-set code lives under csrc/cpu alone")
            if where.startswith("csrc/cpu/kernels/") and name in HEAVY_HEADERS:
                report("no heavy std headers in files compiled once per instruction set")
    return problems


def test_includes_point_down():
    files = source_files(ROOT)
    assert len(files) > 5, "the test looks at the wrong folder"
    problems = layout_problems(ROOT)
    assert not problems, "\n" + "\n".join(problems)


PLANTED = [
    # where, include, does it break a rule?
    ("csrc/core/a.h", "<vector>", False),
    ("csrc/core/a.h", '"core/shape.h"', False),
    ("csrc/core/a.h", '"kernels/kernels.h"', True),
    ("csrc/core/a.h", "<ops/ops.h>", True),
    ("csrc/core/a.h", '"shape.h"', True),
    ("csrc/core/a.cpp", '"../ops/ops.h"', True),
    ("csrc/core/deep/a.cpp", '"autograd/node.h"', True),
    ("csrc/kernels/a.h", '"cpu/table.h"', True),
    ("csrc/cpu/a.cpp", '"kernels/kernels.h"', False),
    ("csrc/cpu/a.cpp", '"autograd/node.h"', True),
    ("csrc/cpu/a.cpp", "<immintrin.h>", False),
    ("csrc/cpu/a.cpp", "<vector>", False),
    ("csrc/cpu/kernels/a.cpp", "<vector>", True),
    ("csrc/cpu/kernels/a.h", "<algorithm>", True),
    ("csrc/cpu/kernels/a.cpp", '"cpu/kernels/simd.h"', False),
    ("csrc/autograd/a.cpp", '"ops/ops.h"', True),
    ("csrc/ops/a.cpp", '"autograd/node.h"', False),
    ("csrc/ops/a.cpp", '"cpu/table.h"', True),
    ("csrc/ops/a.cpp", '"cuda/runtime.h"', True),
    ("csrc/ops/a.cpp", "<immintrin.h>", True),
    ("csrc/ops/a.cpp", "<cuda_runtime.h>", True),
    ("csrc/ops/a.cpp", '"graph/capture.h"', True),
    ("csrc/graph/a.cpp", '"ops/ops.h"', False),
    ("csrc/typo/a.cpp", "<vector>", True),
    ("cuda/a.cu", "<cuda_runtime.h>", False),
    ("cuda/a.cu", '"a.cu"', False),
    ("cuda/a.cu", '"cpu/table.h"', True),
    ("python/src/a.cpp", "<pybind11/pybind11.h>", False),
    ("python/src/a.cpp", '"ops/ops.h"', False),
    ("python/src/a.cpp", '"cpu/table.h"', True),
    ("python/src/a.cpp", '"nowhere.h"', True),
]


@pytest.mark.parametrize(("where", "include", "bad"), PLANTED)
def test_planted_includes_are_judged(tmp_path, where, include, bad):
    path = tmp_path / where
    path.parent.mkdir(parents=True)
    comments = '// #include "ops/ops.h"\n/*\n#include "ops/ops.h"\n*/\n'
    path.write_text(f"{comments}#include {include}\n")
    problems = layout_problems(tmp_path)
    assert bool(problems) == bad, problems
    if bad and "typo" not in where:
        assert f"{where}:5:" in problems[0]


def test_thread_locals_leave_room_for_cudas():
    said = "tls_model"
    found = {file.name for _, file in source_files(ROOT) if said in file.read_text()}
    assert found == {"thread_local.h"}, (
        "GS_INITIAL_EXEC says it, but for builds with CUDA's runtime"
    )
