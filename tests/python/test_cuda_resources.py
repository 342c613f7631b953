"""The tool behind `make test-nvcc`: it must see what grew, what is new, and what is gone."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / "cuda" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


resources = load("resources")
Usage = resources.Usage

KERNEL = "_ZN2gs4cuda36_GLOBAL__N__0a1b2c3d_4_a_cu_0a1b2c3d3addI{}EEvPT_S3_l"
HALF, FLOAT = KERNEL.format("NS_4HalfE"), KERNEL.format("f")
LISTING = f"""\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '{HALF}' for 'sm_80'
ptxas info    : Function properties for {HALF}
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 256 bytes smem, 385 bytes cmem[0]
ptxas info    : Compile time = 18.272 ms
ptxas info    : Compiling entry function '{FLOAT}' for 'sm_90a'
ptxas info    : Function properties for {FLOAT}
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, used 0 barriers
"""


def test_listings_are_read():
    assert resources.read_listing(LISTING) == {
        (HALF, "sm_80"): Usage(40, 256, 16, 8, 12),
        (FLOAT, "sm_90a"): Usage(32),
    }


@pytest.mark.skipif(shutil.which("c++filt") is None, reason="c++filt (binutils) reads names")
def test_names_are_short():
    assert resources.short_names([HALF, FLOAT]) == {HALF: "add<half>", FLOAT: "add<float>"}


def test_overloads_keep_their_parameters(monkeypatch):
    texts = {"a": "void gs::cuda::k<3>(float*)", "b": "void gs::cuda::k<3>(double*)", "c": "f(int)"}
    monkeypatch.setattr(resources, "demangle", lambda names: [texts[name] for name in names])
    assert resources.short_names(["a", "b", "c"]) == {
        "a": "k<3>(float*)",
        "b": "k<3>(double*)",
        "c": "f",
    }


@pytest.mark.parametrize("usage", [Usage(7), Usage(40, 256), Usage(255, 0, 16, 8, 12)])
def test_usages_are_written_and_read(usage):
    assert Usage.parse(str(usage)) == usage


def test_tables_are_written_and_read(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "TABLE", tmp_path / "resources")
    kernels = {
        "a.cu": {"k<(Op)3,float>": {"sm_80": Usage(40, 256), "sm_90a": Usage(41)}},
        "deep/b.cu": {"one": {"sm_80": Usage(9)}, "two": {"sm_90a": Usage(200, 0, 8, 4, 4)}},
    }
    resources.write_table(kernels, "nvcc 13.0")
    assert resources.read_table() == (kernels, {"nvcc 13.0"})
    resources.write_table({"a.cu": kernels["a.cu"]}, "nvcc 13.0")
    assert list(resources.read_table()[0]) == ["a.cu"]


@pytest.mark.parametrize(
    ("was", "is_", "wrong", "better"),
    [
        (Usage(40), Usage(40), 0, 0),
        (Usage(40), Usage(41), 1, 0),
        (Usage(40), Usage(38), 0, 1),
        (Usage(40), Usage(38, 16), 1, 0),
        (Usage(40, 16), Usage(40, 8), 0, 1),
        (Usage(40), Usage(40, 0, 8), 1, 0),
        (Usage(40, 0, 8, 8, 8), Usage(40, 0, 8, 8, 12), 1, 0),
        (Usage(40, 0, 8, 8, 8), Usage(40), 0, 1),
        (None, Usage(40), 1, 0),
        (Usage(40), None, 1, 0),
    ],
)
def test_changes_are_judged(was, is_, wrong, better):
    def table(usage):
        return {"a.cu": {"k": {"sm_80": usage}} if usage else {}}

    found = resources.compare(table(is_), table(was))
    assert (len(found[0]), len(found[1])) == (wrong, better)
    assert all("a.cu: k on sm_80" in line for line in found[0] + found[1])


def test_instructions_are_looked_for_in_each_kernel():
    instructions = load("instructions")
    ptx = (
        ".visible .entry _Z1av(\n\t.param .u64 a\n)\n{\n\tld.global.nc.v4.u32 \t{%r1}, [%rd1];\n}\n"
        ".visible .entry _Z1bv()\n{\n\tld.global.u32 \t%r1, [%rd1];\n}\n"
    )
    kernels = instructions.read_kernels(ptx)
    assert set(kernels) == {"a", "b"}
    rule = instructions.Rule("a.cu", "^[ab]$", (instructions.LOAD_16,))
    (problem,) = instructions.problems(rule, kernels)
    assert problem.startswith("a.cu: b has no ")
    (problem,) = instructions.problems(instructions.Rule("a.cu", "c", ()), kernels)
    assert "no kernel" in problem
