"""The verbs that make cohorts: ``phantom`` and ``import``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_suite.cli import console
from qa_suite.cli.options import names
from qa_suite.core.wording import count

if TYPE_CHECKING:
    from qa_suite.core.cohort import Cohort, Split

REPLACE_HELP = "Replace the cohort that is there, with its volumes."
DEFAULT_SPLIT = "train=0.5,validation=0.15,calibration=0,test=0.35"


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this file to the command."""
    app.command("phantom")(phantom)
    app.command("import")(import_)


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder of the new cohort.")],
    patients: Annotated[int, typer.Option(min=1, max=9999, help="Patients of each hospital.")] = 8,
    hospitals: Annotated[str, typer.Option(help="Which virtual hospitals.")] = "A,B,C",
    direction: Annotated[
        str, typer.Option(help="MR->CT, CT->MR, MR->PET, CBCT->CT or MR->MR.")
    ] = "MR->CT",
    spacing_mm: Annotated[str, typer.Option(help="Voxel size x,y,z in mm.")] = "4,4,6",
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same patients.")] = 1,
    as_placed: Annotated[
        bool, typer.Option("--as-placed", help="Shifted and turned, not aligned on the hips.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=512, help="Patients made at a time.")] = 1,
    split: Annotated[str, typer.Option(help="Share of each patient set.")] = DEFAULT_SPLIT,
    train_sites: Annotated[
        str, typer.Option(help="Sites that may be trained on; the others are test only.")
    ] = "",
    expected_sites: Annotated[
        str, typer.Option(help="Hospitals that must be judged, even if no scan of them comes.")
    ] = "",
    replace: Annotated[bool, typer.Option("--replace", help=REPLACE_HELP)] = False,
) -> None:
    """Make a cohort of virtual patients: pairs of pelvic scans with known truth.

    Example: `qa-suite phantom cohorts/virtual --patients 10 --train-sites hospital-A,hospital-B`

    PET and other directions: `qa-suite phantom cohorts/pet --direction "MR->PET"`
    """
    from qa_suite.core.one_writer import writing
    from qa_suite.core.sites import require_distinct
    from qa_suite.io.layouts.importing import require_sites
    from qa_suite.lab.phantom import Setup, make_phantom_cohort

    shares = read_split(split)
    chosen = names(hospitals)
    made = {f"hospital-{one}" for one in chosen}
    expected = require_distinct(names(expected_sites), made)
    require_sites(names(train_sites), made)
    deal = _dealing(shares, seed, train_sites)
    with writing(out, "phantom"), console.progress_bar("Virtual patients") as progress:
        cohort = make_phantom_cohort(
            out,
            hospitals=chosen,
            patients_per_hospital=patients,
            spacing_mm=_spacing(spacing_mm),
            seed=seed,
            direction=direction,
            setup=Setup() if as_placed else None,
            replace=replace,
            workers=workers,
            progress=progress,
            deal=lambda one: deal(one.model_copy(update={"expected_sites": expected})),
        )
        _told(cohort, out)


def import_(
    source: Annotated[Path, typer.Argument(help="Folder of scans, or a table of pairs (CSV).")],
    out: Annotated[Path, typer.Argument(help="Folder of the new cohort.")],
    layout: Annotated[
        str, typer.Option(help="auto, dicom, synthrad2023, synthrad2025, table or sts.")
    ] = "auto",
    name: Annotated[str | None, typer.Option(help="Name of the cohort.")] = None,
    anatomy: Annotated[str | None, typer.Option(help="pelvis, brain, extremity ...")] = None,
    source_modality: Annotated[str, typer.Option(help="MR or CBCT ...")] = "MR",
    reference_modality: Annotated[str, typer.Option(help="CT or PT.")] = "CT",
    site_by: Annotated[
        str | None, typer.Option(help="manufacturer, model, station, or a column of the table.")
    ] = None,
    source_series: Annotated[
        str | None, typer.Option(help="Pattern for the DICOM series description, such as '*t1*'.")
    ] = None,
    reference_series: Annotated[
        str | None, typer.Option(help="The same for the reference's series.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="Key of the patient hashes; made at first use.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=512, help="Cases read at a time.")] = 2,
    split: Annotated[str, typer.Option(help="Share of each patient set.")] = DEFAULT_SPLIT,
    train_sites: Annotated[
        str, typer.Option(help="Sites that may be trained on; the others are test only.")
    ] = "",
    expected_sites: Annotated[
        str, typer.Option(help="Hospitals that must be judged, even if no scan of them comes.")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the dealing into patient sets.")] = 1,
    replace: Annotated[bool, typer.Option("--replace", help=REPLACE_HELP)] = False,
) -> None:
    """Make a cohort from scans: DICOM, NIfTI, MHA, SynthRAD; identifiers stay behind.

    Example: `qa-suite import data/sts/nifti cohorts/sts --anatomy extremity --site-by manufacturer`
    """
    from qa_suite.core.one_writer import writing
    from qa_suite.io.layouts.importing import import_cohort

    shares = read_split(split)
    told: list[str] = []
    with writing(out, "import"), console.progress_bar("Reading scans") as progress:
        cohort = import_cohort(
            source,
            out,
            layout=layout,
            name=name,
            anatomy=anatomy,
            source_modality=source_modality,
            reference_modality=reference_modality,
            site_by=site_by,
            source_series=source_series,
            reference_series=reference_series,
            key_file=key_file,
            expected_sites=names(expected_sites),
            sites=names(train_sites),
            replace=replace,
            workers=workers,
            progress=progress,
            report=told.append,
            deal=_dealing(shares, seed, train_sites),
        )
        # These sentences name files: they are for the user's eyes and go nowhere else.
        for sentence in told:
            console.say(f"  {sentence}")
        _told(cohort, out)


def _spacing(text: str) -> tuple[float, float, float]:
    from qa_suite.core.errors import InputError

    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--spacing-mm needs three numbers such as 4,4,6, got {text!r}.") from None
    return x, y, z


def _dealing(shares: dict[Split, float], seed: int, train_sites: str) -> Callable[[Cohort], Cohort]:
    """Return what deals the patients of a cohort into sets."""
    from qa_suite.core.cohort import assign_splits, check_splits

    def deal(cohort: Cohort) -> Cohort:
        dealt = assign_splits(
            cohort, fractions=shares, seed=seed, train_sites=names(train_sites) or None
        )
        check_splits(dealt)
        return dealt

    return deal


def _told(cohort: Cohort, out: Path) -> None:
    """Say what a cohort that was made holds, and who did not come."""
    from qa_suite.core.cohort import MANIFEST_FILE
    from qa_suite.core.sites import not_come

    summarise(cohort)
    for sentence in not_come(cohort):
        console.say(f"! {sentence}")
    console.show(f"Cohort: {out / MANIFEST_FILE}")


def read_split(text: str) -> dict[Split, float]:
    """Read the shares of the four patient sets."""
    from qa_suite.core.cohort import SPLITS, check_fractions
    from qa_suite.core.errors import InputError

    shares = console.key_values(text, "--split")
    unknown = sorted(set(shares) - set(SPLITS))
    if unknown:
        raise InputError(f"--split knows {', '.join(SPLITS)}, not {', '.join(unknown)}.")
    fractions = {split: shares[split] for split in SPLITS if split in shares}
    check_fractions(fractions)
    return fractions


def summarise(cohort: Cohort) -> None:
    """Print how many cases each site has in each patient set."""
    from qa_suite.core.cohort import SPLITS

    rows = []
    for site in cohort.sites:
        mine = [case for case in cohort.cases if case.site == site]
        counts = [sum(case.split == split for case in mine) for split in SPLITS]
        broken = sum(case.import_problem is not None for case in mine)
        rows.append((site, *counts, broken, len(mine)))
    title = (
        f"{cohort.name}: {count(len(cohort.cases), 'case')}, {cohort.direction}, {cohort.anatomy}"
    )
    console.show_table(title, ("site", *SPLITS, "not imported", "all"), rows)
