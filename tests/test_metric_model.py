"""What a metric is: an entry of facts, declared once and measured by its family alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qa_suite.core.errors import Problems
from qa_suite.core.registry import Catalogue, Declared
from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Pair, Value, ok
from qa_suite.metrics.facts import (
    FAMILIES,
    METRICS,
    OF_NO_PAIR,
    REFERENCE_UNIT,
    FamilyFacts,
    MetricFacts,
    MetricFunctions,
    require_sound,
    unit_for,
)
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.settings import MeasureSettings


def facts(**changes: Any) -> MetricFacts:
    return METRICS["mae"].facts.model_copy(update=changes)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch):
    """Register metrics and families for one test alone."""
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))
    monkeypatch.setattr(FAMILIES, "_entries", dict(FAMILIES._entries))


def test_a_declared_name_is_taken():
    things: Catalogue[str] = Catalogue("thing")
    things.declare("hammer", "a fact")
    assert things["hammer"] == Declared(name="hammer", facts="a fact")
    with pytest.raises(ValueError, match="thing 'hammer' is registered twice"):
        things.declare("hammer", "another")


def test_every_metric_has_a_family_that_measures_it_and_an_honest_unit():
    require_sound()
    assert {entry.facts.family for entry in METRICS} == {e.name for e in FAMILIES} | {*OF_NO_PAIR}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"family": "imagee"}, "newcomer is of the family imagee, which there is not"),
        ({"unit": "HU"}, "newcomer is told in HU and measured on any reference"),
        ({"unit": "HU/mm"}, "newcomer is told in HU and measured on any reference"),
        ({"unit": "SUVbw", "quantities": ("HU", "SUVbw")}, "newcomer is told in SUVbw"),
    ],
)
def test_a_metric_that_nobody_measures_or_whose_unit_is_wrong_is_refused(registered, changes, says):
    METRICS.declare("newcomer", facts(**changes))
    METRICS.declare("another", facts(family="imagee"))
    with pytest.raises(Problems, match="2 problems") as told:
        require_sound()
    assert says in str(told.value) and "another is of the family" in str(told.value)


def test_what_has_a_meaning_in_one_quantity_may_be_told_in_its_unit(registered):
    METRICS.declare("newcomer", facts(unit="HU", quantities=("HU",), because="it is told by HU"))
    require_sound()


@pytest.mark.parametrize("reference", ["HU", "SUVbw", "% of P99"])
def test_a_unit_follows_the_reference_where_it_says_so_and_nowhere_else(reference):
    assert unit_for("mae", reference) == reference
    assert unit_for("gradient_error", reference) == f"{reference}/mm"
    assert unit_for("threshold_shift", reference) == "HU"
    for entry in METRICS:
        told = unit_for(entry.name, reference)
        assert REFERENCE_UNIT not in told
        assert (told == entry.facts.unit) == (REFERENCE_UNIT not in entry.facts.unit)


def test_a_function_stands_with_the_family_that_applies_it(registered):
    functions: MetricFunctions[Any] = MetricFunctions("image")
    with pytest.raises(ValueError, match="measured by the family image, and its facts say pet"):
        functions.add("newcomer", facts(family="pet"))
    with pytest.raises(ValueError, match="'mae' is registered twice"):
        functions.add("mae", facts())
    assert functions.add("newcomer", facts())(abs) is abs
    assert dict(functions) == {"newcomer": abs} and "newcomer" in METRICS


def test_a_family_writes_no_rows_of_another(registered):
    def greedy(pair: Pair, settings: None) -> list[Value]:
        return [ok("mae", "body", 1.0)]

    FAMILIES.add("greedy", FamilyFacts(title="A family that writes what is not its own"))(greedy)
    volume = Volume(
        array=np.zeros((3, 3, 3), np.float32),
        grid=Grid(shape=(3, 3, 3), spacing_mm=(1, 1, 1)),
        quantity="HU",
    )
    pair = Pair(reference=volume, synthetic=volume, mask=np.ones((3, 3, 3), dtype=bool))
    (row,) = measure_pair(
        pair, families=["greedy"], settings=MeasureSettings(), case="c", patient="p", site="s"
    ).rows
    assert row.status == "error" and "gave rows of mae, not its own" in row.why
