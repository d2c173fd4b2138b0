"""The verb ``gamma``: two doses compared by the gamma index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qa_suite.cli import console
from qa_suite.cli.given import (
    AnyScaleOption,
    DoseTypeOption,
    DoseUnitOption,
    FractionsOption,
    PlaneOption,
    RelativeOption,
    RtplanOption,
    SummationOption,
    given,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qa_suite.core.volume import Grid
    from qa_suite.dose.gamma import GammaResult, GammaSettings, GammaSummary, RegionGamma

_COLUMNS = (
    "criterion",
    "region",
    "pass",
    "passed",
    "voxels judged",
    "above cut-off",
    "mean",
    "95th",
    "max",
)


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("gamma")(gamma)


def gamma(
    reference: Annotated[Path, typer.Argument(help="Reference dose: NIfTI, MHA or RTDOSE.")],
    evaluated: Annotated[Path, typer.Argument(help="Evaluated dose, of the same frame.")],
    dose_pct: Annotated[float, typer.Option(help="Dose criterion, %.")] = 2.0,
    distance_mm: Annotated[float, typer.Option(help="Distance criterion, mm.")] = 2.0,
    criteria: Annotated[
        str, typer.Option(help="Several criteria at once, %/mm: 3/3,2/2; instead of the two above.")
    ] = "",
    local: Annotated[
        bool, typer.Option("--local", help="Percent of each voxel's own reference dose.")
    ] = False,
    normalisation: Annotated[
        str, typer.Option(help="Percent of what: max (of the reference), prescription, or Gy.")
    ] = "max",
    prescription_gy: Annotated[float | None, typer.Option(help="Prescribed dose.")] = None,
    cutoff_pct: Annotated[
        float | None,
        typer.Option(help="Lowest dose judged, %; default 10 (pymedphys 20, matrad: criterion)."),
    ] = None,
    cutoff_of: Annotated[
        str, typer.Option(help="Cut-off in percent of: max (of the reference) or prescription.")
    ] = "max",
    mode: Annotated[
        str, typer.Option(help="trilinear (exact), simplex (Ju 2008), pymedphys or matrad.")
    ] = "trilinear",
    max_gamma: Annotated[
        float | None, typer.Option(help="Search no further than this gamma; default: to the end.")
    ] = None,
    interp_fraction: Annotated[
        int, typer.Option(help="Mode pymedphys: steps per distance criterion.")
    ] = 10,
    matrad_n: Annotated[int, typer.Option(help="Mode matrad: halvings of the voxels.")] = 0,
    structures: Annotated[
        list[Path] | None,
        typer.Option(help="Label or mask file; every label is a region. Repeat for more."),
    ] = None,
    dose_type: DoseTypeOption = "physical",
    summation: SummationOption = "plan",
    fractions: FractionsOption = "",
    relative_unit_gy: RelativeOption = "",
    plane_mm: PlaneOption = "",
    dose_unit: DoseUnitOption = "Gy",
    rtplan: RtplanOption = None,
    any_scale: AnyScaleOption = False,
    out: Annotated[
        Path | None, typer.Option(help="Gamma map; -1 where nothing was judged.")
    ] = None,
    threads: Annotated[int, typer.Option(help="The result does not depend on it.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Compare two doses: share of voxels with gamma of at most 1, for any criteria at once.

    Says what percentages are percentages of, how many voxels were judged, and how many above
    the cut-off could not be. Exits with 3 where nothing could be judged.

    What is said of the doses (--dose-type to --dose-unit) holds for both, or, written with a
    comma, for the reference and the evaluated dose: --summation plan,beam.

    Example: `qa-suite gamma dose_ct.nii.gz dose_synthetic.nii.gz --criteria 3/3,2/2`
    """
    from qa_suite.dose.gamma import gamma as gamma_of
    from qa_suite.dose.gamma import parse_criteria, rest_on
    from qa_suite.io.rt.dose.notes import notes_of

    wanted = parse_criteria(criteria or f"{dose_pct!r}/{distance_mm!r}", local=local)
    settings = _settings(
        mode=mode,
        normalisation=_normalisation(normalisation),
        cutoff_pct=cutoff_pct,
        cutoff_of=cutoff_of,
        max_gamma=max_gamma,
        interp_fraction=interp_fraction,
        matrad_n=matrad_n,
        any_scale=any_scale,
    )
    doses = given(
        (reference, evaluated),
        dose_type=dose_type,
        summation=summation,
        fractions=fractions,
        relative_unit_gy=relative_unit_gy,
        plane_mm=plane_mm,
        dose_unit=dose_unit,
        rtplan=rtplan,
        any_scale=any_scale,
    )
    masks, notes = _masks(structures or [], doses[0].volume.grid)
    notes = [*notes_of(doses), *notes]
    results = gamma_of(
        doses[0].volume,
        doses[1].volume,
        wanted,
        settings,
        prescription_gy=prescription_gy,
        threads=threads,
    )
    summaries = [result.summary(masks) for result in results]
    notes += [sentence for sentence in (_searched(summaries[0]), rest_on(summaries)) if sentence]
    maps = [] if out is None else _write(results, out)
    if as_json:
        console.show_json(
            {
                "reference": str(reference),
                "evaluated": str(evaluated),
                "doses": [dose.told() for dose in doses],
                "notes": notes,
                "results": [summary.model_dump(mode="json") for summary in summaries],
                "maps": [str(path) for path in maps],
            }
        )
    else:
        _show(summaries, notes, maps)
    undefined = any(summary.regions[0].pass_pct is None for summary in summaries)
    return console.EXIT_STATUS["inconclusive"] if undefined else 0


def _normalisation(text: str) -> str | float:
    from qa_suite.core.errors import InputError

    if text in ("max", "prescription"):
        return text
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"The normalisation {text!r} is neither 'max' nor 'prescription' nor a dose in Gy."
        ) from None


def _settings(**given: Any) -> GammaSettings:
    from pydantic import ValidationError

    from qa_suite.core.cohort import describe_validation
    from qa_suite.core.errors import Problems
    from qa_suite.dose.gamma import GammaSettings

    try:
        return GammaSettings(**given)
    except ValidationError as error:
        raise Problems("The comparison", describe_validation(error)) from None


def _masks(paths: Sequence[Path], grid: Grid) -> tuple[dict[str, NDArray[np.bool_]], list[str]]:
    """Read every label of every file as a region on the dose grid, and what was done for it."""
    import numpy as np

    from qa_suite.core.errors import InputError
    from qa_suite.core.resampling import resample
    from qa_suite.io.images import IMAGE_SUFFIXES, read_image

    masks: dict[str, NDArray[np.bool_]] = {}
    notes = []
    for path in paths:
        labels = read_image(path, "label")
        values = [int(value) for value in np.unique(labels.array) if value != 0]
        if not values:
            raise InputError(f"{path} holds no structure: all its labels are 0.")
        if not labels.grid.same_as(grid):
            labels = resample(labels, grid, interpolation="nearest", outside=0)
            notes.append(f"{path.name}: {labels.history[-1]}")
        stem = next(
            path.name[: -len(s)]
            for s in sorted(IMAGE_SUFFIXES, key=len, reverse=True)
            if path.name.lower().endswith(s)
        )
        for value in values:
            name = stem if len(values) == 1 else f"{stem}:{value}"
            if name in masks:
                raise InputError(f"Two structures are called {name!r}; rename a file.")
            masks[name] = labels.array == value
    return masks, notes


def _write(results: Sequence[GammaResult], out: Path) -> list[Path]:
    from qa_suite.io.images import write_image

    paths = []
    for result in results:
        path = out
        if len(results) > 1:
            stem, dot, suffix = out.name.partition(".")
            path = out.with_name(f"{stem}.{result.criterion.key}{dot}{suffix}")
        write_image(result.volume(), path)
        paths.append(path)
    return paths


def _show(summaries: Sequence[GammaSummary], notes: Sequence[str], maps: Sequence[Path]) -> None:
    rows = []
    for summary in summaries:
        for region in summary.regions:
            rows.append(
                (
                    summary.criterion.title,
                    region.region,
                    f"undefined: {region.why}"
                    if region.pass_pct is None
                    else f"{region.pass_pct:.2f} %",
                    region.passed,
                    region.judged,
                    region.above_cutoff,
                    *(_statistic(region, name) for name in ("mean", "p95", "max")),
                )
            )
    first = summaries[0]
    console.show_table(
        f"Gamma, mode {first.settings.mode}, {first.pass_rule} passes", _COLUMNS, rows
    )
    for sentence in dict.fromkeys(_rules(summary) for summary in summaries):
        console.show(sentence)
    for note in notes:
        console.show(f"  {note}")
    for path in maps:
        console.show(f"Map: {path}")


def _searched(summary: GammaSummary) -> str:
    """Say that gamma is two-dimensional, where it is."""
    if summary.searched == "volume":
        return ""
    return "The evaluated dose is a single plane: gamma was searched within the plane alone."


def _statistic(region: RegionGamma, name: str) -> str:
    value: float | None = getattr(region, name)
    if value is None:
        return ""
    return f"≥ {value:.3f}" if name in region.at_least else f"{value:.3f}"


def _rules(summary: GammaSummary) -> str:
    """Say what the percentages are percentages of."""
    base = f"the {summary.normalisation_rule}"
    if summary.normalisation_gy is not None:
        base = f"{summary.normalisation_gy:.4g} Gy ({summary.normalisation_rule})"
    return (
        f"Dose criterion in % of {base}; cut-off {summary.cutoff_gy:.4g} Gy "
        f"({summary.cutoff_pct:g} % of the {summary.cutoff_rule})."
    )
