"""What the report draws: orientation, scale, colours, bounds, dots."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_suite.core.errors import InputError
from qa_suite.core.records import Evaluation, Verdict
from qa_suite.core.volume import Grid, Volume, canonical
from reports.facts import slices, wording
from reports.facts.patients import Distribution, PatientValue, SiteValues
from reports.facts.pictures import windows_of
from reports.facts.readiness import gather
from reports.figures import intervals as figures
from reports.figures import marks, panels, strips
from tests.conftest import ROOT
from tests.record_factory import make_record

Made = tuple[Path, Evaluation, Verdict]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("record")
    return folder, *make_record(folder)


# ---------------------------------------------------------------------------------------
# Orientation, aspect, slices

RIGHT_ANTERIOR_HEAD = (0, 0, 5)  # a voxel of a grid along LPS: x to the left, y to posterior


def marked() -> Volume:
    """A small volume along LPS with one bright voxel: right, anterior, at the head."""
    array = np.zeros((3, 4, 6), dtype=np.float32)
    array[RIGHT_ANTERIOR_HEAD] = 1
    grid = Grid(shape=array.shape, spacing_mm=(1.0, 2.0, 5.0), origin_mm=(10.0, -20.0, 30.0))
    return Volume(array=array, grid=grid, quantity="HU")


def stored(volume: Volume, order: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """Store a volume with its axes swapped and flipped; it stays where it is in the patient."""
    grid = volume.grid
    axes = grid.axes[:, order]
    shape = np.asarray(grid.shape)[list(order)]
    spacing = np.asarray(grid.spacing_mm)[list(order)]
    array = volume.array.transpose(order)
    origin = np.asarray(grid.origin_mm)
    for axis, flip in enumerate(flips):
        if flip:
            origin = origin + axes[:, axis] * spacing[axis] * (shape[axis] - 1)
            axes[:, axis] *= -1
            array = np.flip(array, axis)
    turned = Grid(
        shape=array.shape,
        spacing_mm=tuple(spacing),
        origin_mm=tuple(origin),
        direction=tuple(axes.ravel()),
    )
    return Volume(array=array, grid=turned, quantity=volume.quantity)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product((False, True), repeat=3)))
def test_any_stored_orientation_hangs_alike(
    order: tuple[int, ...], flips: tuple[bool, ...]
) -> None:
    volume = marked()
    turned = canonical(stored(volume, order, flips))
    assert turned.grid.same_as(volume.grid)
    np.testing.assert_array_equal(turned.array, volume.array)


def images_of(volume: Volume, synthetic: np.ndarray | None = None) -> slices.CaseImages:
    return slices.CaseImages(
        reference=volume.array,
        synthetic=volume.array if synthetic is None else synthetic,
        source=None,
        mask=np.ones(volume.array.shape, dtype=bool),
        masked=True,
        spacing_mm=volume.grid.spacing_mm,
        origin_mm=volume.grid.origin_mm,
        oblique_deg=0.0,
        unit="HU",
    )


@pytest.mark.parametrize(
    ("plane", "index", "where", "size_mm", "letters"),
    [
        ("axial", 5, (0, 0), (3.0, 8.0), "RLAP"),
        ("coronal", 0, (0, 0), (3.0, 30.0), "RLHF"),
        ("sagittal", 0, (0, 0), (8.0, 30.0), "APHF"),
    ],
)
def test_slices_hang_radiologically_and_to_scale(
    plane: slices.Plane, index: int, where: tuple[int, int], size_mm: tuple, letters: str
) -> None:
    volume = marked()
    section = slices.cut(volume.array, images_of(volume), plane, index)
    assert tuple(np.argwhere(section.values == 1)[0]) == where  # top left of the picture
    assert section.size_mm == pytest.approx(size_mm)
    assert "".join(section.letters) == letters


def test_the_picture_is_as_wide_and_high_as_the_patient(made: Made) -> None:
    folder, _, verdict = made
    picture = gather(folder, verdict).pictures[0]
    images = slices.load_images(picture.volumes, unit="HU")
    svg = panels.case_panel(images, "reference", "coronal", 3, windows_of(images), title="t")
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert box is not None
    assert tuple(map(float, box.groups())) == (76 * 5.0, 24 * 7.5)


def test_a_slice_that_is_not_there_is_refused() -> None:
    volume = marked()
    with pytest.raises(InputError, match="no axial slice 6; there are 6"):
        slices.cut(volume.array, images_of(volume), "axial", 6)


def test_the_worst_slice_is_found_and_a_sliver_is_not_taken_for_it() -> None:
    volume = marked()
    synthetic = volume.array.copy()
    synthetic[:, :, 2] += 10
    synthetic[:, :, 0] += 99
    images = images_of(volume, synthetic)
    images.mask[:, :, 0] = False
    images.mask[0, 0, 0] = True
    assert slices.worst_slice(images, "axial") == 2
    images.mask[:] = False
    assert slices.worst_slice(images, "axial") == 0  # nothing was measured: any slice will do


def test_cropping_keeps_the_mask_and_the_position() -> None:
    shape = (60, 50, 20)
    grid = Grid(shape=shape, spacing_mm=(2.0, 2.0, 4.0), origin_mm=(-60.0, -50.0, 0.0))
    images = images_of(Volume(array=np.zeros(shape, dtype=np.float32), grid=grid, quantity="HU"))
    images.mask[:] = False
    images.mask[25:35, 20:30, 8:12] = True
    smaller = slices.crop_to_mask(images)
    assert smaller.mask.sum() == images.mask.sum()
    assert smaller.reference.shape == (30, 30, 14)
    assert smaller.origin_mm == (-60.0 + 15 * 2.0, -50.0 + 10 * 2.0, 3 * 4.0)


# ---------------------------------------------------------------------------------------
# Drawings


def test_png_carries_the_pixels() -> None:
    from PIL import Image

    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    again = np.asarray(Image.open(io.BytesIO(marks.png_bytes(pixels))))
    np.testing.assert_array_equal(again, pixels)


def test_differences_are_blue_below_grey_at_none_and_orange_above() -> None:
    values = np.array([[-900.0, -300.0, 0.0, 300.0, 900.0]])
    colours = panels.diverging(values, 300.0, np.ones(values.shape, dtype=bool)).astype(int)[0]
    assert (colours[0] == colours[1]).all()
    assert (colours[3] == colours[4]).all()
    assert colours[0][2] > colours[0][0] + 50
    assert colours[4][0] > colours[4][2] + 50
    assert colours[2].tolist() == [128, 128, 128]


def strip(values: dict[str, tuple], home: tuple[str, ...] = ("A",)) -> str:
    sites = tuple(
        SiteValues(
            site=site,
            in_training=site in home,
            values=tuple(
                PatientValue(cases=f"{site}{n}", low=v, high=v)
                if isinstance(v, float)
                else PatientValue(cases=f"{site}{n}", low=v[0], high=v[1])
                for n, v in enumerate(numbers)
            ),
            without=() if numbers else (("x", "undefined: planted reason"),),
        )
        for site, numbers in values.items()
    )
    return strips.strip_plot(
        Distribution(
            metric="mae", region="body", variant="default", unit="HU", criteria=(), sites=sites
        )
    )


def test_each_patient_is_one_mark_and_other_sites_are_diamonds() -> None:
    svg = strip({"A": (50.0, 50.0, 50.0, 61.0), "B": (90.0, 95.0)})
    assert svg.count("<circle") == 4
    assert svg.count('Z" fill') == 2
    assert "<title>A3: 61.0\N{NO-BREAK SPACE}HU</title>" in svg
    places = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
    assert len(set(places)) == 4  # equal values do not hide one another


def test_a_censored_patient_is_an_arrow_from_its_bound_and_takes_the_box_away() -> None:
    known = strip({"A": (5.0, 6.0, 7.0, 8.0)})
    svg = strip({"A": (5.0, 6.0, 7.0, (10.0, float("inf")), (-float("inf"), 2.0))})
    assert known.count("<rect") == 1 and svg.count("<rect") == 0
    assert svg.count("<circle") == 3 and len(re.findall(r"h-?9m-?3 -3", svg)) == 2
    assert "A3: ≥ 10 HU" in svg.replace("\N{NO-BREAK SPACE}", " ")
    assert "2 of 5 censored" in svg and "n = " not in svg


def test_a_plot_without_values_says_why() -> None:
    assert "undefined: planted reason" in strip({"A": ()})


@given(low=st.floats(-1e4, 1e4, allow_nan=False), width=st.floats(1e-3, 1e4, allow_nan=False))
def test_ticks_are_few_and_inside(low: float, width: float) -> None:
    span = (low, low + width)
    ticks = marks.nice_ticks(span)
    assert 1 <= len(ticks) <= 9
    assert all(span[0] - 1e-9 * width <= t <= span[1] + 1e-6 * width for t in ticks)


def find(verdict: Verdict, **wanted: object) -> list:
    def fits(finding: object) -> bool:
        criterion = finding.criterion
        return all(getattr(criterion, key) == value for key, value in wanted.items())

    return [finding for finding in verdict.findings if fits(finding)]


def dashes(svg: str) -> list[float]:
    return [float(x) for x in re.findall(r'd="M([\d.]+) 2V28"', svg)]


def test_the_bound_is_drawn_where_it_is(made: Made) -> None:
    _, _, verdict = made
    (finding,) = find(verdict, metric="me")
    svg = figures.finding_bar(finding, (-40.0, 40.0))
    assert dashes(svg) == [pytest.approx(6 + 188 * 0.25), pytest.approx(6 + 188 * 0.75)]
    (shares,) = find(verdict, statistic="fraction_within")
    good = re.search(
        r'<rect x="([\d.]+)" y="4" width="([\d.]+)"', figures.finding_bar(shares, (0, 1))
    )
    assert good is not None
    assert [float(n) for n in good.groups()] == [100.0, 94.0]  # a share is good above its bound


def test_a_finding_without_an_interval_draws_no_interval(made: Made) -> None:
    _, _, verdict = made
    (worst,) = find(verdict, statistic="max")
    svg = figures.finding_bar(worst, figures.shared_range([worst]))
    assert worst.low is None
    assert svg.count("v10") == 0
    assert svg.count("<circle") == 1
    nothing = worst.model_copy(update={"estimate": None})
    assert "<circle" not in figures.finding_bar(nothing, (0.0, 1.0))


@pytest.mark.parametrize(
    ("say", "text"),
    [
        (lambda: wording.quantity(None, "HU", "undefined: no mask"), "undefined: no mask"),
        (lambda: wording.quantity(-4.0, "HU"), "−4.00\N{NO-BREAK SPACE}HU"),
        (lambda: wording.quantity(0.8761, "1"), "0.876"),
        (lambda: wording.signed(3.0, "HU"), "+3.00\N{NO-BREAK SPACE}HU"),
        (lambda: wording.interval(None, 3.0), "no interval"),
        (lambda: wording.bound_text("at_most", "20"), "≤\N{NO-BREAK SPACE}20"),
    ],
)
def test_wording(say: Callable[[], str], text: str) -> None:
    assert say() == text


def test_shares_are_written_as_percentages(made: Made) -> None:
    _, _, verdict = made
    (finding,) = find(verdict, statistic="fraction_within")
    assert wording.estimate_text(finding) == "72.2\N{NO-BREAK SPACE}%"
    text = wording.criterion_text(finding.criterion).replace("\N{NO-BREAK SPACE}", " ")
    assert text == "share of patients with MAE in body ≤ 100 HU: ≥ 50 %"


# --- marks -------------------------------------------------------------------------------------


def test_no_drawing_writes_a_mark_by_hand() -> None:
    """One module knows SVG, so that nothing is written without being escaped."""
    tag = re.compile(r"</?(svg|path|text|rect|circle|line|image|g|defs|title)[ >]")
    folder = ROOT / "reports" / "figures"
    found = {path.name for path in folder.glob("*.py") if tag.search(path.read_text())}
    assert found <= {"marks.py"}


def test_words_and_attributes_are_escaped() -> None:
    bad = '<b>"A" & co</b>'
    svg = marks.drawing((10, 10), bad, "strip", [marks.text(1, 2, bad), marks.dot(1, 2, 3, bad)])
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == bad and root[0].text == bad and root[1].get("fill") == bad


def test_scales_hold_or_go_on_beyond_their_ends() -> None:
    along, held = (marks.scale((0.0, 10.0), (100.0, 0.0), held=h) for h in (False, True))
    assert (along(2.5), along(12.0), held(12.0), held(-1.0)) == (75.0, -20.0, 0.0, 100.0)


@pytest.mark.parametrize(("value", "words"), [(-0.5, "−0.5"), (0.0, "0"), (2.0, "+2")])
def test_a_tick_has_a_true_minus(value: float, words: str) -> None:
    assert marks.tick_text(value, "+") == words
