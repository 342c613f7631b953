"""Shapes: the rows of shape.def, one file for each family of csrc/ops."""

from __future__ import annotations

from op_specs import join, view

ROWS = [*view.ROWS, *join.ROWS]
