"""Train, register and examine every family alike; writes ``docs/appendix/families.md``.

python -m benchmarks.families --at-a-time 2 --write docs/appendix/families.md
python -m benchmarks.families --at-a-time 2 --study placed --write docs/appendix/families.md
python -m benchmarks.families --study real --data DATA --write docs/appendix/families.md
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.families.apart import examine_apart, require_some
from benchmarks.families.material import PATIENTS, real_cohort, virtual_cohort
from benchmarks.families.run import Controls, Result, examine_family, use_store
from benchmarks.families.store import read_result, write_result
from benchmarks.families.table import controls_section, cost_table, quality_table, uncertainty_table
from benchmarks.filling import fill
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, QAError
from translators.spec import load_spec


@dataclass(frozen=True, kw_only=True)
class Study:
    """Some specifications, trained and examined on patients of one kind.

    Parameters
    ----------
    entries
        Label and specification.
    prefix
        Of the markers in the page.
    alone
        Specifications that need the whole machine to learn in their minutes: none runs beside them.
    """

    prefix: str
    entries: tuple[tuple[str, str], ...]
    alone: tuple[str, ...] = ("contourdiff-demo", "mri2pet-demo")


STUDIES = {
    "virtual": Study(
        prefix="",
        entries=(
            ("intensity", "intensity"),
            ("regression", "regression-demo"),
            ("regression, features, ensemble", "regression-features-demo"),
            ("pix2pix", "pix2pix-demo"),
            ("cyclegan", "cyclegan-demo"),
            ("diffusion", "diffusion-demo"),
            ("bridge", "bridge-demo"),
            ("contourdiff", "contourdiff-demo"),
            ("contourdiff, CT→MR", "contourdiff-ct-mr-demo"),
            ("mri2pet", "mri2pet-demo"),
        ),
    ),
    # the same people, but shifted and turned as patients are: what the mean image makes of them
    "placed": Study(
        prefix="placed ",
        entries=(("cyclegan", "cyclegan-demo"), ("contourdiff", "contourdiff-demo")),
    ),
    "real": Study(
        prefix="real ",
        entries=(
            ("intensity", "intensity"),
            ("regression", "regression-sts"),
            ("pix2pix", "pix2pix-sts"),
            ("bridge", "bridge-sts"),
            ("diffusion", "diffusion-sts"),
            ("mri2pet", "mri2pet-sts"),
        ),
    ),
}
TITLES = {"MR->CT": "mr-to-ct", "CT->MR": "ct-to-mr", "MR->PT": "mr-to-pet"}


def main() -> int:
    options = _options()
    study = STUDIES[options.study]
    place = tempfile.TemporaryDirectory()
    work = (options.work or Path(place.name)) / options.study
    results: list[Result] = []
    try:
        require_some(options.at_a_time)
        if options.study == "real" and options.data is None:
            raise InputError("The real patients need --data, the folder that holds sts/nifti.")
        entries = [entry for entry in study.entries if not options.only or entry[1] in options.only]
        if options.at_a_time > 1:
            _examine_apart(entries, work, options)
        for label, name in entries:
            kept = options.keep or options.at_a_time > 1
            known = read_result(work / "results", name) if kept else None
            results.append(known or _examined(label, name, work, options))
            write_result(work / "results", results[-1])
        found = {f"{study.prefix}{name}": part for name, part in parts(results).items()}
        for name, part in found.items():
            print(f"## {name}\n\n{part}")
        if options.write is not None:
            fill(options.write, found)
    except QAError as error:
        print(error)
        return 2
    return 0


def _examine_apart(
    entries: Sequence[tuple[str, str]], work: Path, options: argparse.Namespace
) -> None:
    """Let processes write the results; cohorts and store are made before they share them."""
    for direction in {load_spec(name).direction for _, name in entries}:
        _cohort(direction, work, options)
    use_store(work)
    shared = ["--study", options.study, "--work", str(work.parent)]
    shared += ["--patients", str(options.patients)]
    shared += ["--keep"] if options.keep else []
    shared += ["--data", str(options.data)] if options.data else []
    alone = STUDIES[options.study].alone
    for names, at_a_time in (
        ([name for _, name in entries if name not in alone], options.at_a_time),
        ([name for _, name in entries if name in alone], 1),
    ):
        examine_apart([[*shared, "--only", name] for name in names], at_a_time=at_a_time)


def _cohort(direction: str, work: Path, options: argparse.Namespace) -> tuple[Cohort, Path]:
    if options.study == "real":
        return real_cohort(work / "cohorts", options.data, direction)
    return virtual_cohort(
        work / "cohorts", direction, options.patients, as_placed=options.study == "placed"
    )


def _examined(label: str, name: str, work: Path, options: argparse.Namespace) -> Result:
    spec = load_spec(name)
    cohort, folder = _cohort(spec.direction, work, options)
    controls: Controls = "nulls" if options.study == "real" else "all"
    if options.study != "real" and name == "intensity":
        controls = "none"
    return examine_family(label, spec, cohort, folder, work, controls=controls)


def parts(results: Sequence[Result]) -> dict[str, str]:
    """Return the Markdown of each part of the page."""
    found = {}
    for direction, title in TITLES.items():
        some = [r for r in results if r.spec.direction == direction]
        if some:
            found[f"quality {title}"] = quality_table(some)
    found["uncertainty"] = uncertainty_table(results)
    found["cost"] = cost_table(results)
    if any(r.controls for r in results):
        found["controls"] = controls_section(results)
    return found


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
