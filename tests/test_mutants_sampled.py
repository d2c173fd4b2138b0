"""Planted faults stand where the list says, and scores are of random samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mutants.page import _row
from benchmarks.mutants.planted import planted_faults
from benchmarks.mutants.sampling import in_order, random_sample

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("fault", planted_faults(), ids=lambda fault: fault.name[:60])
def test_every_listed_fault_can_be_planted(fault) -> None:
    """Once and nowhere else; a changed line of code would end the whole run."""
    source = (ROOT / fault.file).read_text(encoding="utf-8")
    compile(fault.planted_in(source), fault.file, "exec")
    assert all((ROOT / test).is_file() for test in fault.tests)


def test_a_sample_ends_where_one_was_not_tried() -> None:
    """What an earlier run found further on stays out, for what it did not find is missing."""
    names = [f"m{n}" for n in range(20)]
    order = in_order(names, 1)
    assert sorted(order) == sorted(names) and order != names
    assert order == in_order(names[::-1], 1) != in_order(names, 2)
    outcomes = {order[0]: "test", order[1]: None, order[3]: "test", order[19]: "test"}
    assert random_sample(order, outcomes) == order[:2]
    assert random_sample(order, dict.fromkeys(names)) == order


def test_a_score_stands_with_wilsons_interval_where_not_all_were_tried() -> None:
    """9 of 10: (0.9 + z²/20 ± z sqrt(0.009 + z²/400)) / (1 + z²/10) with z = 1.96."""
    assert _row("a", 40, 10, 1) == "| a | 40 | 10 | 9 | 90.0 % (59.6 to 98.2 %) |"
    assert _row("a", 10, 10, 1) == "| a | 10 | 10 | 9 | 90.0 % |"
    assert _row("a", 10, 0, 0) == "| a | 10 | 0 | 0 | none |"
