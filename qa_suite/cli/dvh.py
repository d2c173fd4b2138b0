"""The verb ``dvh``: dose-volume histograms of a dose and structures, from files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qa_suite.cli import console
from qa_suite.cli.given import GivenOptions, given
from qa_suite.cli.options import REQUIRED, Commas, Options, add_verb, argument, option
from qa_suite.core.errors import InputError
from qa_suite.core.wording import count

if TYPE_CHECKING:
    from qa_suite.core.volume import Grid
    from qa_suite.dose.dvh.curve import Dvh
    from qa_suite.dose.dvh.goals import GoalResult
    from qa_suite.dose.dvh.metrics import MetricReading
    from qa_suite.dose.structures.structures import AnyStructure
    from qa_suite.io.rt.structures import StructureSet

_METRICS = "D98,D95,D50,D2,Dmean,Dmax,D0.03cc"


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    add_verb(app, dvh, DvhOptions, writes_file="curves")


class HistogramOptions(Options):
    """Of which structures, with which metrics and goals."""

    dose: Path = argument(REQUIRED, "The dose: NIfTI, MHA, or RTDOSE (file or folder).")
    structures: tuple[str, ...] = argument(
        REQUIRED, "Masks or label images (FILE or NAME=FILE), or an RTSTRUCT."
    )
    prescription_gy: float | None = option(
        None, "Prescribed dose; for V95% and goals in % of it.", gt=0
    )
    metrics: Commas = option(_METRICS, "Metrics, such as D95,D0.03cc,V20Gy.")
    only: tuple[str, ...] = option((), "Only this structure; may be repeated.", "structure")
    goals: str | None = option(
        None, "Clinical goals: a YAML list, or the template to take them from."
    )
    curves: Path | None = option(None, "CSV file for the curves.")
    step_gy: float = option(0.1, "Distance of the points of a curve.", ge=0.001)
    as_json: bool = option(False, "Print JSON.", "json")


class DvhOptions(GivenOptions, HistogramOptions):
    """Everything that dose-volume histograms are asked."""


def dvh(asked: DvhOptions) -> int:
    """Dose-volume metrics of structures, with fractional voxel weights, and clinical goals.

    Exit status 1 where a goal is missed; else 3 where one cannot be judged, where a structure
    that was named has no value, or none has.

    Example: `qa-suite dvh dose.nii.gz ptv.nii.gz Rectum=rectum.nii.gz --prescription-gy 60
    --metrics D95,D2,V20Gy`
    """
    from qa_suite.cli.options import names
    from qa_suite.dose.clinic.template import goals_of, prescribed_goal
    from qa_suite.dose.dvh.curve import dvhs_of
    from qa_suite.dose.dvh.goals import evaluate_goals
    from qa_suite.dose.dvh.metrics import parse_metric, read_metric
    from qa_suite.io.rt.dose.notes import note_of_level, notes_of

    prescription_gy = asked.prescription_gy
    wanted = [parse_metric(name) for name in names(asked.metrics)]
    goals = goals_of(asked.goals) if asked.goals else ()
    sets = _structure_sets(asked.structures)
    (read,) = given(
        [asked.dose],
        asked,
        belongs=list(sets.values()),
        prescription_gy=prescription_gy,
        signed=True,
    )
    drawn, named = _structures_of(asked.structures, sets, read.volume.grid)
    drawn = _chosen(drawn, asked.only)
    found = dvhs_of(
        read.volume, drawn, prescription_gy=prescription_gy, any_scale=asked.any_scale, threads=2
    )
    notes = [*notes_of([read]), *note_of_level(read, prescription_gy)]
    rows = [
        read_metric(one, metric, prescription_gy=prescription_gy)
        for one in found.values()
        for metric in wanted
    ]
    if asked.goals and (target := prescribed_goal(asked.goals, list(found), prescription_gy)):
        goals = (target, *goals)
    results = evaluate_goals(found, goals, prescription_gy=prescription_gy)
    if asked.curves is not None:
        _write_curves(found, asked.curves, asked.step_gy)
    if asked.as_json:
        console.show_json(
            {
                "dose": str(asked.dose),
                "given": read.told(),
                "notes": notes,
                "prescription_gy": prescription_gy,
                "structures": [_facts(one) for one in found.values()],
                "metrics": [dataclasses.asdict(row) for row in rows],
                "goals": [_goal_facts(result) for result in results],
            }
        )
    else:
        _show(found, rows, results)
        for note in notes:
            console.show(f"  {note}")
    if any(result.met is False for result in results):
        return console.EXIT_STATUS["fail"]
    undecided = any(result.met is None for result in results)
    undecided |= _lacks_values(rows, {*named, *asked.only})
    return console.EXIT_STATUS["inconclusive" if undecided else "pass"]


def _lacks_values(rows: Sequence[MetricReading], named: set[str]) -> bool:
    """Whether a structure that was named has no value at all, or no structure has any."""
    valued = {row.structure for row in rows if row.value is not None}
    return bool(rows) and (not valued or bool(named - valued))


def _structure_sets(arguments: Sequence[str]) -> dict[str, StructureSet]:
    """Read every RTSTRUCT among the arguments, by its argument."""
    from qa_suite.cli.dose_input import structure_set
    from qa_suite.io.images import is_image_file

    paths = {argument: Path(argument.rpartition("=")[2]) for argument in arguments}
    return {a: structure_set(path) for a, path in paths.items() if not is_image_file(path)}


def _structures_of(
    arguments: Sequence[str], sets: Mapping[str, StructureSet], grid: Grid
) -> tuple[list[AnyStructure], set[str]]:
    """Return all structures, and the names of those that have a file of their own."""
    found: list[AnyStructure] = []
    named: set[str] = set()
    for word in arguments:
        if word in sets:
            found += sets[word].structures.values()
            continue
        name, _, rest = word.rpartition("=")
        masks = _of_image(Path(rest), name, grid)
        named |= {one.name for one in masks}
        found += masks
    return found, named


def _of_image(path: Path, name: str, grid: Grid) -> list[AnyStructure]:
    """Read a mask as one structure, an image of several labels as many (``NAME 3``)."""
    import numpy as np

    from qa_suite.dose.structures.structures import sample_labels
    from qa_suite.io.images import ending_of, read_image

    labels = read_image(path, "label")
    if not name:
        name = path.name[: -len(ending_of(path))]
    low = int(labels.array.min())
    if low < 0:
        raise InputError(f"{path} holds the label {low}; labels are 0 (outside) and above.")
    values = [int(v) for v in np.unique(labels.array) if v > 0]
    names = {v: f"{name} {v}" for v in values} if len(values) > 1 else {(values or [1])[0]: name}
    return list(sample_labels(labels, names, grid).values())


def _chosen(structures: list[AnyStructure], names: Sequence[str]) -> list[AnyStructure]:
    from qa_suite.core.registry import unknown_name

    known = [one.name for one in structures]
    for name in names:
        if name not in known:
            raise InputError(unknown_name("structure", name, known))
    return [one for one in structures if not names or one.name in names]


def _facts(one: Dvh) -> dict[str, Any]:
    return {
        "structure": one.name,
        "volume_cc": one.volume_cc,
        "coverage": one.coverage,
        "why": one.why_undefined,
        "notes": list(one.notes),
    }


def _goal_facts(result: GoalResult) -> dict[str, Any]:
    return {
        **result.goal.model_dump(),
        "goal": result.goal.text,
        "value": result.value,
        "value_unit": result.unit,
        "met": result.met,
        "why": result.why,
    }


def _write_curves(dvhs: Mapping[str, Dvh], path: Path, step_gy: float) -> None:
    import csv

    from qa_suite.core.whole_files import replacing

    with replacing(path) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("structure", "dose_gy", "volume_pct", "remark"))
        for name, one in dvhs.items():
            if one.why_undefined:
                console.say(f"  no curve: {one.why_undefined}")
                writer.writerow((name, "", "", f"undefined: {one.why_undefined}"))
                continue
            doses, volumes = one.curve(step_gy)
            for x, y in zip(doses, volumes, strict=True):
                writer.writerow((name, f"{x:.6g}", f"{y:.6g}", ""))
    console.say(f"Curves: {path}")


def _show(dvhs: Mapping[str, Dvh], rows: Sequence[Any], results: Sequence[GoalResult]) -> None:
    names = list(dict.fromkeys((row.metric, row.unit) for row in rows))
    by_place = {(row.structure, row.metric): row for row in rows}
    lines = []
    for name, one in dvhs.items():
        cells = [by_place[name, metric].value for metric, _ in names]
        shown = ["–" if value is None else f"{value:.2f}" for value in cells]
        whys = dict.fromkeys(by_place[name, m].why for m, _ in names)
        why = "; ".join([*(w for w in whys if w), *one.notes])
        cover = f"{100 * one.coverage:.1f}"
        lines.append((name, f"{one.volume_cc:.2f}", cover, *shown, why))
    titles = [f"{metric}, {unit}" if unit != "1" else metric for metric, unit in names]
    console.show_table(
        f"{count(len(dvhs), 'structure')}",
        ("structure", "cc", "covered, %", *titles, "remarks"),
        lines,
    )
    if results:
        met = sum(result.met is True for result in results)
        console.show_table(
            f"{met} of {count(len(results), 'goal')} met",
            ("structure", "goal", "value", "met", "remarks"),
            [_goal_row(result) for result in results],
        )


def _goal_row(result: GoalResult) -> tuple[str, ...]:
    words = {True: "yes", False: "no", None: "?"}
    value = "–" if result.value is None else f"{result.value:.2f} {result.unit}"
    return result.goal.structure, result.goal.text, value, words[result.met], result.why
