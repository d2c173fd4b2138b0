"""The verb ``gamma``: two doses compared by the gamma index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qa_suite.cli import console
from qa_suite.cli.given import GivenOptions, given
from qa_suite.cli.options import REQUIRED, Commas, Options, add_verb, argument, option

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
    add_verb(app, gamma, GammaOptions, writes_file="out")


class ComparedOptions(Options):
    """Which doses are compared, and by what."""

    reference: Path = argument(REQUIRED, "Reference dose: NIfTI, MHA or RTDOSE.")
    evaluated: Path = argument(REQUIRED, "Evaluated dose, of the same frame.")
    dose_pct: float = option(2.0, "Dose criterion, %.")
    distance_mm: float = option(2.0, "Distance criterion, mm.")
    criteria: Commas = option(
        "", "Several criteria at once, %/mm: 3/3,2/2; instead of the two above."
    )
    local: bool = option(False, "Percent of each voxel's own reference dose.")
    normalisation: str = option(
        "max", "Percent of what: max (of the reference), prescription, or Gy."
    )
    prescription_gy: float | None = option(None, "Prescribed dose.")
    cutoff_pct: float | None = option(
        None, "Lowest dose judged, %; default 10 (pymedphys 20, matrad: criterion)."
    )
    cutoff_of: str = option("max", "Cut-off in percent of: max (of the reference) or prescription.")
    mode: str = option("trilinear", "trilinear (exact), simplex (Ju 2008), pymedphys or matrad.")
    max_gamma: float | None = option(
        None, "Search no further than this gamma; default: to the end."
    )
    interp_fraction: int = option(10, "Mode pymedphys: steps per distance criterion.")
    matrad_n: int = option(0, "Mode matrad: halvings of the voxels.")
    structures: tuple[Path, ...] = option(
        (), "Label or mask file; every label is a region. Repeat for more."
    )
    out: Path | None = option(None, "Gamma map; -1 where nothing was judged.")
    threads: int = option(2, "The result does not depend on it.", ge=1)
    as_json: bool = option(False, "Print the result as JSON.", "json")


class GammaOptions(GivenOptions, ComparedOptions):
    """Everything that a comparison is asked."""


def gamma(asked: GammaOptions) -> int:
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

    criteria = asked.criteria or f"{asked.dose_pct!r}/{asked.distance_mm!r}"
    wanted = parse_criteria(criteria, local=asked.local)
    settings = _settings(
        mode=asked.mode,
        normalisation=_normalisation(asked.normalisation),
        cutoff_pct=asked.cutoff_pct,
        cutoff_of=asked.cutoff_of,
        max_gamma=asked.max_gamma,
        interp_fraction=asked.interp_fraction,
        matrad_n=asked.matrad_n,
        any_scale=asked.any_scale,
    )
    doses = given((asked.reference, asked.evaluated), asked)
    masks, notes = _masks(asked.structures, doses[0].volume.grid)
    notes = [*notes_of(doses), *notes]
    results = gamma_of(
        doses[0].volume,
        doses[1].volume,
        wanted,
        settings,
        prescription_gy=asked.prescription_gy,
        threads=asked.threads,
    )
    summaries = [result.summary(masks) for result in results]
    notes += [sentence for sentence in (_searched(summaries[0]), rest_on(summaries)) if sentence]
    maps = [] if asked.out is None else _write(results, asked.out)
    if asked.as_json:
        console.show_json(
            {
                "reference": str(asked.reference),
                "evaluated": str(asked.evaluated),
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

    from qa_suite.core.errors import Problems
    from qa_suite.core.validation import describe_validation
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
    from qa_suite.io.images import ending_of, read_image

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
        stem = path.name[: -len(ending_of(path))]
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
