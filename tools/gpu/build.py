"""The build: plain CMake with what the machine has, every target on its own.

`--keep-going`: a file that does not compile keeps the others from nothing, and all errors of a
first build are seen at once.
"""

from __future__ import annotations

import shutil
import site
import sys
import sysconfig
from pathlib import Path

from commands import Answer, program
from machine import CUDA_FOLDERS
from run import ROOT, Run, Stage

# What a later stage needs; built together, but each may fail alone.
TARGETS = ("gradstone_conformance_emu", "gradstone_ceilings", "gradstone_cuda_tests", "_C")


def targets(run: Run) -> tuple[str, ...]:
    return TARGETS if run.emulated else ("gradstone_conformance", *TARGETS)


def pybind11_folder(run: Run) -> Path | None:
    """pybind11's CMake files: of the package, of PyTorch's neighbours, or fetched by pip."""
    asked = run.call(run.python("-m", "pybind11", "--cmakedir"), 30)
    if asked.ok and asked.text.strip():
        return Path(asked.text.strip().splitlines()[-1])
    packages = {sysconfig.get_paths()["purelib"], *site.getsitepackages()}
    for folder in map(Path, packages):
        if (found := folder / "pybind11/share/cmake/pybind11").is_dir():
            return found
    into = run.build / "pybind11"
    pip = ["-m", "pip", "install", "--retries", "0", "--timeout", "5", "--target", into]
    run.call(run.python(*pip, "pybind11>=3.0"), 40)
    found = into / "pybind11/share/cmake/pybind11"
    return found if found.is_dir() else None


def options(run: Run) -> list[str]:
    out = [
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DGRADSTONE_CUDA={'EMU' if run.emulated else 'ON'}",
        "-DGRADSTONE_TESTS=OFF", "-DGRADSTONE_CUDA_TESTS=ON",
        "-DGRADSTONE_BASELINE_ONLY=ON",  # the CPU is a reference here, no more
    ]  # fmt: skip
    if not run.emulated:
        out.append(f"-DCMAKE_CUDA_ARCHITECTURES={run.architecture}-real")
        if nvcc := program("nvcc", *CUDA_FOLDERS):
            out.append(f"-DCMAKE_CUDA_COMPILER={nvcc}")
    if folder := pybind11_folder(run):
        out += ["-DGRADSTONE_PYTHON=ON", f"-Dpybind11_DIR={folder}"]
        out.append(f"-DPython_EXECUTABLE={sys.executable}")
    else:
        out.append("-DGRADSTONE_PYTHON=OFF")
        run.say("pybind11 is not here and pip has none: no Python module, no table, no benchmark")
    return out


def errors_of(answer: Answer, most: int = 40) -> str:
    """The lines that say what is wrong, of a build that prints thousands."""
    words = ("error", "FAILED", "fatal", "undefined reference", "CMake Error", "No such file")
    lines = [line for line in answer.text.splitlines() if any(word in line for word in words)]
    return "\n".join("    " + line[:300] for line in lines[:most]) or answer.end()


def configure(run: Run, *more: str) -> Answer:
    generator = ["-G", "Ninja"] if program("ninja") else []
    if (run.build / "CMakeCache.txt").exists():
        generator = []
    return run.call(["cmake", "-S", ROOT, "-B", run.build, *generator, *options(run), *more], 120)


def make_targets(run: Run, seconds: float) -> Answer:
    ninja = (run.build / "build.ninja").exists()
    keep_going = ["-k", "0"] if ninja else ["-k"]
    command = ["cmake", "--build", run.build, "-j", str(run.jobs), "--target", *targets(run)]
    return run.call([*command, "--", *keep_going], seconds)


def make_site(run: Run) -> bool:
    """The package as Python imports it: the checkout's files with the module that was built."""
    modules = sorted(run.build.glob("_C.*.so"), key=lambda p: p.stat().st_mtime)
    if not modules:
        return False
    package = run.site / "gradstone"
    shutil.rmtree(package, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "_C*.so")
    shutil.copytree(ROOT / "python/gradstone", package, ignore=ignored)
    shutil.copy2(modules[-1], package)
    return True


def imports(run: Run) -> Answer:
    code = (
        "import gradstone as gs\n"
        "x = gs.arange(1000, device='cuda').float()\n"
        "assert x.sum().item() == 499500\n"
        "print(gs.cuda.get_device_name(), gs.cuda.get_device_capability())"
    )
    return run.call(run.python("-c", code), 60, env=run.python_path())


def build(run: Run, seconds: float) -> Stage:
    stage = Stage("build")
    if not program("cmake"):
        return Stage("build", False, summary="there is no cmake here")
    configured = configure(run)
    if not configured.ok:
        run.say(errors_of(configured))
        run.say("  once more, without the Python module: the rest can do without")
        configured = configure(run, "-DGRADSTONE_PYTHON=OFF")
        if not configured.ok:
            run.say(errors_of(configured))
            return Stage("build", False, summary="cmake refused")
    for name in targets(run):  # what is there afterwards is of this build
        for old in run.build.glob(f"{name}.*.so" if name == "_C" else name):
            old.unlink()
    made = make_targets(run, seconds)
    if not made.ok:
        run.say(errors_of(made))
    there = {name: (run.build / name).exists() for name in targets(run)}
    there["_C"] = make_site(run)
    if there["_C"]:
        imported = imports(run)
        run.say("  the module: " + (imported.text.strip() if imported.ok else imported.end()))
        there["_C"] = imported.ok
    stage.ok = made.ok and all(there.values())
    missing = [name for name, is_there in there.items() if not is_there]
    stage.summary = f"for {'the emulator' if run.emulated else 'sm_' + run.architecture}"
    if missing:
        stage.summary += ", without " + ", ".join(missing)
    stage.data = {"missing": missing, "seconds": made.seconds}
    return stage
