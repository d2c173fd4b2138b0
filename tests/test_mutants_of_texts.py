"""Which mutants change a text that people read, and which decide."""

from __future__ import annotations

import pytest

from benchmarks.mutants.texts import functions_in, is_of_a_text

TEXTS = [
    ('raise InputError("too few")', 'raise InputError("TOO FEW")'),
    ('raise InputError("few")', 'raise InputError("XXfewXX")'),
    ('raise InputError(f"{a} is b")', "raise InputError(None)"),
    ('said = f"{n} of {m}"', "said = None"),
    ('said = f"{n} of {m}"', 'said = f"{n} OF {m}"'),
    ('said = "no interval"', 'said = "XXno intervalXX"'),
]
DECIDE = [
    ("a = b < c", "a = b <= c"),
    ("a = b + 1", "a = b + 2"),
    ("a = b and c", "a = b or c"),
    ('a = row["case"]', 'a = row["CASE"]'),
    ('a = "pooled"', 'a = "XXpooledXX"'),
    ("f(a, b)", "f(a)"),
    ("f(a, b)", "f(None, b)"),
    ('f(a, "one two")', "f(a)"),
    ('said = f"{n + 1} of {m}"', 'said = f"{n - 1} of {m}"'),
    ("raise InputError(a + 1)", "raise InputError(a - 1)"),
    ("a = not b", "a = b"),
    ('a = x if y else "one two"', 'a = y if y else "one two"'),
]


def _functions(original: str, mutant: str):
    code = f"def x_f__mutmut_orig():\n    {original}\ndef x_f__mutmut_1():\n    {mutant}\n"
    return functions_in(code)


@pytest.mark.parametrize(("original", "mutant"), TEXTS)
def test_a_text_is_a_text(original: str, mutant: str) -> None:
    assert is_of_a_text("x_f__mutmut_1", _functions(original, mutant))


@pytest.mark.parametrize(("original", "mutant"), DECIDE)
def test_what_decides_is_none(original: str, mutant: str) -> None:
    assert not is_of_a_text("x_f__mutmut_1", _functions(original, mutant))
