"""Whether nvcc made the instructions that the kernels were written for.

python tests/cuda/instructions.py          # after a build with nvcc in build/nvcc

Each rule names a file, its kernels and what their code must hold: loads and stores of 16 bytes
where memory is dense, products of the tensor cores, copies past the registers. They are looked for
in the PTX, which is made here again, for one architecture.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from resources import ROOT, short_names

LOAD_16 = r"ld\.global(\.nc)?(\.L\w+)*\.(v4\.[a-z]32|v2\.[a-z]64|b128)"
STORE_16 = r"st\.global\.(v4\.[a-z]32|v2\.[a-z]64|b128)"
COPY_16 = r"cp\.async\.cg\.shared\.global \[[^\]]*\], \[[^\]]*\], 16"
LOAD_16_OR_8 = rf"{LOAD_16}|ld\.global(\.nc)?(\.L\w+)*\.(v2\.[a-z]32|b64|u64)"
PRODUCT_16 = r"mma\.sync\.aligned\.m16n8k16\.\S*f16"  # bf16 ends so too
PRODUCT_ASYNC = r"wgmma\.mma_async\.sync\.aligned\."
# Tiles come by the bulk tensor copy, which says so to a barrier.
WGMMA = (
    r"cp\.async\.bulk\.tensor\.\dd\.shared::cluster\.global",
    r"mbarrier\.try_wait",
    r"setmaxnreg\.inc",
)
ENTRY = re.compile(r"\.entry (\w+)\(")


@dataclass(frozen=True)
class Rule:
    source: str
    kernels: str  # a regular expression for their names
    instructions: tuple[str, ...]
    architecture: str = "80"


RULES = [
    Rule("compare.cu", r"^elementwise_kernel<", (LOAD_16,)),
    Rule("softmax.cu", r"^softmax_(grad_)?(long_)?rows<", (LOAD_16, STORE_16)),
    Rule("layer_norm.cu", r"_rows<", (LOAD_16, STORE_16)),
    Rule(
        "gemm_tensor.cu",
        r"^pipeline_kernel<.*bf16",
        (COPY_16, r"ldmatrix\.", r"mma\.sync\.aligned\.m16n8k16\.\S*bf16"),
    ),
    Rule(
        "gemm_tensor.cu",
        r"^pipeline_kernel<.*half",
        (COPY_16, r"ldmatrix\.", r"mma\.sync\.aligned\.m16n8k16\.\S*f16"),
    ),
    Rule("gemm_tf32.cu", r"^pipeline_kernel<", (COPY_16, r"mma\.sync\.aligned\.m16n8k8\.\S*tf32")),
    Rule("conv_product.cu", r"ConvTensorTile", (r"mma\.sync",)),
    Rule("gemm_vector.cu", r"^(dot|columns)_kernel<(?!double)", (LOAD_16_OR_8,)),
    Rule("attention_tensor.cu", r"^tensor_kernel<", (COPY_16, r"ldmatrix\.", PRODUCT_16)),
    Rule(
        "attention_tensor_grad.cu",
        r"^(key|query)_grad_kernel<",
        (COPY_16, r"ldmatrix\.", PRODUCT_16),
    ),
    Rule("gemm_wgmma.cu", r"^wgmma_kernel<.*bf16", (*WGMMA, PRODUCT_ASYNC + r"\S*bf16"), "90a"),
    Rule("gemm_wgmma.cu", r"^wgmma_kernel<.*half", (*WGMMA, PRODUCT_ASYNC + r"\S*f16"), "90a"),
    Rule("gemm_wgmma_tf32.cu", r"^wgmma_kernel<", (*WGMMA, PRODUCT_ASYNC + r"\S*tf32"), "90a"),
]


def command_for(build: Path, source: str, architecture: str, output: Path) -> list[str]:
    """The build's own command for a file, making PTX."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if Path(entry["file"]) != ROOT / "cuda" / source:
            continue
        words = shlex.split(entry["command"])
        while "nvcc" not in Path(words[0]).name:
            words.pop(0)  # a compiler cache
        kept, skip = [], False
        for word in words:
            if skip:
                skip = False
            elif word in ("-o", "-MF", "-MT"):
                skip = True
            elif word not in ("-c", "-MD") and not word.startswith(("--generate-code", "-Xptxas")):
                kept.append(word)
        return [*kept, f"-arch=compute_{architecture}", "-ptx", "-o", str(output)]
    raise SystemExit(f"{build} was not built from cuda/{source} with nvcc")


def make_ptx(build: Path, source: str, architecture: str) -> Path:
    output = build / "ptx" / f"{source}.{architecture}.ptx"
    output.parent.mkdir(exist_ok=True)
    subprocess.run(command_for(build, source, architecture, output), check=True, cwd=build)
    return output


def read_kernels(ptx: str) -> dict[str, str]:
    """Short name -> code of each kernel."""
    # From one to the next: assembly written by hand has lines that are no more than a brace.
    _, *parts = ENTRY.split(ptx)
    found = dict(zip(parts[::2], parts[1::2]))
    names = short_names(list(found))
    return {names[name]: code for name, code in found.items()}


def problems(rule: Rule, kernels: dict[str, str]) -> list[str]:
    chosen = {name: code for name, code in kernels.items() if re.search(rule.kernels, name)}
    if not chosen:
        return [f"{rule.source}: no kernel is named like {rule.kernels}"]
    return [
        f"{rule.source}: {name} has no {instruction}"
        for name, code in sorted(chosen.items())
        for instruction in rule.instructions
        if not re.search(instruction, code)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "nvcc")
    build = parser.parse_args().build.resolve()

    wanted = sorted({(rule.source, rule.architecture) for rule in RULES})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(lambda want: make_ptx(build, *want), wanted))
    kernels = {want: read_kernels(path.read_text()) for want, path in zip(wanted, made)}

    found = []
    for rule in RULES:
        found += problems(rule, kernels[rule.source, rule.architecture])
    print("\n".join(found), end="\n" if found else "")
    print(f"instructions of {len(wanted)} files by {len(RULES)} rules: {len(found)} missing")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
