"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path

from commands import program
from run import ROOT, Run, Stage

CUDA_FOLDERS = tuple(
    map(Path, ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer", "/opt/cuda/bin"))
)
DRIVER_FOLDERS = (Path("/usr/local/nvidia/bin"), Path("/usr/bin"))
PACKAGES = ("numpy", "ml_dtypes", "safetensors", "pybind11", "pytest", "torch")


def version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def architecture_of(capability: str) -> str:
    """What nvcc calls the card of a compute capability: 9.0 -> 90a."""
    major, _, minor = capability.partition(".")
    number = major + minor
    return number + "a" if number == "90" else number


def look(run: Run) -> Stage:
    stage = Stage("machine")
    about = run.about
    fields = "name,driver_version,compute_cap,memory.total,clocks.max.sm,clocks.max.memory"
    smi_program = program("nvidia-smi", *DRIVER_FOLDERS) or "nvidia-smi"
    smi = run.call([smi_program, f"--query-gpu={fields}", "--format=csv,noheader"], 30)
    first = smi.text.strip().splitlines()[0].split(", ") if smi.ok and smi.text.strip() else []
    if run.emulated:
        about["device"] = "emulator"
    elif len(first) == 6:
        about |= dict(
            zip(("device", "driver", "capability", "memory", "clock", "memory clock"), first)
        )
        run.architecture = architecture_of(about["capability"])
    else:
        stage.ok = False
        about["device"] = "none found"
        run.say("nvidia-smi names no GPU: " + smi.end(3))
    nvcc = program("nvcc", *CUDA_FOLDERS)
    told = run.call([nvcc, "--version"], 30).text if nvcc else ""
    found = re.search(r"release ([\d.]+), V([\d.]+)", told)
    about["nvcc"] = found[2] if found else "not found"
    gxx = run.call(["g++", "-dumpfullversion"], 10)
    about["g++"] = gxx.text.strip() if gxx.ok else "not found"
    git = run.call(["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=10"], 10)
    about["commit"] = git.text.strip() if git.ok else os.environ.get("COMMIT", "unknown")
    about["python"] = platform.python_version()
    about["cpus"] = str(len(os.sched_getaffinity(0)))
    about |= {name: version(name) for name in PACKAGES}
    for key, value in about.items():
        run.say(f"  {key:14} {value}")
    stage.summary = about["device"]
    return stage
