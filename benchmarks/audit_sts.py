"""An audit of the 24 sarcoma patients by vendor of the MR scanner, into docs/audit.md.

    python -m benchmarks.audit_sts --out audit-sts --write docs/audit.md

The simplest translator (median HU by MR intensity) is trained on GE scanners and examined on the
patients of the others and on GE patients that it has not seen. Three patients of Siemens and three
of Philips are too few to interpret: what the audit must say is that it cannot tell.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from qa_suite.audit.asked import AuditSettings
from qa_suite.audit.audit import audit, save_audit
from qa_suite.cli import run
from qa_suite.core.records import Audit
from qa_suite.core.wording import number
from qa_suite.evaluation.profiles import load_profile
from reports.html.audit import write_audit_page

BEGIN, END = "<!-- sts: begin -->", "<!-- sts: end -->"
PRIMARY = ("mae:body", "me:body")
FAMILIES = "image,segmentation,appearance"
SPLIT = "train=0.35,validation=0.15,calibration=0,test=0.5"


def evaluated(data: Path, out: Path) -> Path:
    """Import, train and evaluate; what is there already is kept."""
    cohort, place = out / "cohort", out / "evaluation"
    if not (cohort / "manifest.yaml").is_file():
        (out / "sts.key").write_text("public-example-key")
        words = ["--anatomy", "extremity", "--site-by", "manufacturer", "--train-sites", "GE"]
        more = ["--split", SPLIT, "--seed", "6", "--key-file", str(out / "sts.key")]
        _verb("import", str(data), str(cohort), *words, *more)
    if not (place / "evaluation.json").is_file():
        _verb("train", "intensity", str(cohort), "--name", "sts-intensity")
        model = "models:/sts-intensity/1"
        _verb("evaluate", str(cohort), model, "--families", FAMILIES, "--out", str(place))
    return place


def _verb(*words: str) -> None:
    status = run(list(words))
    if status not in (0, 3):
        sys.exit(f"qa-suite {' '.join(words)} ended with status {status}")


def table(found: Audit) -> str:
    """Write what was named, and every vendor in the primary measures."""
    lines = [
        f"> {found.sentence}",
        "",
        found.power,
        "",
        "| Vendor of the MR | Patients measured | Without a value | MAE in body, HU | "
        "ME in body, HU |",
        "|---|---|---|---|---|",
    ]
    for cell in found.cells:
        if cell.dimension != "site":
            continue
        rows = {f.metric: f for f in found.findings if (f.dimension, f.cell) == ("site", cell.cell)}
        told = []
        for metric in ("mae", "me"):
            one = rows[metric]
            if one.estimate is None:
                told.append("none")
            elif one.low is None or one.high is None:
                told.append(f"{number(one.estimate)}, not interpreted")
            else:
                told.append(f"{number(one.estimate)} ({number(one.low)} to {number(one.high)})")
        home = ", trained on" if cell.in_training else ""
        n, missing = rows["mae"].patients, rows["mae"].missing
        lines.append(f"| {cell.cell}{home} | {n} | {missing} | {' | '.join(told)} |")
    return "\n".join(lines)


def main() -> None:
    """Import, train, evaluate, audit, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/sts/nifti"))
    parser.add_argument("--out", type=Path, default=Path("audit-sts"))
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    if not asked.data.is_dir():
        sys.exit(f"The sarcoma patients are not at {asked.data} (see docs/real-patients.md).")
    out = asked.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{out}/mlflow.db")
    place = evaluated(asked.data, out)
    found = audit([place], load_profile("descriptive"), AuditSettings(primary=PRIMARY))
    save_audit(found, out)
    page = write_audit_page(found, out / "audit.html")
    print(found.lead, found.sentence, found.power, page, sep="\n")
    if asked.write is not None:
        text = asked.write.read_text()
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        asked.write.write_text(f"{before}{BEGIN}\n{table(found)}\n{END}{after}")


if __name__ == "__main__":
    main()
