"""The limbs with sarcoma: CT against a simple synthetic CT, by the command that a user has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.dose_real.tables import number, signed
from qa_suite.core.errors import InputError
from qa_suite.core.record_files import read_cases, read_measurements

PLANS = ("photon-extremity", "proton-extremity")
SPLIT = "train=0.6,validation=0.15,calibration=0,test=0.25"
COMMANDS = (
    (
        "import",
        "{data}",
        "cohorts/sts",
        "--anatomy",
        "extremity",
        "--site-by",
        "manufacturer",
        "--train-sites",
        "GE",
        "--split",
        SPLIT,
        "--seed",
        "6",
        "--key-file",
        "sts.key",
        "--replace",
    ),
    ("train", "intensity", "cohorts/sts", "--name", "sts-intensity"),
    (
        "evaluate",
        "cohorts/sts",
        "models:/sts-intensity/1",
        "--plan",
        PLANS[0],
        "--plan",
        PLANS[1],
        "--hlut",
        "thomas-1999",
        "--hlut",
        "electron-density-as-rsp",
        "--dose-cases",
        "one_per_site",
        "--keep-volumes",
        "all",
        "--workers",
        "1",
        "--out",
        "evaluations/sts",
    ),
)
_EVALUATION = Path("evaluations/sts")
COHORT = Path("cohorts/sts")


def evaluate_limbs(data: Path, work: Path) -> Path:
    """Import the cohort, train the look-up by intensity, and evaluate it with dose.

    What is already in ``work`` is kept: an evaluation there is read as it is.

    Raises
    ------
    InputError
        If the images are not there or a command fails.
    """
    folder = work / _EVALUATION
    if (folder / "measurements.parquet").is_file():
        return folder
    images = data / "sts" / "nifti"
    if not images.is_dir():
        raise InputError(f"There is no {images}; give the folder of the real images with --data.")
    (work / "mlruns").mkdir(parents=True, exist_ok=True)
    (work / "sts.key").write_text("public-example-key")
    store = f"sqlite:///{(work / 'mlruns' / 'mlflow.db').resolve()}"
    for command in COMMANDS:
        words = [word.format(data=images.resolve()) for word in command]
        print("qa-suite", *words, flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "qa_suite.cli", *words],
            cwd=work,
            check=False,
            env=os.environ | {"MLFLOW_TRACKING_URI": store},
        )
        if done.returncode:
            raise InputError(f"'qa-suite {command[0]}' ended with status {done.returncode}.")
    return folder


def limb_table(folder: Path) -> str:
    """One line a patient and plan: what was cut, what was not seen, and how far range is off."""
    rows = read_measurements(folder)
    dose = rows[rows["family"] == "dose"]
    head = [
        "site",
        "plan",
        "`path_cut` by beam, %",
        "`path_unseen` by beam, %",
        "range: mean / 95 % / largest, mm",
        "ΔDmean, %",
        "γ 2/2 body, %",
    ]
    lines = [_line(head), _line(["---"] * 2 + ["--:"] * (len(head) - 2))]
    for (site, _), case in dose.groupby(["site", "case"]):
        lines += [_line([str(site), f"`{plan}`", *_cells(plan, case)]) for plan in PLANS]
    return "\n".join(lines) + "\n\n" + _refused(folder) + "\n"


def _cells(plan: str, case: pd.DataFrame) -> list[str]:
    mine = case[case["variant"] == plan]
    beams = sorted({str(r) for r in mine["region"] if str(r).startswith("beam:")})
    if not beams:
        return [f"not computed: {next(iter(mine['why'].dropna()), '')}", *[""] * 4]
    found = [_values(mine, beam) for beam in beams]
    shares = [
        ", ".join(
            f"{beam.removeprefix('beam:')} {number(one.get(name), 0)}"
            for beam, one in zip(beams, found, strict=True)
        )
        for name in ("path_cut", "path_unseen")
    ]
    ranges = [
        f"{signed(one['wepl_difference_mean'], 1)} / {number(one['wepl_difference_95'], 1)} / "
        f"{number(one['wepl_difference_max'], 1)}"
        for one in found
        if "wepl_difference_mean" in one
    ]
    gamma = _values(case[case["variant"] == f"{plan}:2pct2mm"], "body")
    return [
        *shares,
        ", ".join(ranges) or "–",
        signed(_values(mine, "target").get("dmean_difference_pct"), 2),
        number(gamma.get("gamma_pass_rate"), 1),
    ]


def _values(rows: pd.DataFrame, region: str) -> Mapping[str, float | None]:
    here = rows[rows["region"] == region].to_dict(orient="records")
    return {row["metric"]: row["value"] if row["status"] == "ok" else None for row in here}


def _refused(folder: Path) -> str:
    out = [case for case in read_cases(folder) if case.status != "evaluated"]
    words = [f"{case.site}, {case.reason.rstrip('.')}" for case in out]
    return f"Not evaluated: {'; '.join(words) or 'none'}."


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
