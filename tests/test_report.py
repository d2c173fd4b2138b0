"""The report: what it says, that it invents nothing, and that patients hang the right way."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_suite.errors import InputError
from qa_suite.records import (
    CASES_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    CaseRecord,
    Evaluation,
    Measurement,
    Verdict,
    read_cases,
    read_evaluation,
    write_model,
    write_table,
)
from qa_suite.volume import Grid, Volume
from reports import figures, panels, slices, strips, wording
from reports.comparison import ALL_SITES, compare, comparison_lines
from reports.html import render, write_report
from reports.readiness import Distribution, SiteValues, gather
from tests.record_factory import make_record

Made = tuple[Path, Evaluation, Verdict]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    for kind in ("model", "floor", "baseline"):
        make_record(folder / kind, kind=kind, keep=kind == "model")
    return folder


@pytest.fixture(scope="module")
def made(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("again") / "model"
    return folder, *make_record(folder)


@pytest.fixture(scope="module")
def page(home: Path, made: Made, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder, _, verdict = made
    out = tmp_path_factory.mktemp("out") / "deep" / "report.html"
    write_report(folder, verdict, out, floor=home / "floor", baseline=home / "baseline")
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    return out.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects the text people see, and checks that every element is closed."""

    VOID = frozenset({"meta", "br", "img", "link", "image", "path", "rect", "circle", "stop"})

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.open: list[str] = []
        self.targets: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "action"):
                self.targets.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def words(page: str) -> str:
    return " ".join(" ".join(read(page).text).replace("\N{NO-BREAK SPACE}", " ").split())


# ---------------------------------------------------------------------------------------
# The page


def test_the_page_needs_nothing_from_outside(page: str) -> None:
    reader = read(page)
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in reader.targets)
    assert "<script" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page
    without_namespaces = page.replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in without_namespaces
    assert "https://" not in without_namespaces
    assert len(reader.ids) == len(set(reader.ids))


def test_the_verdict_comes_first_and_the_evidence_after_it(page: str, made: Made) -> None:
    _, evaluation, verdict = made
    said = words(page)
    assert said.index("✕ Fail") < said.index("Findings", said.index("✕ Fail"))
    for must in (
        verdict.sentence,
        verdict.profile.intended_use,
        evaluation.model.uri,
        evaluation.model.weights_sha256,
        evaluation.cohort.digest,
        evaluation.code.git_commit,
        "with uncommitted changes",
        "The leakage check was overridden by hand",
        "torch 2.13.0",
    ):
        assert must in said
    for finding in verdict.findings:
        assert finding.sentence in said
        assert finding.criterion.source in said


def test_the_same_record_gives_the_same_bytes(home: Path, made: Made) -> None:
    folder, _, verdict = made
    other = home / "model"
    assert render(gather(folder, verdict)) == render(gather(other, verdict))


def test_nothing_is_blank_nan_or_none(page: str) -> None:
    said = words(page.replace("&lt;NaN&gt;", ""))
    assert not re.search(r"\b(nan|None|inf|NaT)\b", said)
    assert "undefined: the reference has <no> bone above 250 HU" in said


def test_what_the_record_says_is_escaped(tmp_path: Path) -> None:
    bad = "<script>alert('x')</script>"
    _, verdict = make_record(tmp_path, keep=False, notices=(bad,))
    page = render(gather(tmp_path, verdict))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<NaN>" not in page
    assert "<no>" not in page


def test_the_flow_adds_up(made: Made) -> None:
    folder, evaluation, verdict = made
    flow = gather(folder, verdict).flow
    for before, after in itertools.pairwise(flow):
        assert before.count - sum(n for _, n in after.left) == after.count
    assert flow[0].count == evaluation.case_counts["imported"]
    assert flow[-1].count == 18


def test_every_case_that_is_not_judged_is_named_with_its_reason(page: str, made: Made) -> None:
    folder, _, verdict = made
    rows = {row.case: row for row in gather(folder, verdict).left_out}
    assert {name: row.stage for name, row in rows.items()} == {
        "A99": "could not be imported",
        "B03": "refused by preflight",
        "B05": "excluded by the profile",
        "C02": "failed",
    }
    said = words(page)
    assert all(row.reason in said for row in rows.values())


def test_the_shifted_site_is_named(page: str, made: Made) -> None:
    _, _, verdict = made
    shifted = {gap.site for gap in verdict.site_gaps if gap.shifted}
    assert shifted == {"C"}
    assert re.search(r"Shifted: site C \(MAE in body", words(page))


def test_a_clean_record_has_no_banner_and_names_no_shift(tmp_path: Path) -> None:
    _, verdict = make_record(
        tmp_path, keep=False, kind="floor", notices=(), patients_by_site={"A": 2, "B": 2}
    )
    clean = verdict.model_copy(update={"notices": ()})
    page = render(gather(tmp_path, clean))
    assert 'class="banner"' not in page
    assert "No site is worse" in words(page)


def test_a_verdict_of_another_evaluation_is_refused(home: Path, made: Made) -> None:
    _, _, verdict = made
    with pytest.raises(InputError, match="qa-suite judge"):
        gather(home / "floor", verdict)


def test_a_companion_of_another_cohort_is_refused(tmp_path: Path, made: Made) -> None:
    folder, _, verdict = made
    other, _ = make_record(tmp_path, kind="floor", keep=False)
    moved = other.model_copy(
        update={"cohort": other.cohort.model_copy(update={"digest": "0" * 64, "name": "moved"})}
    )
    write_model(tmp_path / EVALUATION_FILE, moved)
    with pytest.raises(InputError, match="was evaluated on cohort moved"):
        gather(folder, verdict, floor=tmp_path)


def test_a_changed_table_is_refused(tmp_path: Path) -> None:
    _, verdict = make_record(tmp_path, keep=False)
    table = pd.read_parquet(tmp_path / MEASUREMENTS_FILE)
    table["value"] = table["value"] * 0.5
    table.to_parquet(tmp_path / MEASUREMENTS_FILE)
    with pytest.raises(InputError, match="was changed"):
        write_report(tmp_path, verdict, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


# ---------------------------------------------------------------------------------------
# Pictures in the page


def test_best_median_worst_and_each_sites_worst_are_shown(made: Made) -> None:
    folder, _, verdict = made
    shown = gather(folder, verdict).pictures
    values = [p.value for p in shown]
    assert values == sorted(values)
    roles = {p.case: p.roles for p in shown}
    assert shown[0].roles == ("best",)
    assert shown[-1].roles == ("worst", "worst of site C")
    assert sum("median" in r for r in roles.values()) == 1
    assert {r for rs in roles.values() for r in rs if "site" in r} == {
        f"worst of site {site}" for site in "ABC"
    }


def test_a_volume_that_is_gone_is_said_and_nothing_breaks(tmp_path: Path) -> None:
    _, verdict = make_record(tmp_path)
    readiness = gather(tmp_path, verdict)
    readiness.pictures[0].volumes["synthetic"].unlink()
    said = words(render(readiness))
    assert "undefined: There is no image at" in said


def test_without_volumes_the_page_says_how_to_keep_them(tmp_path: Path) -> None:
    _, verdict = make_record(tmp_path, keep=False)
    assert "--keep-volumes worst" in words(render(gather(tmp_path, verdict)))


def test_a_case_that_could_not_be_measured_is_shown_with_its_reason(tmp_path: Path) -> None:
    evaluation, verdict = make_record(tmp_path)
    shown = gather(tmp_path, verdict).pictures
    lost = shown[-1].case
    table = pd.read_parquet(tmp_path / MEASUREMENTS_FILE)
    rows = [Measurement.model_validate(row) for row in clean(table)]
    rows = [
        row.model_copy(update={"value": None, "status": "error", "why": "no voxel in the mask"})
        if (row.case, row.metric, row.region) == (lost, "mae", "body")
        else row
        for row in rows
    ]
    digest = write_table(tmp_path / MEASUREMENTS_FILE, rows, Measurement)
    tables = evaluation.tables_sha256 | {MEASUREMENTS_FILE: digest}
    write_model(tmp_path / EVALUATION_FILE, evaluation.model_copy(update={"tables_sha256": tables}))
    readiness = gather(tmp_path, verdict)
    last = readiness.pictures[-1]
    assert (last.case, last.value, last.rank) == (lost, None, None)
    assert "undefined: no voxel in the mask" in words(render(readiness))


def clean(table: pd.DataFrame) -> list[dict]:
    rows = table.to_dict(orient="records")
    return [{k: None if isinstance(v, float) and v != v else v for k, v in r.items()} for r in rows]


def test_cases_without_preflight_values_are_said(tmp_path: Path) -> None:
    evaluation, verdict = make_record(tmp_path, keep=False)
    cases = [c.model_copy(update={"preflight": {}}) for c in read_cases(tmp_path)]
    digest = write_table(tmp_path / CASES_FILE, cases, CaseRecord)
    tables = evaluation.tables_sha256 | {CASES_FILE: digest}
    write_model(tmp_path / EVALUATION_FILE, evaluation.model_copy(update={"tables_sha256": tables}))
    assert "undefined: no preflight was recorded" in words(render(gather(tmp_path, verdict)))


# ---------------------------------------------------------------------------------------
# Beside floor and baseline


def measured(values: dict[str, float | None], site: str = "A") -> pd.DataFrame:
    """Body MAE of patients; a name such as p1.2 is the second examination of p1."""
    return pd.DataFrame(
        [
            {
                "case": case,
                "patient": case.split(".")[0],
                "site": site,
                "metric": "mae",
                "region": "body",
                "variant": "default",
                "value": value,
                "unit": "HU",
                "status": "ok" if value is not None else "undefined",
                "why": "" if value is not None else "planted",
            }
            for case, value in values.items()
        ]
    )


def test_improvement_after_subtracting_the_floor() -> None:
    here, everywhere = compare(
        measured({"p1": 50.0, "p2": 70.0}),
        ("A",),
        floor=measured({"p1": 5.0, "p2": 15.0}),
        baseline=measured({"p1": 60.0, "p2": 160.0}),
    )
    assert (here.model, here.floor, here.baseline) == (60.0, 10.0, 110.0)
    assert here.improvement == pytest.approx(0.5)
    assert (here.better_in, here.patients, here.not_common) == (2, 2, 0)
    assert everywhere.site == ALL_SITES


def test_improvement_without_a_floor() -> None:
    row, _ = compare(measured({"p1": 60.0}), ("A",), floor=None, baseline=measured({"p1": 120.0}))
    assert row.improvement == pytest.approx(0.5)
    assert row.floor is None


def test_only_common_patients_are_compared() -> None:
    row, _ = compare(
        measured({"p1": 50.0, "p2": None, "p3": 10.0}),
        ("A",),
        floor=None,
        baseline=measured({"p1": 100.0, "p2": 1.0}),
    )
    assert (row.patients, row.not_common, row.model, row.baseline) == (1, 2, 50.0, 100.0)


def test_a_patient_counts_once_however_often_examined() -> None:
    row, _ = compare(
        measured({"p1.1": 10.0, "p1.2": 20.0, "p1.3": 30.0, "p2.1": 60.0}),
        ("A",),
        floor=None,
        baseline=measured(dict.fromkeys(("p1.1", "p1.2", "p1.3", "p2.1"), 80.0)),
    )
    assert (row.model, row.patients) == (40.0, 2)


@pytest.mark.parametrize(
    ("floor", "baseline", "why"),
    [
        ({"p1": 90.0}, {"p1": 80.0}, "the baseline is not above the floor"),
        ({"p1": 10.0}, None, "no baseline was evaluated"),
        ({"p2": 10.0}, {"p1": 80.0}, "no patient has a value in every evaluation"),
    ],
)
def test_an_improvement_without_meaning_has_its_reason(
    floor: dict, baseline: dict | None, why: str
) -> None:
    row, _ = compare(
        measured({"p1": 50.0}),
        ("A",),
        floor=measured(floor),
        baseline=None if baseline is None else measured(baseline),
    )
    assert row.improvement is None
    assert row.why == why


def test_a_model_worse_than_the_baseline_improves_by_less_than_nothing() -> None:
    row, _ = compare(measured({"p1": 90.0}), ("A",), floor=None, baseline=measured({"p1": 60.0}))
    assert row.improvement == pytest.approx(-0.5)
    assert row.better_in == 0
    assert wording.share(row.improvement) == "−50\N{NO-BREAK SPACE}%"


def test_the_comparison_in_plain_lines(home: Path) -> None:
    lines = comparison_lines(home / "model", floor=home / "floor", baseline=home / "baseline")
    assert len(lines) == 8  # two measures; three sites and all of them
    assert lines[0].startswith("MAE in body, A (trained on): floor ")
    assert all("improvement above the floor" in line for line in lines)


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
    turned = slices.turn_to_patient(stored(volume, order, flips))
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
    svg = panels.case_panel(images, "reference", "coronal", 3, panels.windows_of(images), title="t")
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
    again = np.asarray(Image.open(io.BytesIO(panels.png_bytes(pixels))))
    np.testing.assert_array_equal(again, pixels)


def test_differences_are_blue_below_white_at_none_and_red_above() -> None:
    values = np.array([[-900.0, -300.0, 0.0, 300.0, 900.0]])
    colours = panels._diverging(values, 300.0, np.ones(values.shape, dtype=bool)).astype(int)[0]
    assert (colours[0] == colours[1]).all()
    assert (colours[3] == colours[4]).all()
    assert colours[0][2] > colours[0][0] + 50
    assert colours[4][0] > colours[4][2] + 50
    assert colours[2].min() > 240


def strip(values: dict[str, tuple[float, ...]], home: tuple[str, ...] = ("A",)) -> str:
    sites = tuple(
        SiteValues(
            site=site,
            in_training=site in home,
            values=tuple((f"{site}{n}", v) for n, v in enumerate(numbers)),
            undefined=() if numbers else (("x", "planted reason"),),
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


def test_a_plot_without_values_says_why() -> None:
    assert "undefined: planted reason" in strip({"A": ()})


@given(low=st.floats(-1e4, 1e4, allow_nan=False), width=st.floats(1e-3, 1e4, allow_nan=False))
def test_ticks_are_few_and_inside(low: float, width: float) -> None:
    span = (low, low + width)
    ticks = strips.nice_ticks(span)
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
        (lambda: wording.quantity(None, "HU", "no mask"), "undefined: no mask"),
        (lambda: wording.quantity(-4.0, "HU"), "−4.00\N{NO-BREAK SPACE}HU"),
        (lambda: wording.quantity(0.8761, "1"), "0.876"),
        (lambda: wording.signed(3.0, "HU"), "+3.00\N{NO-BREAK SPACE}HU"),
        (lambda: wording.interval(None, 3.0), "no interval"),
        (
            lambda: wording.bound_text("at_most", "20"),
            "≤\N{NO-BREAK SPACE}20",
        ),
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


def test_the_factory_writes_a_whole_record(made: Made) -> None:
    folder, evaluation, verdict = made
    assert read_evaluation(folder) == evaluation
    assert verdict.outcome == "fail"
