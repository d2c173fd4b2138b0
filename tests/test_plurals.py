"""Counts in sentences are said by ``core.wording.count``: '1 findings' is never written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    p for room in ("qa_suite", "reports", "translators") for p in (ROOT / room).rglob("*.py")
)
TEMPLATES = sorted((ROOT / "reports").rglob("*.j2"))
ALSO = {"cases", "charts", "columns", "fields", "fractions", "hazards", "items", "iterations"}
ALSO |= {"models", "rows", "runs", "strata", "tables", "weights"}
"""Nouns that are counted, beside those that :func:`count` is asked for anywhere."""
NAMES = ("count", "count_of", "counted")


def counted_somewhere() -> Iterator[str]:
    """Yield the plural of every noun that the source counts as it should."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in NAMES:
                continue
            words = [str(a.value).split() for a in node.args[1:] if isinstance(a, ast.Constant)]
            if len(words) == 1:
                yield f"{words[0][-1]}s"
            elif words:
                yield words[1][0]  # a verb may follow


MEASURED = {"voxels", "points", "positions", "times"}
"""Thousands of them, coordinates, and what is only said from two on."""
COUNTED = sorted((ALSO | set(counted_somewhere())) - MEASURED)
VERBS = (
    "by|is|are|was|holds|has|have|and|or|the|of|no|gets|cannot|tell|over|all|nor|neither|need|needs"
    "|as|at|for|from|in|on|to|with|without|mm"
)
NOUN = re.compile(rf"^ (?:(?!(?:{VERBS})\b)[a-z-]+ ){{0,2}}(?:{'|'.join(COUNTED)})\b")
WORDS = re.compile(r"(quantity|family|name|path|source|kind|verb|which|what)$")
"""Ends of names that are no counts."""
IN_TEMPLATE = re.compile(rf"\}}\}} (?:(?!of\b)[a-z-]+ )?(?:{'|'.join(COUNTED)})\b")
ALWAYS_SEVERAL = re.compile(r"^[A-Z_]+$")
"""Constants: what the code itself sets, and never to one."""


def loose_counts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and words where a number and a plural noun follow each other in an f-string."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, words in zip(node.values, node.values[1:], strict=False):
            if not isinstance(value, ast.FormattedValue) or not isinstance(words, ast.Constant):
                continue
            number = ast.unparse(value.value)
            said = str(words.value)
            if value.format_spec is not None:
                continue  # a measured number, which is never said to be one
            if not NOUN.match(said) or ALWAYS_SEVERAL.match(number) or WORDS.search(number):
                continue
            if is_a_number(value.value):
                yield node.lineno, f"{{{number}}}{said[:40]}"


def is_a_number(node: ast.expr) -> bool:
    """Whether an expression may be a count, and is not words that a function made."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        counting = name in ("len", "sum", "int", "round", "min", "max")
        return counting or name.endswith("nunique")
    return isinstance(node, ast.Name | ast.Attribute | ast.BinOp | ast.Subscript)


def test_the_search_finds_the_kind():
    code = 'f"{n} findings"; f"{len(x)} of {k} held-out patients"; f"{count(n, \'case\')} of sites"'
    found = [words for _, words in loose_counts(ast.parse(code))]
    assert found == ["{n} findings", "{k} held-out patients"]
    assert IN_TEMPLATE.search("{{ n }} cases measured")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_sentence_counts_by_hand(path: Path):
    found = list(loose_counts(ast.parse(path.read_text(encoding="utf-8"))))
    assert not found, f"say it with count(): {found}"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_no_template_counts_by_hand(path: Path):
    text = path.read_text(encoding="utf-8")
    assert IN_TEMPLATE.findall(text) == []
    assert not re.search(r"""["']s["'] if """, text), "say it with counted()"


def test_nouns_are_learnt_from_what_is_counted():
    assert {"findings", "patients", "criteria", "fractions", "beams"} <= set(COUNTED)
    assert len(COUNTED) > 40
