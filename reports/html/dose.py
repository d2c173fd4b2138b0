"""The doses of a record with their drawings, ready for a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markupsafe import Markup

from qa_suite.core.errors import QAError
from reports.facts import slices
from reports.facts.dose import DosePlan, DoseReport
from reports.facts.dose_cases import DifferenceHistogram, DoseCase, axis_end
from reports.facts.dose_plan import BeamFacts
from reports.facts.dose_volumes import DoseImages, centre_slice, load_dose_images, read_range_map
from reports.facts.pictures import CT_WINDOW_HU
from reports.figures import dose_curves, numbers, panels, range_maps
from reports.figures import dose_maps as dose_figures
from reports.figures.histograms import histogram
from reports.figures.numbers import Numbers

PLANES: Final[tuple[slices.Plane, ...]] = ("axial", "coronal", "sagittal")

_HISTOGRAM_PX: Final = 480.0


@dataclass(frozen=True, kw_only=True)
class RangeView:
    """The range map of one beam and its histogram, or the reason why there are none."""

    label: str
    drawing: Markup
    histogram: Markup
    colour_bar: Markup
    numbers: Numbers | None
    problem: str


@dataclass(frozen=True, kw_only=True)
class HistogramView:
    """The histogram of the dose difference in one region, or the reason why there is none."""

    region: str
    voxels: str
    drawing: Markup
    numbers: Numbers | None
    problem: str


@dataclass(frozen=True, kw_only=True)
class DoseCaseView:
    """One case's pictures: rows of (where, four drawings), legends, curves and range maps."""

    case: DoseCase
    rows: tuple[tuple[str, tuple[Markup, ...]], ...]
    captions: tuple[str, ...]
    legends: tuple[Markup, ...]
    problem: str
    dvh: Markup
    dvh_numbers: Numbers
    histograms: tuple[HistogramView, ...]
    ranges: tuple[RangeView, ...]


@dataclass(frozen=True, kw_only=True)
class DosePlanView:
    """One plan, its bars of causes and its cases."""

    plan: DosePlan
    causes: Markup
    cause_numbers: Numbers
    cases: tuple[DoseCaseView, ...]


def plan_views(report: DoseReport | None) -> tuple[DosePlanView, ...]:
    """Draw every plan of a record and the cases that a report shows."""
    if report is None:
        return ()
    return tuple(
        DosePlanView(
            plan=plan,
            causes=Markup(dose_curves.cause_bars(plan.causes) if plan.causes else ""),
            cause_numbers=numbers.cause_numbers(plan.causes),
            cases=tuple(case_view(plan, case) for case in plan.shown),
        )
        for plan in report.plans
    )


def case_view(plan: DosePlan, case: DoseCase) -> DoseCaseView:
    """Draw one case: slices through the target's centre, legends, DVHs and range maps."""
    rows: tuple[tuple[str, tuple[Markup, ...]], ...] = ()
    legends: tuple[Markup, ...] = ()
    told: tuple[str, ...] = ()
    problem = ""
    try:
        dose = load_dose_images(case.volumes)
    except QAError as error:
        problem = str(error)
    else:
        rows = tuple(_row(plan, case, dose, plane) for plane in PLANES)
        legends, told = legends_of(plan, case, dose), captions_of(plan, dose)
    return DoseCaseView(
        case=case,
        rows=rows,
        captions=told,
        legends=legends,
        problem=problem,
        dvh=Markup(dose_curves.dvh_plot(case)),
        dvh_numbers=numbers.dvh_numbers(case),
        histograms=histogram_views(plan, case),
        ranges=range_views(plan, case),
    )


def _row(
    plan: DosePlan, case: DoseCase, dose: DoseImages, plane: slices.Plane
) -> tuple[str, tuple[Markup, ...]]:
    index = centre_slice(dose, plane)
    return slices.slice_label(dose.images, plane, index), draw_slice(plan, case, dose, plane, index)


def draw_slice(
    plan: DosePlan, case: DoseCase, dose: DoseImages, plane: slices.Plane, index: int
) -> tuple[Markup, ...]:
    """Draw one slice four times: isodoses on both images, dose difference, gamma."""
    label = slices.slice_label(dose.images, plane, index)
    return tuple(
        Markup(
            dose_figures.dose_panel(
                dose,
                role,
                plane,
                index,
                prescription_gy=case.facts.prescription_gy,
                limit_pct=case.limit_pct,
                beams=plan.facts.beams,
                title=f"{case.case}, {plan.facts.key}, {role}, {label}",
            )
        )
        for role in dose_figures.ROLES
    )


def legends_of(plan: DosePlan, case: DoseCase, dose: DoseImages) -> tuple[Markup, ...]:
    """Return isodose legend, nothing, colour bar of the difference, colours of gamma."""
    key = f"{plan.facts.key}-{case.case}"
    gy = case.facts.prescription_gy
    highest = max(float(volume.array.max()) for volume in (dose.reference, dose.synthetic))
    return (
        Markup(dose_figures.isodose_legend(gy, highest)),
        Markup(""),
        Markup(dose_figures.difference_legend(case.limit_pct, gy, f"dose-{key}")),
        Markup(dose_figures.gamma_legend(f"gamma-{key}")),
    )


def captions_of(plan: DosePlan, dose: DoseImages) -> tuple[str, ...]:
    """Say how each of the four pictures is shown."""
    low, high = CT_WINDOW_HU
    window = f"W {high - low:.0f} / L {(high + low) / 2:.0f} HU"
    faded = "faded outside the mask, " if dose.images.masked else ""
    gamma = plan.facts.mapped
    kept = "undefined: no gamma map was kept" if dose.gamma is None else "grey: not judged"
    return (
        f"{window}, dose computed on this image",
        f"{window}, dose computed on this image",
        f"% of the prescription; {faded}grey outside the dose grid",
        f"γ {gamma.title if gamma else ''}; {kept}",
    )


def histogram_views(plan: DosePlan, case: DoseCase) -> tuple[HistogramView, ...]:
    """Draw how the dose difference is spread in the body and in the target, on one axis."""
    end = axis_end(case.histograms, case.limit_pct)
    voxels = f"voxels at {plan.facts.difference_cutoff_pct:g} % of the prescription or more"
    return tuple(
        HistogramView(
            region=found.region,
            voxels=voxels,
            drawing=Markup(_histogram(plan, case, found, end) if found.bars else ""),
            numbers=numbers.histogram_numbers(
                found.bars,
                step=found.step_pct,
                end=end + found.step_pct / 2,
                unit="%",
                what="voxels",
            )
            if found.bars
            else None,
            problem=found.why,
        )
        for found in case.histograms
    )


def _histogram(plan: DosePlan, case: DoseCase, found: DifferenceHistogram, end: float) -> str:
    """Draw one histogram in the colours of the difference's map."""
    return histogram(
        found.bars,
        step=found.step_pct,
        end=end + found.step_pct / 2,  # where the last bin ends
        limit=case.limit_pct,
        mean=found.mean_pct,
        unit="%",
        title=f"{case.case}, {plan.facts.key}, dose difference in the {found.region}",
        x_name="dose, synthetic − reference (% of prescription)",
        y_name=f"voxels (% per {found.step_pct:g} %)",
        width=_HISTOGRAM_PX,
    )


def range_views(plan: DosePlan, case: DoseCase) -> tuple[RangeView, ...]:
    """Draw the range map of every beam that has one."""
    if plan.facts.modality != "protons":
        return ()
    known = [v.high for beam in plan.ranges for v in beam.values[1:2] if v.high is not None]
    limit = range_maps.map_limit(max(known, default=None))
    known_beams = {beam.label: beam for beam in plan.facts.beams}
    return tuple(
        _range_view(path, label, known_beams.get(label), limit, f"{plan.facts.key}-{case.case}")
        for label, path in case.ranges.items()
    )


def _range_view(
    path: Path, label: str, beam: BeamFacts | None, limit: float, key: str
) -> RangeView:
    try:
        volume = read_range_map(path)
    except QAError as error:
        empty = Markup("")
        return RangeView(
            label=label,
            drawing=empty,
            histogram=empty,
            colour_bar=empty,
            numbers=None,
            problem=str(error),
        )
    bars, step, end, _ = range_maps.range_bars(volume)
    title = f"{key}, range error of beam {label}, beam's eye view"
    return RangeView(
        label=label,
        drawing=Markup(range_maps.range_map(volume, beam, limit, title=title)),
        histogram=Markup(range_maps.range_histogram(volume, limit, label)),
        colour_bar=Markup(panels.diverging_bar(f"{limit:g}", "mm", f"range-{key}-{label}")),
        numbers=numbers.histogram_numbers(bars, step=step, end=end, unit="mm", what="rays"),
        problem="",
    )
