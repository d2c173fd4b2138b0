"""Run the real images and write the tables of ``docs/appendix/dose-on-real-images.md``.

python -m benchmarks.dose_real --write docs/appendix/dose-on-real-images.md
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.dose_real.images import RealCase, head_and_neck_case, trunk_case
from benchmarks.dose_real.limb_ranges import range_table
from benchmarks.dose_real.limbs import COHORT, evaluate_limbs, limb_table
from benchmarks.dose_real.pictures import draw_isodoses
from benchmarks.dose_real.run import make_plan, measure_twin, share_cut, twin_images
from benchmarks.dose_real.tables import clinical_table, plan_line, twin_table
from benchmarks.filling import fill
from qa_suite.core.errors import QAError

CASES: Mapping[str, Callable[[Path], RealCase]] = {
    "bladder": lambda data: trunk_case(data, "bladder"),
    "pancreas": lambda data: trunk_case(data, "pancreas"),
    "head-and-neck": head_and_neck_case,
}
LIMBS = "limbs"
PICTURED = ("bone missing", "gas filled")


def main() -> int:
    options = _options()
    if not options.data.is_dir():
        print(f"There are no real images at {options.data}; say where with --data.")
        return 2
    parts: dict[str, str] = {}
    try:
        for name in [n for n in CASES if n in options.only]:
            parts |= _case_parts(CASES[name](options.data), options.grid_mm, options.pictures)
        if LIMBS in options.only:
            with tempfile.TemporaryDirectory() as folder:
                parts |= _limb_parts(options.data, options.work or Path(folder))
        if options.write is not None:
            fill(options.write, parts)
    except QAError as error:
        print(error)
        return 2
    return 0


def _case_parts(case: RealCase, grid_mm: float | None, pictures: Path | None) -> dict[str, str]:
    plans, parts = [], {}
    for template in case.plans:
        start = time.perf_counter()
        planned = make_plan(case, template, grid_mm)
        plans.append(planned)
        rows, doses = [], {}
        for name, image in twin_images(planned):
            row, dose = measure_twin(planned, name, image)
            rows.append(row)
            if name in PICTURED:
                doses[name] = dose
        text = f"{plan_line(planned, share_cut(planned))}\n\n{twin_table(rows)}"
        parts[template.name] = text
        print(f"## {case.title}\n\n{text}", flush=True)
        print(f"{template.name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        if pictures is not None:
            draw_isodoses(planned, doses, pictures / f"{template.name}.png")
    if case.clinical is not None:
        parts["clinical"] = clinical_table(plans)
        print(parts["clinical"])
    return parts


def _limb_parts(data: Path, work: Path) -> dict[str, str]:
    work.mkdir(parents=True, exist_ok=True)
    folder = evaluate_limbs(data, work)
    parts = {"limbs": limb_table(folder), "limb-ranges": range_table(work / COHORT, folder)}
    print("## Limbs", *parts.values(), sep="\n\n")
    return parts


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--write", type=Path, help="page whose marked tables are replaced")
    parser.add_argument("--only", nargs="+", default=[*CASES, LIMBS], choices=[*CASES, LIMBS])
    parser.add_argument("--grid-mm", type=float, help="voxels of the dose grid, else the plan's")
    parser.add_argument("--work", type=Path, help="folder to keep the limbs' cohort and record")
    parser.add_argument("--pictures", type=Path, help="folder for isodoses, outside the project")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
