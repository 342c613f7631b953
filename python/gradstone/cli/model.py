"""``gradstone summary``: the table of a model that a module makes."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import gradstone as gs
from gradstone import nn
from gradstone._C import dtype
from gradstone.cli.errors import UserError, first_line

_EXAMPLES = """\
examples:
  gradstone summary mymodels:Net --input 1,3,32,32
  gradstone summary mypackage.models:resnet --input 8,3,224,224 --depth 1
  gradstone summary net.py:Net                            parameters alone
  gradstone summary net.py:Classifier --input 4,16:int64  indices
  gradstone summary net.py:Pair --input 1,8 --input 1,4   two arguments
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "summary",
        help="a model's layers, output shapes, parameters, multiply-adds and memory",
        description="The table of a model: layers, output shapes, parameters, multiply-adds, "
        "memory. The module is imported and the model made and run, as your program would.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        metavar="MODULE:CALLABLE",
        help="what makes the model without arguments (a class, a function), or the model itself; "
        "MODULE is a dotted name, also from the current folder, or a .py file",
    )
    parser.add_argument(
        "--input",
        action="append",
        metavar="SHAPE[:DTYPE]",
        help="the shape of an argument, as 1,3,32,32; once for each argument",
    )
    parser.add_argument("--depth", type=int, help="levels of layers to show (default: all)")
    parser.add_argument("--train", action="store_true", help="run in training mode")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--traceback", action="store_true", help="show where in the model an error arose"
    )
    parser.set_defaults(run=run)


def _import(name: str) -> Any:
    """A module by its dotted name or its file."""
    try:
        if name.endswith(".py"):
            if not Path(name).is_file():
                raise UserError(f"there is no file {name!r}")
            sys.path.insert(0, str(Path(name).resolve().parent))
            spec = importlib.util.spec_from_file_location(Path(name).stem, name)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
            return module
        sys.path.insert(0, os.getcwd())
        return importlib.import_module(name)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"cannot import {name!r}: {first_line(error)}") from error


def _model(spec: str) -> nn.Module:
    """What MODULE:CALLABLE makes."""
    name, colon, path = spec.rpartition(":")
    if not (colon and name and path):
        raise UserError(f"expected MODULE:CALLABLE, as mymodels:Net, got {spec!r}")
    made = _import(name)
    for part in path.split("."):
        if not hasattr(made, part):
            raise UserError(f"{name!r} has no {path!r}")
        made = getattr(made, part)
    if not isinstance(made, nn.Module):
        if not callable(made):
            raise UserError(f"{spec!r} is no model, and cannot be called: {type(made).__name__}")
        try:
            made = made()
        except Exception as error:
            raise UserError(f"{path}() failed: {first_line(error)}") from error
    if not isinstance(made, nn.Module):
        raise UserError(f"{path}() gave no gradstone.nn.Module, but {type(made).__name__}")
    return made


def _shape(text: str) -> tuple[tuple[int, ...], dtype | None]:
    """(1, 16) and int64 of "1,16:int64"."""
    sizes, _, name = text.partition(":")
    parts = [part.strip() for part in sizes.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UserError(f"expected --input to be sizes as 1,3,32,32, got {text!r}")
    kind = getattr(gs, name, None) if name else None
    if name and not isinstance(kind, dtype):
        raise UserError(f"there is no dtype {name!r}, as float32 or int64, in --input {text}")
    return tuple(map(int, parts)), kind


def run(args: argparse.Namespace) -> None:
    from gradstone.model_summary import summary

    shapes = [_shape(text) for text in args.input or ()]
    if args.depth is not None and args.depth < 0:
        raise UserError(f"expected --depth to be at least 0, got {args.depth}")
    try:
        model = _model(args.model)
        inputs: Any = None
        if shapes:
            floating = next((p.dtype for p in model.parameters() if p.is_floating_point()), None)
            default = floating or gs.get_default_dtype()
            inputs = tuple(gs.zeros(*shape, dtype=kind or default) for shape, kind in shapes)
        try:
            result = summary(
                model, inputs, depth=args.depth, mode="train" if args.train else "eval"
            )
        except Exception as error:
            notes = "".join(f" {note}" for note in getattr(error, "__notes__", ()))
            raise UserError(first_line(error) + notes) from error
    except UserError as error:
        if args.traceback and error.__cause__ is not None:
            raise error.__cause__ from None
        raise
    if args.json:
        print(json.dumps({**dataclasses.asdict(result), "total_bytes": result.total_bytes}))
    else:
        print(result)
