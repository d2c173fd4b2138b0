"""Which mutants change nothing but a text that people read.

A key, a column or a reason code is a string too, and decides. So a mutant is one of a text where it
changes a string with a blank in it, a part of a formatted text or of a raised error, or takes such
a text away as a whole. That is read from the two versions of the function.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

_ORIGINAL = "__mutmut_orig"
Pair = tuple[ast.AST | None, ast.AST | None, bool]
"""Two nodes that stand in one place, and whether that is within a text."""


def functions_in(code: str) -> dict[str, ast.FunctionDef]:
    """Return the functions of a file with mutants, by the names that mutmut gave them."""
    return {
        node.name: node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)
    }


def is_of_a_text(mutant: str, functions: Mapping[str, ast.FunctionDef]) -> bool:
    """Whether a mutant (its function's name) changes a text and nothing else."""
    original = functions[mutant.rpartition("__mutmut_")[0] + _ORIGINAL]
    changes = list(_changes((original, functions[mutant], False)))
    return bool(changes) and all(_is_text(one) for one in changes)


def _changes(pair: Pair) -> Iterator[Pair]:
    """Yield the smallest places in which two versions differ, the function's name left out."""
    one, other, within = pair
    if one is None or other is None or type(one) is not type(other):
        yield pair
        return
    within = within or isinstance(one, ast.JoinedStr | ast.Raise)
    if isinstance(one, ast.Constant):
        if repr(one.value) != repr(getattr(other, "value", None)):
            yield one, other, within
        return
    mine, its = list(_children(one)), list(_children(other))
    if [name for name, _ in mine] != [name for name, _ in its]:
        yield one, other, within
        return
    for (_, first), (_, second) in zip(mine, its, strict=True):
        if isinstance(first, ast.AST) or isinstance(second, ast.AST):
            yield from _changes((first, second, within))  # type: ignore[arg-type]
        elif first != second and not isinstance(one, ast.FunctionDef):
            yield one, other, within


def _children(node: ast.AST) -> Iterator[tuple[str, object]]:
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):
            yield from ((f"{name}{place}", one) for place, one in enumerate(value))
        else:
            yield name, value


def _is_text(pair: Pair) -> bool:
    one, _, within = pair
    if isinstance(one, ast.Constant) and isinstance(one.value, str):
        return within or " " in one.value.strip()
    return isinstance(one, ast.JoinedStr)
