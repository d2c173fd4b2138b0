"""Train, register and examine every family alike, and write the tables of ``docs/families.md``.

python -m benchmarks.families --write docs/families.md
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.families.material import PATIENTS, virtual_cohort
from benchmarks.families.run import Result, examine_family
from benchmarks.families.table import (
    controls_section,
    cost_table,
    quality_table,
    uncertainty_table,
)
from benchmarks.filling import fill
from qa_suite.errors import QAError
from translators.spec import load_spec

# label, specification, whether it is held against the controls
VIRTUAL = (
    ("intensity", "intensity", False),
    ("regression", "regression-demo", True),
    ("regression, features, ensemble", "regression-features-demo", True),
    ("pix2pix", "pix2pix-demo", True),
    ("cyclegan", "cyclegan-demo", True),
    ("diffusion", "diffusion-demo", True),
    ("bridge", "bridge-demo", True),
    ("contourdiff", "contourdiff-demo", True),
    ("contourdiff, CT→MR", "contourdiff-ct-mr-demo", True),
    ("mri2pet", "mri2pet-demo", True),
)
TITLES = {"MR->CT": "mr-to-ct", "CT->MR": "ct-to-mr", "MR->PT": "mr-to-pet"}


def main() -> int:
    options = _options()
    place = tempfile.TemporaryDirectory()
    work = options.work or Path(place.name)
    results: list[Result] = []
    try:
        for label, name, controlled in VIRTUAL:
            if options.only and name not in options.only:
                continue
            spec = load_spec(name)
            cohort, folder = virtual_cohort(work / "cohorts", spec.direction, options.patients)
            results.append(examine_family(label, spec, cohort, folder, work, controlled=controlled))
        for name, part in parts(results).items():
            print(f"## {name}\n\n{part}")
        if options.write is not None:
            fill(options.write, parts(results))
    except QAError as error:
        print(error)
        return 2
    return 0


def parts(results: Sequence[Result]) -> dict[str, str]:
    """Return the Markdown of each part of the page."""
    found = {}
    for direction, title in TITLES.items():
        some = [r for r in results if r.spec.direction == direction]
        if some:
            found[f"quality {title}"] = quality_table(some)
            found[f"uncertainty {title}"] = uncertainty_table(some)
    found["cost"] = cost_table(results)
    found["controls"] = controls_section(results)
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the page whose tables are filled")
    parser.add_argument("--work", type=Path, help="keep cohorts, models and evaluations here")
    parser.add_argument("--only", nargs="*", help="specifications")
    parser.add_argument("--patients", type=int, default=PATIENTS, help="a hospital")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
