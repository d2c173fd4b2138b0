"""Finds where a set's order, or that of a listing of files or finished threads, gets out."""

from __future__ import annotations

import ast

ASKED = {
    "sorted",
    "set",
    "frozenset",
    "len",
    "min",
    "max",
    "any",
    "all",
    "isin",
    "union",
    "intersection",
    "difference",
    "issubset",
    "issuperset",
    "isdisjoint",
    "update",
}
"""Functions to which the order of what they are given does not matter."""
PASSING_ON = {"list", "tuple", "iter", "enumerate", "join", "zip", "map", "str", "dict", "fromkeys"}
LISTINGS = {"glob", "rglob", "iterdir", "listdir", "scandir", "as_completed", "imap_unordered"}
SETS = {"set", "frozenset"}


def unordered(source: str) -> list[str]:
    """Return the places, as ``line: code``, of one file's source."""
    finder = _Finder()
    finder.visit(ast.parse(source))
    return finder.found


def _called(node: ast.AST) -> str:
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Subscript):
        function = function.value
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_set_type(annotation: ast.AST | None) -> bool:
    return annotation is not None and ast.unparse(annotation).split("[")[0] in SETS


class _Finder(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found: list[str] = []
        self.names: list[dict[str, bool]] = [{}]  # of the functions that are open
        self.above: list[ast.AST] = []

    def is_unordered(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Set | ast.SetComp) or _called(node) in SETS | LISTINGS:
            return True
        if isinstance(node, ast.BinOp) and isinstance(
            node.op, ast.BitAnd | ast.BitOr | ast.Sub | ast.BitXor
        ):
            sides = (node.left, node.right)
            return any(self.is_unordered(side) or _called(side) == "keys" for side in sides)
        return isinstance(node, ast.Name) and self.names[-1].get(node.id, False)

    def note(self, node: ast.AST) -> None:
        self.found.append(f"{node.lineno}: {ast.unparse(node)[:70]}")  # type: ignore[attr-defined]

    def only_asked(self) -> bool:
        """Whether the nearest call around takes no notice of the order."""
        for node in reversed(self.above):
            if isinstance(node, ast.Call):
                return _called(node) in ASKED
            if not isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.Starred):
                return isinstance(node, ast.Set)
        return False

    def generic_visit(self, node: ast.AST) -> None:
        self.above.append(node)
        super().generic_visit(node)
        self.above.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        arguments = [*node.args.args, *node.args.kwonlyargs]
        self.names.append({a.arg: _is_set_type(a.annotation) for a in arguments})
        self.generic_visit(node)
        self.names.pop()

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.names[-1][target.id] = self.is_unordered(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        if isinstance(node.target, ast.Name):
            self.names[-1][node.target.id] = _is_set_type(node.annotation)

    def visit_For(self, node: ast.For) -> None:
        if self.is_unordered(node.iter):
            self.note(node.iter)
        self.generic_visit(node)

    def visit_comprehension_of(self, node: ast.AST) -> None:
        through = any(self.is_unordered(g.iter) for g in node.generators)  # type: ignore[attr-defined]
        if through and not isinstance(node, ast.SetComp) and not self.only_asked():
            self.note(node)
        self.generic_visit(node)

    visit_ListComp = visit_DictComp = visit_GeneratorExp = visit_SetComp = visit_comprehension_of

    def visit_Call(self, node: ast.Call) -> None:
        passed_on = _called(node) in PASSING_ON and any(map(self.is_unordered, node.args))
        if passed_on and not self.only_asked():
            self.note(node)
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        if self.is_unordered(node.value) and not self.only_asked():
            self.note(node)
        self.generic_visit(node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> None:
        if self.is_unordered(node.value):
            self.note(node)
        self.generic_visit(node)
