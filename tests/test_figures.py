"""Every figure: grey print says what its colours say, and its numbers stand beside it."""

from __future__ import annotations

import ast
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from qa_suite.audit.audit import audit_material
from qa_suite.audit.joined import join
from qa_suite.core.verdict_files import overall
from qa_suite.core.volume import Grid, Volume
from reports.facts.readiness import gather
from reports.figures import dose_maps, numbers, panels, range_maps, signs
from reports.figures.control_charts import ControlChart
from reports.html.audit import render_audit
from reports.html.control_charts import write_control_charts
from reports.html.report import render
from tests.audit_cases import at_site, profile, source
from tests.dose_record_factory import make_dose_record

FIGURES = Path(panels.__file__).parent
IN_A_ROW = {
    "finding_bar": "its finding's row",
    "gap_bar": "its gap's row",
    "interval_bar": "the row it is drawn in",
    "flow_diagram": "the counts of the cohort by site",
    "forest": "the audit's table of the numbers",
}
"""Figures whose numbers stand in a table that the page has anyway."""
WITHOUT_NUMBERS = {"panel", "case_panel", "dose_panel", "range_map"}
"""Pictures of voxels: they have a scale, and their case its measures."""
LEGENDS = {"diverging_bar", "colour_bar", "isodose_legend", "difference_legend", "gamma_legend"}
"""Legends say what the colours and lines of others mean."""
WITH_NUMBERS = {
    "strip_plot": "strip_numbers",
    "curve_plot": "curve_numbers",
    "dvh_plot": "dvh_numbers",
    "cause_bars": "cause_numbers",
    "histogram": "histogram_numbers",
    "range_histogram": "histogram_numbers",
    "control_chart": "control_numbers",
    "distance_plot": "distance_numbers",
    "follow_plot": "follow_numbers",
}
DRAWN = ("strip", "curve", "dvh", "histogram", "control", "forest")
"""Kinds of drawing, as their class names them, beside which a table is to stand."""


def drawings() -> dict[str, str]:
    """Every public function of the figures that returns a drawing, with its file."""
    found, makers = (
        {},
        {"drawing", "panel", "_svg", "_legend", "interval_bar", "histogram", "diverging_bar"},
    )
    for path in sorted(FIGURES.glob("*.py")):
        for one in ast.parse(path.read_text()).body:
            if not isinstance(one, ast.FunctionDef) or one.name.startswith("_"):
                continue
            called = {
                getattr(n.func, "attr", getattr(n.func, "id", ""))
                for n in ast.walk(one)
                if isinstance(n, ast.Call)
            }
            if called & makers and path.name != "marks.py":
                found[one.name] = path.name
    return found


# ---------------------------------------------------------------------------------------
# Every figure has its table


def test_every_figure_is_known_here_and_has_its_numbers() -> None:
    known = {*IN_A_ROW, *WITHOUT_NUMBERS, *LEGENDS, *WITH_NUMBERS}
    assert set(drawings()) - {"finding_bars", "gap_bars"} == known
    assert all(callable(getattr(numbers, name)) for name in WITH_NUMBERS.values())


class Beside(HTMLParser):
    """For each drawing of a page, whether a table stands in the figure or section around it."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, list[str], list[bool]]] = []
        self.found: list[tuple[str, list[bool]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag in ("figure", "section", "article") or (
            tag == "div" and (names.get("class") or "") in ("panel-audit", "dvhs", "columns")
        ):
            self.open.append((tag, [], []))
        elif tag == "div":
            self.open.append(("div", [], []))
        elif tag == "svg" and names.get("class") in DRAWN:
            around = next((one for one in reversed(self.open) if one[0] != "div"), None)
            held = self.open[-1] if around is None else around
            held[1].append(str(names["class"]))
        elif tag == "table":
            for one in self.open:
                one[2].append(True)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("figure", "section", "article", "div") and self.open:
            _, drawn, tables = self.open.pop()
            if drawn and not tables and self.open:
                self.open[-1][1].extend(drawn)  # look in what is around
            else:
                self.found += [(name, tables) for name in drawn]


def without_a_table(page: str) -> list[str]:
    parser = Beside()
    parser.feed(page)
    assert parser.found, "the page draws nothing"
    return [name for name, tables in parser.found if not tables]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = tmp_path_factory.mktemp("pages")
    folder = place / "one"
    make_dose_record(folder)
    report = render(gather(folder, overall(folder).written[-1].verdict))
    audit = render_audit(audit_material(join([source(change=at_site("F", 2))]), profile()))
    chart = ControlChart(
        title="noise",
        unit="HU",
        state="in control",
        points=(1.0, None, 2.0),
        baseline=0,
        centre=None,
        low=None,
        high=None,
        signals=((3, "too high"),),
    )
    path = write_control_charts(
        place / "charts.html", state="in control", model="m", sentence="s", charts=[chart]
    )
    return {"report": report, "audit": audit, "charts": path.read_text()}


@pytest.mark.parametrize("name", ["report", "audit", "charts"])
def test_beside_every_drawing_of_a_page_stands_a_table(pages: dict[str, str], name: str) -> None:
    assert without_a_table(pages[name]) == []
    bare = re.sub(r"<table.*?</table>", "", pages[name], flags=re.DOTALL)
    assert without_a_table(bare)  # the test sees one that lacks


# ---------------------------------------------------------------------------------------
# In grey print


def lightness(colours: np.ndarray) -> np.ndarray:
    """ITU-R BT.601 luma, as printers and PIL turn colours into grey."""
    return colours.astype(float) @ np.array([0.299, 0.587, 0.114])


def test_a_difference_keeps_its_sign_in_grey() -> None:
    values = np.linspace(-1.2, 1.2, 241)[None]
    for inside in (True, False):
        grey = lightness(panels.diverging(values, 1.0, np.full(values.shape, inside)))[0]
        assert (np.diff(grey) >= -0.6).all() and grey[20] < grey[120] - 25 < grey[220] - 50
    shown = lightness(panels.diverging(values, 1.0, np.ones(values.shape, dtype=bool)))[0]
    sign = np.sign(np.round(shown - 128, 0))
    tellable = np.abs(values[0]) > 0.03
    assert (sign[tellable] == np.sign(values[0][tellable])).all()


def test_gamma_tells_what_fails_in_grey() -> None:
    values = np.array([0.0, 0.5, 1.0, 1.01, 1.5, 2.0])
    grey = lightness(dose_maps.gamma_colours(values))
    assert (np.diff(grey) < 0).all() and grey[2] - grey[3] > 25


def test_isodoses_differ_by_their_dashes() -> None:
    dashes = [dose_maps._dash(level, 1.0) for level, _ in dose_maps.ISODOSES]
    assert len(set(dashes)) == len(dashes)


def test_structures_differ_by_more_than_colour() -> None:
    """In a DVH of many structures every one but the target has a sign of its own."""
    drawn = [signs.sign_of(n, 10, 10, "#123456") for n in range(2 * signs.SHAPES + 1)]
    without_class = {re.sub(r' class="[^"]*"', "", one) for one in drawn}
    assert len(without_class) == len(drawn)


def test_the_dvh_draws_the_signs_of_its_organs(pages: dict[str, str]) -> None:
    for svg in re.findall(r'<svg class="dvh".*?</svg>', pages["report"], flags=re.DOTALL):
        organs = len(re.findall(r"<title>([^<]*), synthetic</title>", svg)) - 1
        for place in range(1, organs + 1):
            assert svg.count(f'"sign s{place}"') >= 3  # on the curve, in the strip, in the legend


# ---------------------------------------------------------------------------------------
# Histograms


def volume(values: np.ndarray) -> Volume:
    side = int(np.sqrt(values.size))
    array = values[: side * side].reshape(side, side, 1).astype(np.float32)
    grid = Grid(shape=array.shape, spacing_mm=(5.0, 5.0, 5.0), origin_mm=(0, 0, 0))
    return Volume(array=array, grid=grid, quantity="arbitrary")


@pytest.mark.parametrize("sd", [0.03, 0.3, 3.0, 30.0])
@pytest.mark.parametrize("outlier", [None, 400.0])
def test_bins_fit_the_spread(sd: float, outlier: float | None) -> None:
    values = np.random.default_rng(1).normal(0, sd, 2500)
    if outlier is not None:
        values[7] = outlier
    bars, _, end, mean = range_maps.range_bars(volume(values))
    inside = [share for middle, share in bars if abs(middle) <= 2 * sd and share > 0]
    assert 6 <= len(inside) <= 45 and max(inside) < 40
    assert sum(share for _, share in bars) == pytest.approx(100)
    assert sum(share for middle, share in bars if abs(middle) > end) <= 1.5
    assert mean == pytest.approx(values.mean(), abs=1e-4)


def test_a_histogram_of_one_value_is_one_bar() -> None:
    bars, _, end, _ = range_maps.range_bars(volume(np.full(100, 2.0)))
    assert [share for _, share in bars if share > 0] == [100.0] and end > 2
