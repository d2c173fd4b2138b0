"""The verb ``dose``: one plan on one pair of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qa_suite.cli import console
from qa_suite.cli.dose_settings import HLUT_HELP, ClinicDoses, DoseOptions, dose_settings
from qa_suite.cli.options import REQUIRED, Options, add_verb, argument, option
from qa_suite.core.errors import InputError
from qa_suite.core.wording import by_machine, count, far_from_prescription, some

if TYPE_CHECKING:
    from qa_suite.core.records import Measurement
    from qa_suite.dose.plan.plan import Mask
    from qa_suite.io.rt.plan.types import ImportedPlan
    from qa_suite.metrics.base import Kept, Pair
    from qa_suite.metrics.dose.settings import DoseSettings


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    add_verb(app, dose, OneDoseOptions, writes="out")


class PairOptions(Options):
    """Of which images and structures the dose is computed, and what is kept and printed."""

    image: Path = argument(REQUIRED, "The reference CT: NIfTI or MHA in HU, or a DICOM folder.")
    structures: tuple[str, ...] = option(
        REQUIRED,
        "Mask as NAME=FILE; RTSTRUCT as FILE (all of it), NAME=FILE or NAME=FILE:DRAWN "
        "(its structure DRAWN, called NAME); may be repeated.",
        "structure",
    )
    rtplan: Path | None = option(
        None, "RTPLAN to compute as it stands; with --plan, by its targets and goals."
    )
    synthetic: Path | None = option(None, "The synthetic CT to compute the same plan on.")
    source: Path | None = option(None, "The image that was translated.")
    out: Path | None = option(None, "Folder for doses and gamma as NIfTI.")
    every_row: bool = option(False, "Print every measurement, not only the summary.", "all")
    as_json: bool = option(False, "Print every measurement as JSON.", "json")


class OneDoseOptions(DoseOptions, PairOptions):
    """Everything that the dose of one pair is asked."""

    hluts: tuple[str, ...] = option(REQUIRED, HLUT_HELP, "hlut")


def dose(asked: OneDoseOptions) -> int:
    """Plan on a CT, or take an RTPLAN, and compute the plan there and on its synthetic twin.

    A surrogate for the clinic's planning system: it shows differences between two images, never
    what a patient receives. No plan is exported. DICOM files must be of one patient and in one
    frame of reference.

    Example: `qa-suite dose ct.nii.gz --synthetic synthetic-ct.nii.gz
    --structure Prostate=prostate.nii.gz --plan photon-pelvis --hlut thomas-1999`
    """
    import re

    from qa_suite.cli.dose_input import read_pair
    from qa_suite.io.images import write_image

    if not asked.plans and asked.rtplan is None:
        raise InputError("dose needs a plan: --plan with a template, or --rtplan with an RTPLAN.")
    beams = None if asked.rtplan is None else _read_plan(asked.rtplan)
    driving = None if beams is None else ClinicDoses(rtplans={beams.path: beams.modality})
    settings = dose_settings(asked, driving)
    assert settings is not None  # there is a plan
    other = asked.synthetic or asked.image
    pair = read_pair(asked.image, other, asked.source, asked.structures, plan=beams)
    _say_targets(settings, asked.targets, pair.structures)
    rows, kept = _measured(pair, settings, other)
    _say_where(settings)
    if asked.out is not None:
        for one in kept:
            name = re.sub(r"[^\w.+]+", "-", one.role)  # beams are called as the clinic likes
            write_image(one.volume, asked.out / f"{name}.nii.gz")
        console.say(f"Doses: {asked.out}")
    if asked.as_json:
        console.show_json([row.model_dump(mode="json") for row in rows])
    elif asked.every_row:
        console.show_measurements(rows)
    else:
        show_dose(rows, settings, compared=asked.synthetic is not None)
    return 0


def _say_where(settings: DoseSettings) -> None:
    from qa_suite.dose.engines import where_computed

    templates = [choice.template for choice in settings.plans]
    console.say(f"Computed on: {where_computed(templates, settings.device)}")


def _say_targets(
    settings: DoseSettings, targets: Sequence[str], structures: Mapping[str, Mask]
) -> None:
    """Say at what the plans aim.

    Raises
    ------
    InputError
        If there is no such structure, or a plan's rules find none of theirs.
    """
    from qa_suite.core.registry import unknown_name
    from qa_suite.dose.plan.targets import called, choose_target

    for target in targets:
        if target not in structures:
            raise InputError(f"--target: {unknown_name('structure', target, list(structures))}")
    for choice in settings.plans:
        try:
            rule, names = choose_target(choice.template, structures)
        except InputError as error:
            if targets:
                raise
            raise InputError(f"{str(error).rstrip('.')}; name yours with --target.") from None
        console.say(f"Target of {choice.key}: {called(names, rule)}")


def _read_plan(path: Path) -> ImportedPlan:
    from qa_suite.io.rt.plan.read import read_plan, require_supported

    plan = read_plan(path)
    require_supported(plan)
    return plan


def _measured(
    pair: Pair, settings: DoseSettings, path: Path
) -> tuple[list[Measurement], list[Kept]]:
    from qa_suite.metrics.base import Kept
    from qa_suite.metrics.run import measure_pair
    from qa_suite.metrics.settings import MeasureSettings

    measured = measure_pair(
        pair,
        families=["dose"],
        settings=MeasureSettings(dose=settings),
        case=path.absolute().name,
        patient="unknown",
        site="unknown",
    )
    broken = [row.why for row in measured.rows if row.status == "error"]
    if broken:  # one pair was asked for: what stands in its way is the answer
        raise InputError(broken[0])
    for remark in measured.remarks:
        console.say(f"! {remark}.")
    return measured.rows, [Kept(role=r, volume=v) for r, v in measured.volumes.items()]


# ---------------------------------------------------------------------------------------
# What is printed: target and organs first, then goals, gamma and what casts doubt

_TARGET = "target"
_OF_ORGANS = ("Dmean", "D2")
_PARTS = {
    "path_unseen": "of the beams' path to the target was not seen by the source image; there the "
    "doses cannot differ",
    "path_beyond_table": "of the beams' rays to the target meet voxels beyond the HLUT's ends; the "
    "dose behind them rests on a value that nobody stated",
    "path_cut": "of the rays to the target enter through the image's edge; the tissue before it "
    "is missing",
}


class _Rows:
    """The rows of one plan by metric and region."""

    def __init__(self, rows: Sequence[Measurement], key: str) -> None:
        self.key = key
        self._found = {(r.metric, r.region, r.variant): r for r in rows}

    def of(self, metric: str, region: str, more: str = "") -> Measurement | None:
        """Return the row of a metric, or None where there is none."""
        return self._found.get((metric, region, self.key + more))

    def text(self, metric: str, region: str, form: str, more: str = "") -> str:
        """Write a value; what has none says what it is instead."""
        row = self.of(metric, region, more)
        if row is None:
            return "not measured"
        return form.format(row.value) if row.value is not None else row.status

    def regions(self, metric: str, start: str) -> list[str]:
        """Return the regions of a kind that a metric was measured in, in the rows' order."""
        return [
            region
            for name, region, variant in self._found
            if name == metric and variant == self.key and region.startswith(start)
        ]


def show_dose(measured: Sequence[Measurement], settings: DoseSettings, *, compared: bool) -> None:
    """Print the doses of target and organs, goals, gamma, and what casts doubt on them.

    Parameters
    ----------
    measured
        All rows of the family ``dose``.
    settings
        What was asked for.
    compared
        Whether there was a synthetic image; without one only the plan's own dose is shown.
    """
    for choice in settings.plans:
        rows = _Rows(measured, choice.key)
        asked = rows.of("prescribed_dose", _TARGET)
        if asked is None or asked.value is None:
            continue
        title = f"{choice.key}: {asked.value:g} Gy prescribed to the target ({asked.why})"
        _show_table(title, rows, compared=compared)
        for line in by_machine(_computed_by(rows)):
            console.show(f"Beams: {line}")
        for line in _coverage_lines(rows, compared=compared):
            console.show(line)
        for line in (*(_compared_lines(rows, settings) if compared else ()), *_doubts(rows)):
            console.show(line)
    console.say(f"{count(len(measured), 'measurement')} in all; --all prints them, --json as JSON.")


def _computed_by(rows: _Rows) -> Iterator[tuple[str, str]]:
    """Yield each beam of the clinic and what computed it."""
    for region in rows.regions("machine_energy", "beam:"):
        if (row := rows.of("machine_energy", region)) is not None:
            yield region.removeprefix("beam:"), row.why


def _show_table(title: str, rows: _Rows, *, compared: bool) -> None:
    from qa_suite.metrics.dose.facts import DVH_METRICS

    lines = []
    for region in (_TARGET, *rows.regions("dmean_reference", "structure:")):
        for metric, name in DVH_METRICS.items():
            if region != _TARGET and name not in _OF_ORGANS:
                continue
            lines.append(
                [
                    region.removeprefix("structure:"),
                    name,
                    rows.text(f"{metric}_reference", region, "{:.2f}"),
                    rows.text(f"{metric}_synthetic", region, "{:.2f}"),
                    rows.text(f"{metric}_difference", region, "{:+.2f}"),
                    rows.text(f"{metric}_difference_pct", region, "{:+.2f}"),
                ]
            )
    heads = [
        "structure",
        "metric",
        "reference (Gy)",
        "synthetic (Gy)",
        "difference (Gy)",
        "of prescription (%)",
    ]
    kept = len(heads) if compared else 3
    console.show_table(title, heads[:kept], [line[:kept] for line in lines])


def _coverage_lines(rows: _Rows, *, compared: bool) -> Iterator[str]:
    """Yield for each target whether it gets what is prescribed, on one image or on both."""
    words = {1.0: "met", 0.0: "missed", None: "undecided"}
    for region in (_TARGET, *rows.regions("coverage_met_reference", "structure:")):
        asked = rows.of("coverage_met_reference", region)
        if asked is None:
            continue
        said = []
        for side in ("reference", "synthetic") if compared else ("reference",):
            met = rows.of(f"coverage_met_{side}", region)
            share = rows.text(f"coverage_dose_{side}", region, "{:.1f} %")
            said.append(f"{side} {share}, {words[None if met is None else met.value]}")
        name = "target" if region == _TARGET else region.removeprefix("structure:")
        yield f"Prescription to the {name} ({asked.why}): {'; '.join(said)}"


def _compared_lines(rows: _Rows, settings: DoseSettings) -> Iterator[str]:
    """Yield what the comparison of both doses says beside the DVHs."""
    counts = [
        f"{rows.text(f'goals_{what}', 'all', '{:.0f}')} {what}"
        for what in ("lost", "gained", "undecided")
    ]
    yield f"Goals on the synthetic image, the prescription among them: {', '.join(counts)}"
    for criterion in settings.gamma:
        rates = [
            f"{region} {rows.text('gamma_pass_rate', region, '{:.1f} %', f':{criterion.key}')}"
            for region in ("body", _TARGET)
        ]
        yield f"γ {criterion.title}: {', '.join(rates)}"
    for region in rows.regions("wepl_difference_mean", "beam:"):
        beam = region.removeprefix("beam:")
        shift = rows.text("wepl_difference_mean", region, "{:+.1f} mm")
        yield f"Beam {beam}: water-equivalent path to the target's far side {shift}"


def _doubts(rows: _Rows) -> Iterator[str]:
    """Yield what casts doubt on the doses."""
    mean, asked = rows.of("dmean_reference", _TARGET), rows.of("prescribed_dose", _TARGET)
    values = [row.value for row in (mean, asked) if row is not None and row.value is not None]
    if len(values) == 2 and (said := far_from_prescription(*values)):
        yield f"! On the reference CT {said}."
    for metric, name in (
        ("hu_beyond_reference", "reference CT"),
        ("hu_beyond_synthetic", "synthetic image"),
    ):
        if (row := rows.of(metric, "body")) is not None and row.value:
            yield f"! In the {name} {row.why}."
    for metric, words in _PARTS.items():
        shares = [
            f"{region.removeprefix('beam:')} {row.value:.1f} %"
            for region in rows.regions(metric, "beam:")
            if (row := rows.of(metric, region)) is not None and row.value
        ]
        if shares:
            yield f"! Part {words} ({'; '.join(some(shares))})."
