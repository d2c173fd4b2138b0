"""A small evaluation folder with everything a report must cope with.

Three hospitals: A and B were trained on, C was not and is worse. One case was refused, one
failed, one could not be imported, one has a metric without a value. The numbers are drawn
from a seed and measured on nothing; the volumes are a crude pelvis, right in geometry only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from qa_suite.core.record_files import (
    CASES_FILE,
    CURVES_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    write_model,
    write_table,
)
from qa_suite.core.records import (
    CaseRecord,
    CodeFacts,
    CohortFacts,
    CurvePoint,
    Evaluation,
    Measurement,
    ModelFacts,
    PreflightValue,
    Verdict,
    When,
)
from qa_suite.judging.evidence import save_verdict
from qa_suite.judging.judge import judge
from tests.record_facts import (
    DEFINITIONS,
    FAMILIES,
    PROFILE,
    SEGMENTER,
    STANDARD_THRESHOLD_HU,
    TRAINING_SITES,
    UNITS,
    Kind,
    identified,
    instruments,
    set_measurements,
)
from tests.record_volumes import GRID, write_volumes

PATIENTS_BY_SITE = {"A": 8, "B": 7, "C": 6}

CENTRES = {  # mean and spread of each hospital's patients
    "model": {"mae": (62.0, 6.0), "bone": (180.0, 18.0), "me": (-4.0, 6.0), "dice": (0.88, 0.02)},
    "floor": {"mae": (18.0, 1.0), "bone": (30.0, 2.0), "me": (0.0, 2.0), "dice": (0.97, 0.01)},
    "baseline": {"mae": (118.0, 9.0), "bone": (420.0, 30.0), "me": (9.0, 9.0), "dice": (0.5, 0.05)},
}
ABROAD = {"mae": 45.0, "bone": 130.0, "me": 38.0, "dice": -0.14}
SHIFTS_MM = {"B03": 14.2, "B05": 6.1}  # refused by preflight; excluded by the profile


def make_record(
    folder: Path,
    *,
    seed: int = 7,
    kind: Kind = "model",
    keep: bool = True,
    patients_by_site: Mapping[str, int] = PATIENTS_BY_SITE,
    notices: tuple[str, ...] = ("The leakage check was overridden by hand: --allow-leakage.",),
) -> tuple[Evaluation, Verdict]:
    """Write an evaluation into ``folder`` and its verdict into ``folder/verdicts``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    measurements, cases = _rows(rng, kind, patients_by_site)
    if keep:
        cases = _keep_volumes(folder, measurements, cases)
    tables = {
        MEASUREMENTS_FILE: write_table(folder / MEASUREMENTS_FILE, measurements, Measurement),
        CASES_FILE: write_table(folder / CASES_FILE, cases, CaseRecord),
        CURVES_FILE: write_table(folder / CURVES_FILE, _curves(rng, measurements), CurvePoint),
    }
    evaluation = identified(_evaluation(kind, cases, tables, patients_by_site, notices))
    write_model(folder / EVALUATION_FILE, evaluation)
    verdict = judge(folder, PROFILE)
    save_verdict(verdict, folder)
    return evaluation, verdict


def _rows(
    rng: np.random.Generator, kind: Kind, patients_by_site: Mapping[str, int]
) -> tuple[list[Measurement], list[CaseRecord]]:
    measurements: list[Measurement] = []
    cases: list[CaseRecord] = []
    for site, count in patients_by_site.items():
        for number in range(1, count + 1):
            name = f"{site}{number:02d}"
            patient = hashlib.sha256(name.encode()).hexdigest()[:16]
            where = {"case": name, "patient": patient, "site": site}
            refused, failed = name == "B03", name == "C02"
            cases.append(
                CaseRecord(
                    **where,
                    split="test",
                    status="refused" if refused else "failed" if failed else "evaluated",
                    reason="the residual shift of 14.2 mm is above the bound of 10 mm"
                    if refused
                    else "RuntimeError: the model gave 3 values <NaN> & stopped"
                    if failed
                    else "",
                    preflight=_preflight(rng, SHIFTS_MM.get(name, float(rng.uniform(0.3, 3.0)))),
                    strata={"source_manufacturer": f"Vendor {site}", "implant": "unknown"},
                    grid=GRID.describe(),
                    history=("resampled linear to the source grid",),
                )
            )
            if not (refused or failed):
                measurements += _measure(rng, kind, where)
    cases.append(
        CaseRecord(
            case="A99",
            patient="deadbeefdeadbeef",
            site="A",
            split=None,
            status="failed",
            reason="could not be imported: the CT series has a missing slice at z = 35 mm",
        )
    )
    return measurements, cases


def _preflight(rng: np.random.Generator, shift: float) -> dict[str, PreflightValue]:
    return {
        "readable": PreflightValue(value=1.0, bound="1", status="ok"),
        "overlap": PreflightValue(
            value=float(rng.uniform(0.9, 1.0)), unit="1", bound=">= 0.5", status="ok"
        ),
        "alignment_shift": PreflightValue(
            value=shift,
            unit="mm",
            bound="<= 10 mm",
            status="refused" if shift > 10 else "ok",
            why="MR and CT are not aligned" if shift > 10 else "",
        ),
        "alignment_rotation": PreflightValue(
            unit="deg", bound="<= 5 deg", status="undetermined", why="no structure along z"
        ),
    }


def _measure(rng: np.random.Generator, kind: Kind, where: dict[str, str]) -> list[Measurement]:
    def draw(key: str) -> float:
        mean, spread = CENTRES[kind][key]
        abroad = ABROAD[key] if where["site"] not in TRAINING_SITES and kind == "model" else 0.0
        return float(mean + abroad + spread * rng.standard_normal())

    def row(
        metric: str, region: str, value: float | None, why: str = "", variant: str = "default"
    ) -> Measurement:
        return Measurement(
            **where,
            family=FAMILIES.get(metric, "image"),
            metric=metric,
            region=region,
            variant=variant,
            value=value,
            unit=UNITS[metric],
            status="ok" if value is not None else "undefined",
            why=why,
            coverage=1.0,
        )

    mae, dice = draw("mae"), min(draw("dice"), 1.0)
    no_bone = where["case"] == "A05"
    return [
        row("mae", "body", mae),
        row("rmse", "body", 2.1 * mae),
        row("me", "body", draw("me")),
        row("mae", "bone", draw("bone")),
        row("mae", "soft", 0.6 * mae),
        row(
            "dice",
            "seg:Bone",
            None if no_bone else dice,
            "the reference has <no> bone above 250 HU" if no_bone else "",
        ),
        row("dice", "seg:Bladder", 0.9 * dice, variant=SEGMENTER),
        row("fat_level", "fat", -100.0 + draw("me")),
        row("cycle_error", "body", None, "no inverse translator was given"),
    ]


def _curves(rng: np.random.Generator, measurements: list[Measurement]) -> list[CurvePoint]:
    """Draw each measured case's curves; case A01 has no voxel at the highest threshold."""
    points = []
    for m in measurements:
        if (m.metric, m.region) != ("mae", "body"):
            continue
        slack = float(rng.uniform(0.0, 0.1))
        shares = np.linspace(0.05, 0.95, 19)
        thresholds = np.arange(100.0, 601.0 if m.case != "A01" else 600.0, 25.0)
        for name, x, y, x_unit in (
            ("dice_by_threshold", thresholds, 0.95 - slack - thresholds / 3000, "HU"),
            ("calibration", shares, shares ** (1 + slack), "1"),
            ("sparsification", shares - 0.05, 1 - (0.7 - slack) * shares, "1"),
            ("sparsification_oracle", shares - 0.05, 1 - 0.9 * shares, "1"),
        ):
            who = {"case": m.case, "patient": m.patient, "site": m.site}
            family, region = "uncertainty", "body"
            if name == "dice_by_threshold":
                family, region = "segmentation", "seg:Bone"
            points += [
                CurvePoint(
                    **who,
                    family=family,
                    curve=name,
                    region=region,
                    x=float(a),
                    x_unit=x_unit,
                    y=float(b),
                    y_unit="1",
                )
                for a, b in zip(x, y, strict=True)
            ]
    return points


def _keep_volumes(
    folder: Path, measurements: list[Measurement], cases: list[CaseRecord]
) -> list[CaseRecord]:
    body = sorted(
        (m for m in measurements if (m.metric, m.region) == ("mae", "body")),
        key=lambda m: (m.value, m.case),
    )
    keep = {body[0].case, body[(len(body) - 1) // 2].case, body[-1].case}
    keep |= {m.case for m in {m.site: m for m in body}.values()}
    error = {m.case: float(m.value or 0) for m in body}
    return [
        case.model_copy(update={"volumes": write_volumes(folder, case.case, error[case.case])})
        if case.case in keep
        else case
        for case in cases
    ]


def _evaluation(
    kind: Kind,
    cases: list[CaseRecord],
    tables: dict[str, str],
    patients_by_site: Mapping[str, int],
    notices: tuple[str, ...],
) -> Evaluation:
    name = {"model": "regression", "floor": "oracle", "baseline": "intensity"}[kind]
    held_out = sum(1 for case in cases if case.split == "test")
    return Evaluation(
        evaluation="",
        model=ModelFacts(
            uri=f"models:/{name}-pelvis/3",
            name=f"{name}-pelvis",
            version="3",
            family=name,
            weights_sha256=hashlib.sha256(name.encode()).hexdigest(),
            direction="MR->CT",
            training_sites=TRAINING_SITES,
            training_data_digest=hashlib.sha256(b"data").hexdigest(),
            training_patients=tuple(f"{n:016x}" for n in range(24)),
        ),
        cohort=CohortFacts(
            name="three-hospitals",
            digest=hashlib.sha256(b"cohort").hexdigest(),
            direction="MR->CT",
            anatomy="pelvis",
            split="test",
            cases=held_out,
            patients=held_out,
            sites=tuple(sorted(patients_by_site)),
        ),
        code=CodeFacts(
            suite_version="0.1.0",
            git_commit="0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
            git_dirty=True,
            python="3.11.2",
            packages={"numpy": "2.4.0", "torch": "2.13.0", "monai": "1.6.1"},
        ),
        settings={
            "keep_volumes": "worst",
            "families": sorted({"image", *FAMILIES.values()}),
            "seed": 1,
            "measures": {"segmentation": {"bone": {"threshold_hu": STANDARD_THRESHOLD_HU}}},
        },
        definitions={
            metric: {
                "title": title,
                "direction": better,
                "unit": UNITS[metric],
                "formula": "drawn",
                "empty": "drawn",
                "reference": "this test factory",
            }
            for metric, (title, better) in DEFINITIONS.items()
        },
        instruments=instruments(),
        set_measurements=set_measurements(),
        variants={
            SEGMENTER: {"segmenter": SEGMENTER},
            "default": {"bands_hu": {"air": [-1100, -300], "bone": [250, 3100]}},
        },
        case_counts={
            "imported": held_out + 31,
            "import_failed": 1,
            "held_out": held_out,
            "refused": sum(1 for case in cases if case.status == "refused"),
            "failed": sum(1 for c in cases if c.status == "failed" and c.split == "test"),
            "evaluated": sum(1 for case in cases if case.status == "evaluated"),
        },
        notices=notices,
        tables_sha256=tables,
        when=When(
            started="2026-11-23T08:00:00+00:00",
            finished="2026-11-23T08:04:10+00:00",
            seconds_by_case={case.case: 2.5 for case in cases},
            peak_memory_mib=812.0,
        ),
    )
