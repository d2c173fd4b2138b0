"""The drawn control charts: what stands on the page is what the log says."""

from __future__ import annotations

import re

import pytest

from qa_suite.checkup.over_time import control_over_time
from qa_suite.cli.checkup import _draw
from tests.test_checkup_over_time import QUIET, STEADY, log_of

DOT = re.compile(r"<title>check-up (\d+): (-?[\d.e+-]+) HU</title>")
CROSS = re.compile(r"<title>check-up (\d+): no value")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A log of three measures: one quiet, one grossly off at its end, one that still learns."""
    quiet = [*STEADY, *QUIET[:3], None, *QUIET[4:8]]
    found = control_over_time(
        [
            *log_of(quiet, metric="mae"),
            *log_of([*STEADY, *QUIET[:7], 400.0], metric="shifted"),
            *log_of(STEADY[:9], metric="new", start=19),
        ]
    )
    out = _draw(found, tmp_path_factory.mktemp("charts") / "deep" / "charts.html")
    return found, quiet, out.read_text(encoding="utf-8")


def section(text: str, name: str) -> str:
    (part,) = [part for part in text.split("<section>")[1:] if f"<h2>{name}" in part]
    return part


def test_every_check_up_is_drawn_with_its_value_or_a_cross(page):
    _, quiet, text = page
    part = section(text, "MAE in body")
    drawn = {int(place): float(value) for place, value in DOT.findall(part)}
    assert drawn == pytest.approx(
        {place: value for place, value in enumerate(quiet, 1) if value is not None}, rel=1e-3
    )
    assert CROSS.findall(part) == ["24"]


def test_what_needs_a_look_comes_first_with_a_ring_and_its_sentence(page):
    found, _, text = page
    assert [chart.state for chart in found.measures] == ["in control", "out of control", "baseline"]
    states = re.findall(r'<h2>[^<]* <small class="inline">([^<]*)</small>', text)
    assert states == ["out of control", "in control", "baseline"]
    (signal,) = [one for one in found.signals if one.rule == "point"]
    assert signal.places == (28,)
    part = section(text, "shifted in body")
    assert part.count(signal.sentence) == 2  # of the ring, and below the chart
    assert signal.sentence not in section(text, "MAE in body")


def test_the_page_says_state_sentence_and_needs_nothing_from_elsewhere(page):
    found, _, text = page
    assert f"</span>{found.state.capitalize()}</h1>" in text and found.sentence in text
    assert "default-src 'none'" in text and "<script" not in text
    assert "values to learn from" in section(text, "new in body")
