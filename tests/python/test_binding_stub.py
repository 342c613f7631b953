"""The catalogue of operations, the module and its stub name the same things."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from gradstone import _C

ROOT = Path(__file__).resolve().parents[2]


def test_every_operation_is_bound():
    rows = _C.operations()
    assert len(rows) > 200 and len({row["cpp_name"] for row in rows}) == len(rows)
    for row in rows:
        assert row["doc"].endswith((".", ")")), row
        if row["kind"] in ("F", "FM", "N"):
            assert callable(getattr(_C, row["name"]))
        if row["kind"] in ("M", "FM"):
            assert callable(getattr(_C.Tensor, row["name"]))


def test_stub_is_what_the_catalogue_says():
    subprocess.run([sys.executable, str(ROOT / "tests" / "make_stub.py"), "--check"], check=True)


def test_stub_names_everything():
    tree = ast.parse((ROOT / "python" / "gradstone" / "_C.pyi").read_text())

    def names(body):
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                yield node.name
            elif isinstance(node, ast.AnnAssign):
                yield node.target.id

    tensor_body = next(
        n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Tensor"
    ).body
    missing = {n for n in dir(_C) if not n.startswith("__")} - set(names(tree.body))
    assert not missing
    code = (
        "from gradstone import _C; print(*[n for n in vars(_C.Tensor) if not n.startswith('__')])"
    )
    bare = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules['gradstone'] = type(sys)('gradstone'); "
         f"sys.modules['gradstone'].__path__ = {sys.modules['gradstone'].__path__!r}; {code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not set(bare.stdout.split()) - set(names(tensor_body))
