"""Train, register and examine every family alike; writes ``docs/appendix/families.md``.

python -m benchmarks.families --at-a-time 2 --write docs/appendix/families.md
python -m benchmarks.families --at-a-time 2 --study placed --write docs/appendix/families.md
python -m benchmarks.families --study real --data DATA --write docs/appendix/families.md
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.families.material import PATIENTS
from benchmarks.families.study import STUDIES, Asked, examine_study, parts
from benchmarks.filling import fill
from qa_suite.core.errors import QAError


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as temporary:
        asked = Asked(
            study=options.study,
            work=options.work or Path(temporary),
            data=options.data,
            patients=options.patients,
            keep=options.keep,
        )
        try:
            results = examine_study(asked, options.only, at_a_time=options.at_a_time)
            found = {
                f"{STUDIES[options.study].prefix}{name}": part
                for name, part in parts(results).items()
            }
            for name, part in found.items():
                print(f"## {name}\n\n{part}")
            if options.write is not None:
                fill(options.write, found)
        except QAError as error:
            print(error)
            return 2
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the page whose tables are filled")
    parser.add_argument("--study", choices=tuple(STUDIES), default="virtual")
    parser.add_argument("--data", type=Path, help="real: the folder that holds sts/nifti")
    parser.add_argument("--work", type=Path, help="keep cohorts, models and evaluations here")
    parser.add_argument("--keep", action="store_true", help="take results that --work holds")
    parser.add_argument("--at-a-time", type=int, default=1, help="specifications beside each other")
    parser.add_argument("--only", nargs="*", help="specifications")
    parser.add_argument("--patients", type=int, default=PATIENTS, help="virtual ones a hospital")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
