"""Adds doses to the evaluation of :mod:`tests.record_factory`; drawn, computed by no engine.

Two plans (photons and protons) of four cases, and a clinic's. A01 is kept with its volumes, B01
without; a goal of C01 flips and B01 loses its
prescription, A02 could not be planned, A03's rectum lies half outside the grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_files import (
    CASES_FILE,
    CURVES_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    read_cases,
    write_model,
    write_table,
)
from qa_suite.core.record_names import VOLUMES_FOLDER
from qa_suite.core.records import CaseRecord, CurvePoint, Evaluation, Measurement, Verdict
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.images import write_image
from qa_suite.judging.evidence import save_verdict
from qa_suite.judging.judge import judge
from tests.record_factory import make_record
from tests.record_facts import identified
from tests.record_volumes import write_volumes

CASES = ("A01", "B01", "C01")
KEPT = "A01"
FAILED = "A02"
OUTSIDE = "A03"
PRESCRIPTION_GY = 60.0
DOSE_GRID = Grid(shape=(62, 40, 20), spacing_mm=(6.0, 6.0, 6.0), origin_mm=(-180.0, -120.0, -60.0))
CENTRE_MM = np.array([5.0, -10.0, 6.0])
MARKUP = "<b>Rectum & co</b>"
GAMMAS = ((3.0, 3.0), (2.0, 2.0))
DIFFERENTLY_JUDGED = ("B01", "clinic", 2.0)  # case, plan, and the criterion of fewer voxels
BANDED = ("A01", "photon-drawn")
"""The one case and plan with samples."""
SAMPLES = 4
NO_HISTOGRAM = "B01"
"""The case whose target has none."""
NO_VOXEL = "no voxel of the region gets 6 Gy"
RECTUM_V50 = {"A01": (30.0, 31.0), "B01": (45.0, 44.0), "C01": (49.0, 52.0), OUTSIDE: (None, None)}
"""% of the rectum at or above 50 Gy on reference and synthetic image; 50 % is the goal."""
NO_RAY = -9999.0
ASKED = "D95 at least 95 % of the prescribed dose"


def template(name: str, modality: str) -> dict[str, Any]:
    """Return a plan template as the settings of an evaluation hold it."""
    photons = modality == "photons"
    angles = (0.0, 120.0, 240.0) if photons else (90.0, 300.0)
    return {
        "name": name,
        "modality": modality,
        "anatomy": "pelvis",
        "engine": "drawn",
        "machine": "none",
        "technique": "conformal" if photons else "spots",
        "beams": [
            {"gantry_deg": a, "couch_deg": 0.0, "collimator_deg": 0.0, "name": ""} for a in angles
        ],
        "prescription": {
            "dose_gy": PRESCRIPTION_GY,
            "fractions": 30,
            "coverage_pct": 95.0,
            "coverage_dose_pct": 95.0,
        },
        "targets": [
            {"structures": ["PTV"], "margin_mm": 0.0, "unions": False},
            {"structures": ["GTV"], "margin_mm": 10.0, "unions": False},
        ],
        "grid_mm": 6.0,
        "aperture_margin_mm": 7.0,
        "beamlet_mm": 5.0,
        "goals": [
            {
                "structure": "Rectum",
                "metric": "V50Gy",
                "direction": "at_most",
                "bound": 50.0,
                "unit": "%",
                "source": f"a source with {MARKUP}",
            },
            {
                "structure": "Bladder",
                "metric": "D2",
                "direction": "at_most",
                "bound": 55.0,
                "unit": "Gy",
                "source": "another source",
            },
            {
                "structure": "Bladder",
                "metric": "D0.03cc",
                "direction": "at_most",
                "bound": 60.0,
                "unit": "Gy",
                "source": "another source",
            },
            {
                "structure": "Nowhere",
                "metric": "Dmean",
                "direction": "at_most",
                "bound": 50.0,
                "unit": "% of prescription",
                "source": "another source",
            },
        ],
        "source": "drawn by the test factory; not to be believed anywhere",
    }


def settings() -> dict[str, Any]:
    """Return the settings of the family."""
    hlut = {
        "name": "line",
        "quantity": "relative_electron_density",
        "source": "one straight line",
        "note": "",
        "points": [[-1000.0, 0.0], [1000.0, 2.0]],
    }
    plans = [("photon-drawn", "photons"), ("proton-drawn", "protons")]
    return {
        "plans": [
            {"template": template(*plan), "hlut": hlut, "other_hluts": [hlut | {"name": "bent"}]}
            for plan in plans
        ],
        "rtplans": False,
        "clinic": template("judged-by", "photons"),
        "grid_mm": None,
        "gamma": [{"dose_pct": a, "distance_mm": b, "local": False} for a, b in GAMMAS],
        "gamma_settings": {
            "mode": "trilinear",
            "normalisation": "prescription",
            "cutoff_pct": None,
            "cutoff_of": "max",
            "max_gamma": 5.0,
            "tolerance": 1e-4,
        },
    }


def make_dose_record(folder: Path, **more: Any) -> tuple[Evaluation, Verdict]:
    """Write an evaluation with doses into ``folder``, and its verdict."""
    evaluation, verdict = make_record(folder, **more)
    cases = read_cases(folder)
    by_name = {case.case: case for case in cases}
    rows, curves = (
        _read(folder, Measurement, MEASUREMENTS_FILE),
        _read(folder, CurvePoint, CURVES_FILE),
    )
    for name in (*CASES, OUTSIDE, FAILED):
        rows += list(_rows(by_name[name]))
        curves += list(_curves(by_name[name]))
    kept = {KEPT: _volumes(folder, KEPT), OUTSIDE: {}}
    cases = tuple(
        case.model_copy(update={"volumes": {**case.volumes, **kept[case.case]}})
        if case.case in kept
        else case
        for case in cases
    )
    tables = {
        MEASUREMENTS_FILE: write_table(folder / MEASUREMENTS_FILE, rows, Measurement),
        CASES_FILE: write_table(folder / CASES_FILE, list(cases), CaseRecord),
        CURVES_FILE: write_table(folder / CURVES_FILE, curves, CurvePoint),
    }
    measures = {**evaluation.settings["measures"], "dose": settings()}
    evaluation = evaluation.model_copy(
        update={
            "tables_sha256": tables,
            "settings": {**evaluation.settings, "measures": measures, "dose_cases": "all"},
            "variants": {
                **evaluation.variants,
                "photon-drawn": {"believed_for": f"pictures & {MARKUP} only"},
            },
        }
    )
    evaluation = identified(evaluation)
    write_model(folder / EVALUATION_FILE, evaluation)
    for old in (folder / "verdicts").glob("*.json"):
        old.unlink()
    verdict = judge(folder, verdict.profile)
    save_verdict(verdict, folder)
    return evaluation, verdict


def _read(folder: Path, row_type: type, name: str) -> list[Any]:
    rows = pd.read_parquet(folder / name).to_dict(orient="records")
    clean = [{k: None if v != v else v for k, v in row.items()} for row in rows]
    return [row_type.model_validate(row) for row in clean]


def _who(case: CaseRecord) -> dict[str, str]:
    return {"case": case.case, "patient": case.patient, "site": case.site, "family": "dose"}


def _rows(case: CaseRecord) -> Iterator[Measurement]:
    for plan in ("photon-drawn", "proton-drawn", "clinic"):
        yield from _plan_rows(case, plan)


def _plan_rows(case: CaseRecord, plan: str) -> Iterator[Measurement]:
    def row(metric: str, region: str, value: float | None, unit: str, **more: Any) -> Measurement:
        status = "ok" if value is not None else "undefined"
        facts = {"variant": plan, "status": status, **more}
        return Measurement(
            **_who(case), metric=metric, region=region, value=value, unit=unit, **facts
        )

    if case.case == FAILED:
        lost = {"status": "error", "why": f"the case has no target: {MARKUP}"}
        for metric in ("d98", "d95", "d50", "d2", "dmean"):
            yield row(f"{metric}_difference_pct", "target", None, "%", **lost)
        return
    shift = {"A01": 0.6, "B01": -0.3, "C01": 1.5, OUTSIDE: 0.0}[case.case]
    doses = {"d98": 56.0, "d95": 57.0, "d50": 60.0, "d2": 62.0, "dmean": 59.7, "dmax": 63.0}
    for metric, gy in doses.items():
        yield from _pair(row, metric, "target", gy, gy + shift)
    yield from _pair(row, "d2", "structure:Bladder", 50.0, 50.0 + shift)
    if case.case == OUTSIDE:
        why = "only 48 % of Rectum lies in the dose grid, and 99 % must"
        for side in ("reference", "synthetic", "difference"):
            yield row(f"d2_{side}", "structure:Rectum", None, "Gy", why=why)
    else:
        yield from _pair(row, "d2", "structure:Rectum", 58.0, 58.0 + shift)
    yield row("prescribed_dose", "target", PRESCRIPTION_GY, "Gy", why="a template")
    for side, gy in (("reference", doses["d95"]), ("synthetic", doses["d95"] + shift)):
        yield row(f"coverage_dose_{side}", "target", 100 * gy / PRESCRIPTION_GY, "%")
        yield row(
            f"coverage_met_{side}", "target", int(gy >= 0.95 * PRESCRIPTION_GY), "1", why=ASKED
        )
    yield row("coverage_dose_difference", "target", 100 * shift / PRESCRIPTION_GY, "%")
    lost = int(case.case in ("B01", "C01"))
    for metric, value in (
        ("goals_lost", lost),
        ("goals_gained", 0),
        ("goals_judged", 3),
        ("goals_undecided", 2),
    ):
        yield row(metric, "all", value, "1")
    for dose, distance in GAMMAS:
        more = {"variant": f"{plan}:{dose:g}pct{distance:g}mm"}
        for region in ("body", "target"):
            judged = 4000 if (case.case, plan, dose) != DIFFERENTLY_JUDGED else 3000
            yield row("gamma_voxels", region, judged, "1", **more)
            yield row("gamma_pass_rate", region, 99.0 - 3 * abs(shift) + dose / 3, "%", **more)
        if plan != "clinic":
            yield row("bulk_gamma_pass_rate", "body", 95.0, "%", **more)
    yield row("dose_difference_95", "body", 1.0 + abs(shift), "%")
    yield row("dose_difference_mean", "body", shift, "%")
    if case.case == NO_HISTOGRAM:
        yield row("dose_difference_mean", "target", None, "%", why=NO_VOXEL)
    else:
        yield row("dose_difference_mean", "target", shift, "%")
    if plan == BANDED[1] and case.case == BANDED[0]:
        yield row("band_samples", "target", SAMPLES, "1")
    if plan == "clinic":
        return
    for cause, part in (("outline", 0.5), ("air", 0.1), ("soft", 0.2), ("bone", 0.2)):
        yield row("cause_dmean", f"cause:{cause}", part * shift, "%")
    yield row("hlut_dmean", "target", -1.1, "%", variant=f"{plan}:bent")
    yield row("bulk_dmean", "target", -1.2, "%")
    unseen = 12.5 if plan == "proton-drawn" and case.case == "C01" else 0.0
    for label in ("G090", "G300") if plan == "proton-drawn" else ("G000", "G120", "G240"):
        yield row("path_unseen", f"beam:{label}", unseen, "%")
        yield row("path_cut", f"beam:{label}", 0.0, "%")
        if plan == "proton-drawn":
            for metric, mm in (("mean", 2 * shift), ("95", 4.0), ("max", 6.0)):
                yield row(f"wepl_difference_{metric}", f"beam:{label}", mm, "mm")
            yield row("range_error_pct", f"beam:{label}", shift, "%")
            yield row("range_beyond_margin", f"beam:{label}", 3.0, "%")


def _pair(row: Any, metric: str, region: str, one: float, two: float) -> Iterator[Measurement]:
    yield row(f"{metric}_reference", region, one, "Gy")
    yield row(f"{metric}_synthetic", region, two, "Gy")
    yield row(f"{metric}_difference", region, two - one, "Gy")
    yield row(f"{metric}_difference_pct", region, 100 * (two - one) / PRESCRIPTION_GY, "%")


def _curves(case: CaseRecord) -> Iterator[CurvePoint]:
    if case.case == FAILED:
        return
    for plan in ("photon-drawn", "proton-drawn", "clinic"):
        for curve, region, x, y in (*_dvhs(case.case, plan), *_histograms(case.case)):
            units = ("Gy", "%") if curve.startswith("dvh") else ("% of the prescription", "%")
            for a, b in zip(x, y, strict=True):
                yield CurvePoint(
                    **_who(case),
                    curve=curve,
                    region=region,
                    variant=plan,
                    x=float(a),
                    x_unit=units[0],
                    y=float(b),
                    y_unit=units[1],
                )


def _dvhs(case: str, plan: str) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Draw straight DVHs: the target falls from 55 to 65 Gy, the rectum through its V50Gy."""
    x = np.arange(0, 131) * 0.5
    for n, side in enumerate(("reference", "synthetic")):
        v50 = RECTUM_V50[case][n]
        yield f"dvh_{side}", "target", x, np.interp(x, (55 + n, 65 + n), (100.0, 0.0))
        if v50 is not None:
            y = np.interp(x, (0, 50, 65), (100.0, v50, 0.0))
            yield f"dvh_{side}", "structure:Rectum", x, y
    if (case, plan) == BANDED:
        for side, shift in (("low", -1), ("high", 3)):
            y = np.interp(x, (55 + shift, 65 + shift), (100.0, 0.0))
            yield f"dvh_{side}", "target", x, y


def _histograms(case: str) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Draw two bars: three quarters of the voxels at 0 % and a quarter at 1 %; of C01 some far."""
    far = {"C01": 0.5}.get(case, 0.0)
    last = 400 if far else 10
    x = np.arange(-last, last + 1) / 10
    y = np.where(x == 0, 75.0, np.where(x == 1, 25.0 - far, np.where(x == 40, far, 0.0)))
    for region in ("body", "target"):
        if (case, region) != (NO_HISTOGRAM, "target"):
            yield "dose_difference_histogram", region, x, y


def distance_mm() -> np.ndarray:
    """Distance of each voxel of the dose grid from the target's centre."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in DOSE_GRID.shape], indexing="ij"), axis=-1)
    return np.asarray(np.linalg.norm(DOSE_GRID.to_world(index) - CENTRE_MM, axis=-1))


def _volumes(folder: Path, case: str) -> dict[str, str]:
    far = distance_mm()
    dose = 63.0 * np.exp(-((far / 60.0) ** 2))
    gamma = np.where(dose > 6, far / 40.0, -1.0)
    made: dict[str, Volume] = {}
    for plan in ("photon-drawn", "proton-drawn"):
        made[f"dose_reference@{plan}"] = _on_grid(dose, "Gy")
        made[f"dose_synthetic@{plan}"] = _on_grid(1.01 * dose, "Gy")
        made[f"gamma@{plan}"] = _on_grid(gamma, "arbitrary")
        made[f"target@{plan}"] = _on_grid((far < 30).astype(np.uint8), "label")
    made["range_error:G090@proton-drawn"] = range_map()
    files = write_volumes(folder, case, 40.0)
    for role, volume in made.items():
        draft = folder / VOLUMES_FOLDER / "draft.nii.gz"
        write_image(volume, draft)
        files[role] = f"{sha256_of(draft)[:32]}.nii.gz"
        draft.replace(draft.with_name(files[role]))
    return files


def _on_grid(array: np.ndarray, quantity: Any) -> Volume:
    kind = np.uint8 if quantity == "label" else np.float32
    return Volume(array=array.astype(kind), grid=DOSE_GRID, quantity=quantity)


def range_map() -> Volume:
    """Return a map of 12 × 9 rays, x from −30 mm: error = x / 10 mm, no ray in the corners."""
    x, y = np.meshgrid(-30 + 6.0 * np.arange(12), -24 + 6.0 * np.arange(9), indexing="ij")
    values = np.where(np.hypot(x, y) < 38, x / 10, NO_RAY).astype(np.float32)[..., None]
    grid = Grid(shape=(12, 9, 1), spacing_mm=(6.0, 6.0, 1.0), origin_mm=(-30.0, -24.0, 0.0))
    return Volume(array=values, grid=grid, quantity="arbitrary")
