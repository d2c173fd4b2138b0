"""The verb ``checkup``: one new patient against the held-out cohort, without a reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qa_suite.cli import console
from qa_suite.cli.options import REQUIRED, Commas, NameOrNone, Options, add_verb, argument, option
from qa_suite.core.trust import TRUST_HELP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qa_suite.checkup import CheckUp
    from qa_suite.checkup.over_time import Chart, OverTime
    from qa_suite.core.records import Evaluation, Measurement
    from qa_suite.core.volume import Quantity, Volume
    from qa_suite.metrics.reference_free import Patient
    from reports.figures.control_charts import ControlChart

SYMBOL = {"within": "✔", "outside": "✘", "unknown": "?", "inconclusive": "?"}
STATUS = {"within": 0, "outside": 1, "inconclusive": 3}


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    add_verb(app, checkup, CheckupOptions, writes_file="log")


class CheckupOptions(Options):
    """Which images are checked, against which evaluation, and where that is kept."""

    source: Path = argument(REQUIRED, "Source image: a file, or a DICOM folder.")
    synthetic: Path = argument(REQUIRED, "Synthetic CT of the same patient.")
    against: Path = option(REQUIRED, "Folder of the evaluation to compare with.")
    std: Path | None = option(None, "The translator's std, on the same grid.")
    inverse: str | None = option(None, "Translator of the reverse direction, as in the evaluation.")
    trust: tuple[str, ...] = option((), TRUST_HELP)
    case: NameOrNone = option(None, "Pseudonym in output and log; default: hash of the image.")
    log: Path | None = option(None, "Append to this CSV file, and chart it over time.")
    charts: Path | None = option(None, "With --log: write its control charts to this HTML file.")
    out: Path | None = option(None, "Folder for the check-up on half a page.")
    formats: Commas = option("html,pdf", "With --out: of html, pdf, dicom and json, by comma.")
    family_wise: bool = option(False, "Exit 1 only beyond the limits for all measures.")
    as_json: bool = option(False, "Print the findings as JSON.", "json")


def checkup(asked: CheckupOptions) -> int:
    """Check one new patient's synthetic CT without a reference.

    Every measure becomes a percentile among the evaluation's held-out patients, and is held
    against their control limits (mean ± 2.66 mean moving ranges).

    Exit status: 0 within all limits, 1 outside one, 2 bad input, 3 nothing to compare with.

    Example: `qa-suite checkup mr.nii.gz synthetic-ct.nii.gz --against evaluations/play`
    """
    from qa_suite.checkup import check_up
    from qa_suite.checkup.cohort import limits_of
    from qa_suite.cli.options import names
    from qa_suite.cli.sheet_files import read_sheet_formats
    from qa_suite.core.errors import InputError
    from qa_suite.core.record_files import read_evaluation, read_measurements
    from qa_suite.io.identity import voxel_hash

    formats = read_sheet_formats("check-up", names(asked.formats))
    if asked.charts is not None and asked.log is None:
        raise InputError("--charts draws what a log holds; give the log with --log.")
    evaluation = read_evaluation(asked.against)
    limits = limits_of(read_measurements(asked.against))
    patient = _patient(evaluation, asked)
    name = asked.case or f"image-{voxel_hash(patient.synthetic)[:12]}"
    rows, left_out = _measured(evaluation, patient, name)
    found = check_up(rows, limits)
    found = found.model_copy(update={"not_compared": found.not_compared | left_out})
    log = asked.log if found.findings else None
    over_time = None if log is None else _log(log, found, evaluation)
    if asked.charts is not None:
        drawn = None if over_time is None else _draw(over_time, asked.charts)
        console.say(f"Charts: {drawn or 'none, as nothing was compared and logged'}")
    if asked.out is not None:
        _write_sheet(found, evaluation, over_time, formats, asked.out)
    if asked.as_json:
        data = found.model_dump(mode="json")
        data["over_time"] = None if over_time is None else over_time.model_dump(mode="json")
        console.show_json(data)
    else:
        _show(found, evaluation, over_time)
    outcome = found.outcome
    far = any(finding.far_outside for finding in found.findings)
    if asked.family_wise and outcome == "outside" and not far:
        outcome = "within"
    status = STATUS[outcome]
    if over_time is None or status:
        return status
    return {"out of control": 1, "undetermined": 3}.get(over_time.state, 0)


def _patient(evaluation: Evaluation, asked: CheckupOptions) -> Patient:
    from qa_suite.core.prediction import Prediction
    from qa_suite.core.record_files import read_model
    from qa_suite.core.record_names import NORMS_FILE
    from qa_suite.core.volume import require_same_grid
    from qa_suite.io.dicom.series import quantity_of_modality
    from qa_suite.metrics.reference_free import Patient
    from qa_suite.metrics.reference_free.norms import Norms

    first, _, second = evaluation.cohort.direction.partition("->")
    target = quantity_of_modality(second)
    image = _read(asked.synthetic, target)
    prediction = None
    if asked.std is not None:
        spread = _read(asked.std, target)
        require_same_grid({str(asked.synthetic): image, str(asked.std): spread})
        prediction = Prediction(mean=image, std=spread)
    norms = asked.against / NORMS_FILE
    back = None
    if asked.inverse:
        back, _ = inverse_translator(asked.inverse, evaluation.cohort.direction, asked.trust)
    return Patient(
        synthetic=image,
        source=_read(asked.source, quantity_of_modality(first)),
        prediction=prediction,
        norms=read_model(norms, Norms) if norms.is_file() else None,
        inverse=back,
    )


def _read(path: Path, quantity: Quantity) -> Volume:
    """Read a file, or the only image series of a DICOM folder."""
    from qa_suite.core.errors import InputError
    from qa_suite.io.dicom.headers import scan_dicom
    from qa_suite.io.dicom.series import read_series
    from qa_suite.io.images import read_image

    if not path.is_dir():
        return read_image(path, quantity)
    series = scan_dicom(path).series
    if len(series) != 1:
        raise InputError(f"{path} holds {len(series)} image series; give a folder with one.")
    volume = read_series(series[0])
    if volume.quantity != quantity:
        raise InputError(f"{path} holds {volume.quantity}, and the evaluation is of {quantity}.")
    return volume


def _measured(
    evaluation: Evaluation, patient: Patient, case: str
) -> tuple[list[Measurement], dict[str, str]]:
    """Measure the patient as the cohort was measured; name what needs more than was given."""
    from pydantic import ValidationError

    from qa_suite.core.errors import Problems
    from qa_suite.core.validation import describe_validation
    from qa_suite.metrics.facts import METRICS
    from qa_suite.metrics.reference_free import CHECKS, FAMILY, examine
    from qa_suite.metrics.reference_free.settings import ReferenceFreeSettings

    told = evaluation.settings.get("measures", {}).get(FAMILY, {})
    try:
        settings = ReferenceFreeSettings.model_validate(told)
    except ValidationError as error:
        raise Problems("The settings of the evaluation", describe_validation(error)) from None
    absent = {}
    if patient.inverse is None:
        absent["cycle_error"] = "give --inverse as in the evaluation"
    if patient.prediction is None:
        absent["sample_disagreement"] = "give --std"
    rows = [
        value.measurement(
            unit=METRICS[value.metric].facts.unit,
            case=case,
            patient=case,
            site="unknown",
            family=FAMILY,
        )
        for value in examine(
            patient, settings, only=[name for name in CHECKS if name not in absent]
        )
    ]
    return rows, {f"{name} in body": why for name, why in absent.items()}


def _log(path: Path, found: CheckUp, evaluation: Evaluation) -> OverTime:
    from datetime import UTC, datetime

    from qa_suite.checkup.over_time import append_log, control_over_time, model_key

    now = datetime.now(UTC).isoformat(timespec="seconds")
    log = append_log(
        path, found, time=now, evaluation=evaluation.evaluation, model=model_key(evaluation.model)
    )
    return control_over_time(log)


def _write_sheet(
    found: CheckUp,
    evaluation: Evaluation,
    over_time: OverTime | None,
    formats: Sequence[str],
    out: Path,
) -> None:
    from datetime import UTC, datetime

    from qa_suite.cli.sheet_files import write_sheet
    from reports.facts.sheets.check_up import check_up_sheet

    sheet = check_up_sheet(
        found.model_dump(mode="json"),
        evaluation,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        over_time="" if over_time is None else over_time.sentence,
    )
    for path in write_sheet(sheet, formats, out):
        console.say(f"Sheet: {path}")


def charts_of(over_time: OverTime) -> list[ControlChart]:
    """Return the control charts of a log as they are drawn."""
    from qa_suite.core.wording import measure_name
    from reports.figures.control_charts import ControlChart

    def drawn(chart: Chart) -> ControlChart:
        key = (chart.metric, chart.region, chart.variant)
        mine = [s for s in over_time.signals if (s.metric, s.region, s.variant) == key]
        return ControlChart(
            title=measure_name(*key),
            unit=chart.unit,
            state=chart.state,
            points=chart.points,
            baseline=chart.baseline,
            centre=chart.centre,
            low=chart.low,
            high=chart.high,
            signals=tuple((place, s.sentence) for s in mine for place in s.places),
            said=(*(s.sentence for s in mine), *([chart.why] if chart.why else ())),
        )

    return [drawn(chart) for chart in over_time.measures]


def _draw(over_time: OverTime, out: Path) -> Path:
    from reports.html.control_charts import write_control_charts

    return write_control_charts(
        out,
        state=over_time.state,
        model=over_time.model,
        sentence=over_time.sentence,
        charts=charts_of(over_time),
    )


def _show(found: CheckUp, evaluation: Evaluation, over_time: OverTime | None) -> None:
    from qa_suite.checkup.charts import MIN_VALUES, SETTLED_VALUES
    from qa_suite.core.wording import count

    console.show(f"{SYMBOL[found.outcome]} {found.outcome.upper()}: {found.sentence}")
    if not found.findings:
        console.show(
            f"  The evaluation must hold the checks without a reference of {MIN_VALUES} patients "
            f"or more; this one has {count(evaluation.cohort.patients, 'patient')}."
        )
        return
    for finding in found.outside:
        console.show(f"  {SYMBOL['outside']} {finding.sentence}")
    others = f"{count(found.patients, 'held-out patient')} of {evaluation.cohort.name}"
    console.show_table(
        f"{found.case} against {others}",
        ("", "measure", "region", "value", "unit", "percentile", "low", "high", "sd"),
        [_line(finding) for finding in found.findings],
    )
    for what, why in found.not_compared.items():
        console.say(f"  not compared: {what}: {why}")
    if found.patients < SETTLED_VALUES:
        console.say(
            f"  ! limits of {count(found.patients, 'patient')} are provisional; {SETTLED_VALUES} "
            f"settle them"
        )
    for notice in evaluation.announced:
        console.say(f"  ! {notice}")
    if over_time is not None:
        mark = {"in control": "✔", "out of control": "✘"}.get(over_time.state, "?")
        console.show(f"{mark} {over_time.sentence}")
        for signal in over_time.signals:
            console.show(f"  {SYMBOL['outside']} {signal.sentence}")


def _line(finding: Any) -> tuple[Any, ...]:
    from qa_suite.core.wording import brief

    def number(value: float | None, form: str = ".4g") -> str:
        return "–" if value is None else format(value, form)

    mark = SYMBOL[finding.state] * (2 if finding.far_outside else 1)
    value = finding.status if finding.value is None else number(finding.value)
    if finding.status == "censored":
        value = brief(finding.at_least, finding.at_most)
    low = number(finding.low) if finding.side != "high" else "–"
    high = number(finding.high) if finding.side != "low" else "–"
    return (
        mark,
        finding.metric,
        finding.region,
        value,
        finding.unit,
        number(finding.percentile, ".0f"),
        low,
        high,
        number(finding.sigmas, "+.1f"),
    )


# ---------------------------------------------------------------------------------------
# What an evaluation brings along for these checks


def inverse_translator(
    uri: str, direction: str, trust: Sequence[str] = ()
) -> tuple[Callable[[Volume], Volume], str]:
    """Load the translator of the reverse direction; return it, and its URI with its weights.

    What must be known of its files and its code follows the weights.

    Raises
    ------
    InputError
        If it cannot be loaded or translates another way.
    """
    from qa_suite.core.errors import InputError
    from qa_suite.core.trust import read_trust
    from qa_suite.evaluation.models import WayBack
    from qa_suite.evaluation.registered import load_translator

    facts, translate = load_translator(uri, trust=read_trust(trust))
    first, _, second = direction.partition("->")
    if facts.direction != f"{second}->{first}":
        raise InputError(
            f"{uri} translates {facts.direction}; the way back of {direction} is {second}->{first}."
        )
    for line in facts.announced:
        console.say(f"! {line}")
    named = (facts.uri, facts.weights_sha256 or "", *facts.announced)
    return WayBack(translate), " ".join(word for word in named if word)
