"""Which verb can say which message: the calls that lead from a verb to a text of the code.

Read off the source, by names: a function is reached where reached code names it, a class with all
its methods. What is found by a registry at run time is not followed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.advice import GAP, PACKAGES
from tests.conftest import ROOT

Function = ast.FunctionDef | ast.AsyncFunctionDef
Key = tuple[str, str]
"""Module and name, ``Class.method`` of a method."""


@dataclass
class Module:
    """Names of a module: what it defines, and what it imports from where."""

    name: str
    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    imported: dict[str, Key] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)


@cache
def modules() -> dict[str, Module]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = _read(path)
            found[module.name] = module
    return found


def _read(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = Module(name=".".join(parts).removesuffix(".__init__"))
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, Function):
            module.functions[node.name] = node
        elif isinstance(node, ast.ClassDef):
            module.classes[node.name] = node
            for inner in node.body:
                if isinstance(inner, Function):
                    module.functions[f"{node.name}.{inner.name}"] = inner
    _imports(tree, module.imported, module.modules)
    return module


def _imports(tree: ast.AST, imported: dict[str, Key], named: dict[str, str]) -> None:
    """Imports anywhere in a tree; those within functions count for the whole of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                imported[alias.asname or alias.name] = (node.module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                named[alias.asname or alias.name.split(".")[0]] = alias.name


def _resolve(key: Key, depth: int = 0) -> list[Key]:
    """The functions that a name stands for: itself, all methods of a class, what is passed on."""
    place, name = key
    module = modules().get(place)
    if module is None or depth > 5:
        return []
    if name in module.functions:
        return [key]
    if name in module.classes:
        own = [(place, f) for f in module.functions if f.startswith(f"{name}.")]
        for base in module.classes[name].bases:
            if isinstance(base, ast.Name):
                target = module.imported.get(base.id, (place, base.id))
                own += _resolve(target, depth + 1) if target != key else []
        return own
    if name in module.imported:
        return _resolve(module.imported[name], depth + 1)
    return []


def _named(key: Key) -> set[Key]:
    """The functions that one function names."""
    module = modules()[key[0]]
    node = module.functions[key[1]]
    imported, named = dict(module.imported), dict(module.modules)
    _imports(node, imported, named)
    found: set[Key] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found.update(_resolve(imported.get(part.id, (key[0], part.id))))
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            where = part.value.id
            if where in ("self", "cls") and "." in key[1]:
                found.update(_resolve((key[0], f"{key[1].split('.')[0]}.{part.attr}")))
            elif where in imported:  # a module, or a class with its own constructor
                place = ".".join(imported[where])
                found.update(_resolve((place, part.attr)))
                found.update(_resolve((imported[where][0], f"{imported[where][1]}.{part.attr}")))
            elif where in named:
                found.update(_resolve((named[where], part.attr)))
    return found - {key}


@cache
def reached(start: Key) -> frozenset[Key]:
    """Every function that a verb may call."""
    seen, waiting = {start}, [start]
    while waiting:
        for key in _named(waiting.pop()):
            if key not in seen:
                seen.add(key)
                waiting.append(key)
    return frozenset(seen)


@cache
def verb_functions() -> dict[str, Key]:
    """The function of each verb of the command."""
    from qa_suite.cli import app

    found: dict[str, Key] = {}
    for command in app.registered_commands:
        function: Any = command.callback
        name = command.name or function.__name__.replace("_", "-")
        found[name] = (function.__module__, function.__name__)
    return found


def messages(key: Key) -> Iterator[tuple[str, str]]:
    """The texts of a function, with their place; neither its description nor its options' help."""
    module = modules()[key[0]]
    function = module.functions[key[1]]
    place = key[0].replace(".", "/")
    for statement in function.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        inside = {
            id(part)
            for node in ast.walk(statement)
            if isinstance(node, ast.JoinedStr)
            for part in node.values
        }
        for node in ast.walk(statement):
            if isinstance(node, ast.JoinedStr):
                words = "".join(
                    str(p.value) if isinstance(p, ast.Constant) else GAP for p in node.values
                )
            elif (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in inside
            ):
                words = node.value
            else:
                continue
            yield f"{place}.py:{node.lineno}", words
