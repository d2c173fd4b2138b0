"""An audit of eight virtual hospitals, one of them bad, and one bad stratum, into docs/audit.md.

    python -m benchmarks.audit_virtual --out audit-virtual --write docs/audit.md
    python -m benchmarks.audit_virtual --out /tmp/quick --patients 5,5 --spacing 12,12,12

The examined is no network: the true CT with the errors of a learned translator, worse by design at
one hospital (its calibration is off) and in stout patients of every hospital (noise). So it
is known what the audit must name. Two hospitals share each scanner, so that a scanner is not one
hospital.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path

from benchmarks.planted_errors import NOISE_HU, OFFSET_HU, STOUT_MM, translate
from qa_suite.audit.asked import AuditSettings
from qa_suite.audit.audit import audit, save_audit
from qa_suite.core.cohort import Cohort, assign_splits, load_cohort, save_cohort
from qa_suite.core.executors.crew import Crew
from qa_suite.core.records import Audit, ModelFacts
from qa_suite.core.wording import measure_name, number
from qa_suite.evaluation.case_run import EvaluationSettings
from qa_suite.evaluation.evaluate import Examination, evaluate
from qa_suite.evaluation.profiles import load_profile
from qa_suite.lab.phantom import make_phantom_cohort
from reports.facts.audit import panels
from reports.figures.forest import forest
from reports.html.audit import write_audit_page

BEGIN, END = "<!-- virtual hospitals: begin -->", "<!-- virtual hospitals: end -->"
PROFILE = "mr-to-ct-pelvis"
PRIMARY = ("body MAE", "body ME", "bone Dice")
FAMILIES = ("image", "segmentation", "appearance")
HOMES = ("hospital-A", "hospital-B")
SECOND = {"A": "E", "B": "F", "C": "G", "D": "H"}
"""Hospitals of the second cohort: each has the scanner of one of the first."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is made."""

    patients: tuple[int, int] = (12, 6)
    """Of each hospital of the first cohort, and of the second."""
    spacing_mm: tuple[float, float, float] = (8.0, 8.0, 10.0)
    seed: int = 11


def cohorts(out: Path, plan: Plan) -> list[tuple[Path, Cohort]]:
    """Make both cohorts; those that are there already are read."""
    made = []
    for place, name in enumerate(("north", "south")):
        folder = out / name
        if not (folder / "manifest.yaml").is_file():
            cohort = make_phantom_cohort(
                folder,
                hospitals=tuple(SECOND),
                patients_per_hospital=plan.patients[place],
                spacing_mm=plan.spacing_mm,
                seed=plan.seed + place,
                workers=2,
            )
            if place:
                cases = tuple(
                    case.model_copy(update={"site": f"hospital-{SECOND[case.site[-1]]}"})
                    for case in cohort.cases
                )
                cohort = cohort.model_copy(update={"cases": cases})
            shares = {"train": 0.0, "validation": 0.0, "calibration": 0.0, "test": 1.0}
            save_cohort(assign_splits(cohort, fractions=shares, seed=1), folder)
        made.append((folder, load_cohort(folder)))
    return made


def evaluations(out: Path, plan: Plan) -> list[Path]:
    """Evaluate the planted translator on both cohorts."""
    model = ModelFacts(
        uri="benchmarks:planted",
        name="planted",
        family="oracle",  # who alone sees the truth
        weights_sha256=hashlib.sha256(f"{OFFSET_HU} {STOUT_MM} {NOISE_HU}".encode()).hexdigest(),
        direction="MR->CT",
        training_sites=HOMES,
    )
    folders = []
    for folder, cohort in cohorts(out, plan):
        place = out / f"evaluation-{folder.name}"
        settings = EvaluationSettings(families=FAMILIES, keep_volumes="none")
        evaluate(
            Examination(
                cohort=cohort, folder=folder, model=model, translate=translate, settings=settings
            ),
            place,
            crew=Crew(workers=2),
            progress=lambda done, total, case: print(done, total, case, flush=True),
        )
        folders.append(place)
    return folders


def audited(folders: list[Path]) -> Audit:
    """Audit both evaluations together."""
    return audit(folders, load_profile(PROFILE), AuditSettings(primary=PRIMARY))


def table(found: Audit) -> str:
    """Write what was named, and every hospital in the primary measures."""
    lines = [
        f"> {found.lead}",
        "",
        f"{found.sentence} {found.power}",
        "",
        "| Hospital | Patients | " + " | ".join(_titles(found)) + " |",
        "|---|---|" + "---|" * len(_titles(found)),
    ]
    for cell in found.cells:
        if cell.dimension != "site":
            continue
        told = []
        for measure in found.measures:
            if not measure.primary:
                continue
            (one,) = [
                f
                for f in found.findings
                if (f.metric, f.region, f.cell) == (measure.metric, measure.region, cell.cell)
                and f.dimension == "site"
            ]
            if one.estimate is None or one.low is None or one.high is None:
                told.append("undecided")
                continue
            text = f"{number(one.estimate)} ({number(one.low)} to {number(one.high)})"
            told.append(f"**{text}, named**" if one.test and one.test.named else text)
        home = ", trained on" if cell.in_training else ""
        lines.append(f"| {cell.cell}{home} | {cell.patients} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def _titles(found: Audit) -> list[str]:
    return [
        f"{measure_name(m.metric, m.region)}{'' if m.unit == '1' else f', {m.unit}'}"
        for m in found.measures
        if m.primary
    ]


def draw(found: Audit, folder: Path) -> None:
    """Write the bias by hospital and the absolute error by stratum as drawings for the docs."""
    error, bias = panels(found)[:2]
    for name, plot in (("sites", bias.sites), ("strata", error.strata)):
        if plot is not None:
            (folder / f"audit-{name}.svg").write_text(forest(plot) + "\n", encoding="utf-8")


def main() -> None:
    """Make, evaluate, audit, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("audit-virtual"))
    parser.add_argument("--patients", default="12,6")
    parser.add_argument("--spacing", default="8,8,10")
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    x, y, z = (float(part) for part in asked.spacing.split(","))
    first, second = (int(part) for part in asked.patients.split(","))
    plan = Plan(patients=(first, second), spacing_mm=(x, y, z))
    found = audited(evaluations(asked.out, plan))
    save_audit(found, asked.out)
    page = write_audit_page(found, asked.out / "audit.html")
    print(found.lead, found.sentence, found.power, page, sep="\n")
    if asked.write is not None:
        text = asked.write.read_text()
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        asked.write.write_text(f"{before}{BEGIN}\n{table(found)}\n{END}{after}")
        draw(found, asked.write.parent / "images")


if __name__ == "__main__":
    main()
