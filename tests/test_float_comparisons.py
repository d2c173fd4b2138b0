"""Numbers out of other people's files are never compared exactly: see qa_suite.core.tolerances.

The source of everything that handles plans and doses is searched for exact comparisons
(``==``, ``!=``, ``in``) and exact sets of quantities: angles, lengths, energies, weights,
metersets, doses. What remains stands in a short list, each with its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from qa_suite.core import tolerances

ROOT = Path(tolerances.__file__).parent.parent
SEARCHED = sorted({*ROOT.glob("io/rt/**/*.py"), *ROOT.glob("dose/**/*.py")})
QUANTITY = re.compile(
    r"(_deg|_mm|_mev|_mv|_mu|_gy|_pct)$"
    r"|^(gantry|couch|collimator|angle|angles|weight|weights|meterset|metersets|energy|energies"
    r"|dose|sad|ssd|turn|couch_angle|spacing|thickness)$"
)
EXACT_SETS = ("set", "frozenset", "unique", "Counter")

EXCUSED = {
    ("dose/plan/targets.py", "rule.margin_mm == 0"): "the suite's own template; 0 is written as 0",
    (
        "dose/dvh/curve.py",
        "volume_pct == 0",
    ): "what the caller asks for; 0 and 100 % have no neighbour",
    ("dose/dvh/curve.py", "volume_pct == 100"): "as above",
    ("dose/dvh/kernels.py", "weight == 0.0"): "skips sub-voxels that hold nothing; a nearly empty "
    "one counts for nearly nothing",
    (
        "dose/range/raytrace_kernels.py",
        "step == 0.0",
    ): "guards a division, of the suite's own numbers",
    ("dose/range/raytrace_kernels.py", "value != 0.0"): "skips a product that is zero",
    ("dose/protons/kernels.py", "count == 0.0"): "as above",
    ("dose/protons/kernels.py", "sources[b, k, y, x] != 0.0"): "as above",
    ("dose/protons/kernels.py", "value == 0.0"): "as above",
    ("dose/protons/engine.py", "np.unique(s.energy_mev)"): "counts layers for the record",
    ("dose/protons/dose.py", "np.unique(spots.energy_mev, return_inverse=True)"): "groups equal "
    "energies to save time; energies a rounding apart are computed apart, with the same dose",
}
"""Each place, and why an exact comparison is right there."""


def words_of(node: ast.AST) -> Iterator[str]:
    """Names in an expression, but for what is only counted or written out."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in ("len", "str", "text_of", "isinstance", "list"):
            return
        yield from (word for part in (*node.args, node.func) for word in words_of(part))
        return
    if isinstance(node, ast.Attribute):
        if node.attr in ("size", "shape", "ndim", "dtype", "name", "unit", "kind", "identifier"):
            return
        yield node.attr
        return
    if isinstance(node, ast.Name):
        yield node.id
        return
    for child in ast.iter_child_nodes(node):
        yield from words_of(child)


def quantity(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float)
    if isinstance(node, (ast.List, ast.ListComp, ast.Dict)) and not any(words_of(node)):
        return False
    turned = (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mod)
        and isinstance(node.right, ast.Constant)
        and node.right.value in (180, 360)
    )
    return turned or any(QUANTITY.search(word) for word in words_of(node))


def exact_comparisons(source: str) -> list[str]:
    """Expressions of a source that compare or collect quantities exactly."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for first, op, second in zip(sides, node.ops, sides[1:], strict=False):
                texts = [s for s in (first, second) if isinstance(getattr(s, "value", 0), str)]
                nothing = [s for s in (first, second) if getattr(s, "value", 0) is None]
                if texts or nothing or not isinstance(op, (ast.Eq, ast.NotEq, ast.In, ast.NotIn)):
                    continue
                if isinstance(op, (ast.In, ast.NotIn)):
                    second = first  # a name in a dict of doses is no dose
                if quantity(first) or quantity(second):
                    found.append(ast.unparse(node))
                    break
        elif isinstance(node, ast.SetComp) and quantity(node.elt):
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in EXACT_SETS and node.args and quantity(node.args[0]):
                found.append(ast.unparse(node))
    return found


def test_no_quantity_is_compared_exactly():
    assert len(SEARCHED) > 40
    found = {
        (str(path.relative_to(ROOT)), text)
        for path in SEARCHED
        for text in exact_comparisons(path.read_text())
    }
    fresh = sorted(f"{file}: {text}" for file, text in found - set(EXCUSED))
    assert not fresh, "compare by qa_suite.core.tolerances, or excuse with a reason:\n" + "\n".join(
        fresh
    )
    stale = sorted(f"{file}: {text}" for file, text in set(EXCUSED) - found)
    assert not stale, "no longer there:\n" + "\n".join(stale)


PLANTED = (
    "couch % 360.0 == 180.0",
    "values[0] != 0.0",
    "{point.energy_mv for point in points}",
    "len(set(beam.meterset for beam in beams)) > 1",
    "gantry_deg in (0, 180)",
    "first.couch_deg == second.couch_deg",
    "(a.gantry_deg, 1) == (b.gantry_deg, 1)",
    "np.unique(energies)",
    "0.0 < x == 1.5",
    "not beam.sad_mm != machine.sad_mm",
)


@pytest.mark.parametrize("source", PLANTED)
def test_the_search_finds_what_it_looks_for(source):
    assert exact_comparisons(source)


@pytest.mark.parametrize(
    "source",
    [
        "len(weights) == 2",
        "unit != 'MU'",
        "beam.sad_mm is None",
        "weights.size == 0",
        "abs(a_deg - b_deg) <= ANGLE_DEG",
        "name in doses",
        "weight > 0",
        "number == 3",
    ],
)
def test_the_search_lets_the_rest_pass(source):
    assert not exact_comparisons(source)


@pytest.mark.parametrize(
    ("start", "end", "turn"),
    [
        (90, 89.9999999, -1e-7),
        (359.9999999, 0, 1e-7),
        (0, 180, 180),
        (180, 0, 180),
        (350, 10, 20),
        (10, 350, -20),
        (-90, 270, 0),
        (0, 720, 0),
    ],
)
def test_turns_go_the_short_way(start, end, turn):
    assert tolerances.turn_deg(start, end) == pytest.approx(turn, abs=1e-9)


@pytest.mark.parametrize("angle", [-1e-17, 360.0, 359.99999999, 720, -360, 0])
def test_a_wrapped_angle_lies_below_a_whole_turn(angle):
    assert tolerances.wrapped_deg(angle) == 0
    assert tolerances.same_angle(angle)


def test_distinct_values_differ_by_more_than_the_tolerance():
    assert tolerances.distinct([6.0, 10.0, 6.004, 6.0], 0.01) == (6.0, 10.0)
    assert tolerances.distinct([], 0.01) == ()
