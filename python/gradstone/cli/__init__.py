"""The command line: ``gradstone info``, ``demo``, ``bench`` and ``summary``.

Each command is one file with ``add(commands)``, which describes its arguments, and ``run(args)``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from gradstone.cli import bench, demo, info, model
from gradstone.cli.errors import UserError, first_line
from gradstone.config import __version__

__all__ = ["main"]

_EXAMPLES = """\
examples:
  gradstone info                  what a bug report needs
  gradstone demo                  train a small network on pictures of digits, in seconds
  gradstone bench                 a few timings, beside PyTorch's where it is installed
  gradstone summary mymodels:Net --input 1,3,32,32
"""


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the arguments."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gradstone",
        description="gradstone on the command line.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gradstone {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    for command in (info, demo, bench, model):
        command.add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code: 0, 2 for a mistake of the user's (one line on
    stderr), 1 where memory, disk or reader fail, 130 after Ctrl-C."""
    args = _parser().parse_args(arguments)
    try:
        args.run(args)
        if sys.stdout is not None:
            sys.stdout.flush()
    except UserError as error:
        print(f"gradstone {args.command}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\ngradstone {args.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _forget_output()  # the reader (head, less) has left
        return 1
    except (OSError, MemoryError) as error:
        print(f"gradstone {args.command}: error: {first_line(error)}", file=sys.stderr)
        _forget_output()  # where the disk is full, the rest does not fit either
        return 1
    return 0


def _forget_output() -> None:
    """Python would complain once more when it closes stdout."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
