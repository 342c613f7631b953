"""``gradstone info``: what a bug report needs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from gradstone import _C
from gradstone.config import __version__, _cuda

_PACKAGES = (
    "numpy", "ml_dtypes", "safetensors",  # always needed
    "Pillow", "matplotlib", "rich", "tensorboardX", "onnx", "onnxruntime", "mpi4py", "torch",
)  # fmt: skip


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "info",
        help="version, instruction set, threads, CUDA, dependencies: what a bug report needs",
        description="What a bug report needs to say of the program and the machine.",
        epilog="examples:\n  gradstone info\n  gradstone info --json > info.json\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def commit(package: Path) -> str | None:
    """The commit that the package in this folder is of: where it lies in a git repository as one of
    its own files, or where pip noted that it installed one. With "+changes" when files differ."""
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is not None:
        head = _git(package, "rev-parse", "--short=12", "HEAD")
        changed = _git(package, "status", "--porcelain", "--untracked-files=no", ".")
        return f"{head}+changes" if head and changed else head
    try:
        text = metadata.distribution("gradstone").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    origin = json.loads(text) if text else {}
    return origin.get("vcs_info", {}).get("commit_id")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name as the system gives it."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def gather() -> dict[str, Any]:
    """Everything, ready for JSON."""
    package = Path(__file__).resolve().parents[1]
    return {
        "gradstone": __version__,
        "commit": commit(package),
        "folder": str(package),
        "instruction set": _C.isa(),
        "best instruction set": _C.best_isa(),
        "threads": _C.num_threads(),
        "CPUs": len(os.sched_getaffinity(0)),
        "processor": processor(),
        "CUDA": _cuda(),
        "Python": sys.version.split()[0],
        "platform": platform.platform(),
        "settings": {
            name: value for name, value in os.environ.items() if name.startswith("GRADSTONE_")
        },
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def run(args: argparse.Namespace) -> None:
    facts = gather()
    if args.json:
        print(json.dumps(facts, indent=2))
        return
    facts["commit"] = facts["commit"] or "unknown"
    settings, packages = facts.pop("settings"), facts.pop("packages")
    rows = [(name, str(value)) for name, value in facts.items()]
    rows += [(name, f"{value} (environment)") for name, value in settings.items()]
    rows += [(name, version or "not installed") for name, version in packages.items()]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name.ljust(width)}  {value}")
