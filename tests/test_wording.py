"""Numbers and units as sentences write them."""

from __future__ import annotations

import pytest

from qa_suite.core.wording import measure_name, number, quantity


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1.00"),
        (0.99999999, "1.00"),
        (0.9994, "0.999"),
        (-0.99999, "−1.00"),
        (9.9999, "10.0"),
        (99.99, "100"),
        (0.0123456, "0.0123"),
        (1234.5, "1234"),
    ],
)
def test_three_significant_digits(value, text):
    assert number(value) == text


def test_more_digits_where_a_bound_would_look_reached():
    assert number(79.96, apart_from=80) == "79.96"


def test_units_and_names():
    assert quantity(3, "arbitrary") == "3.00 a.u."
    assert quantity(3, "% of P99") == "3.00 % of P99"
    assert quantity(3, "1") == "3.00"
    assert measure_name("suv_peak_difference_pct", "lesions") == (
        "SUVpeak difference, relative in lesions"
    )
    assert (
        measure_name("mtv_reference", "lesions", "41pct")
        == "MTV of the reference in lesions [41pct]"
    )
