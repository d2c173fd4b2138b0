"""The verb ``demo``: the whole path on virtual hospitals, in a few minutes."""

from __future__ import annotations

import functools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_suite.cli import console

if TYPE_CHECKING:
    from qa_suite.core.cohort import Cohort
    from qa_suite.preflight import PreflightResult

HOME_SITES = ("hospital-A", "hospital-B")
PATIENTS = {"A": 20, "B": 20, "C": 8}
SPACING_MM = (4.0, 4.0, 6.0)
SPLIT = "train=0.5,validation=0.1,calibration=0,test=0.4"
PROFILE = "demo-pelvis"
PLANS = ("photon-pelvis", "proton-pelvis")
HLUTS = ("thomas-1999", "dkfz-flash-b40f", "stoichiometric-schneider", "electron-density-as-rsp")
DOSE_GRID_MM = 5.0


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("demo")(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder of everything that is made.")] = Path(
        "demo-output"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Of the virtual patients and the training.")] = 1,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Overrule the training budget (a quick look).")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Compute dose for every case, not one of each site.")
    ] = False,
) -> int:
    """Run the whole path on three virtual hospitals; the third was never seen in training.

    Makes the cohort, trains and registers two translators, evaluates them and the oracle on
    held-out patients, computes photon and proton dose for one patient of each hospital, judges,
    and writes the report. Exits with 0 whenever it completed.

    Example: `qa-suite demo --out demo-output`
    """
    from qa_suite.core.one_writer import writing

    with writing(out, "demo"):
        _demo(out, seed, iterations, full)
    return 0


def _demo(out: Path, seed: int, iterations: int | None, full: bool) -> None:
    from qa_suite.cli.evaluate_options import EvaluateOptions
    from qa_suite.cli.flows import judge_and_report, log_or_say, run_evaluation
    from qa_suite.core import store
    from qa_suite.core.verdict_files import overall
    from qa_suite.evaluation.profiles import load_profile
    from reports.facts.comparison import comparison_lines

    store.require_reachable()  # each step loads what the one before it has registered
    cohort_folder = out / "cohort"
    _make_cohort(cohort_folder, seed)
    baseline_uri = _train("intensity", "demo-intensity", cohort_folder, out, None)
    model_uri = _train("regression-demo", "demo-regression", cohort_folder, out, iterations)
    checked: dict[str, PreflightResult] = {}
    plain = {
        uri: EvaluateOptions(cohort=cohort_folder, model=uri, out=_folder(out, uri))
        for uri in ("oracle:truth", baseline_uri, model_uri)
    }
    dose = {
        "plans": PLANS,
        "hluts": HLUTS,
        "grid_mm": DOSE_GRID_MM,
        "device": "cpu",
        "dose_cases": "all" if full else "one_per_site",
    }
    floor, baseline, folder = (
        run_evaluation(
            one.model_copy(update=dose) if uri == model_uri else one, preflights=checked
        )[0]
        for uri, one in plain.items()
    )
    verdict, page = judge_and_report(
        folder, load_profile(PROFILE), floor=floor, baseline=baseline, ask_store=True
    )
    for done in (floor, baseline, folder):
        log_or_say(done)
    console.show("")
    console.show_verdict(verdict)
    console.show_overall(overall(folder))
    console.show("")
    for line in comparison_lines(folder, floor=floor, baseline=baseline):
        console.show(line)
    console.show("")
    console.show(f"Report:    {page.absolute()}")
    console.show(f"Model:     {model_uri}")
    console.show(f"MLflow UI: mlflow ui --backend-store-uri {shlex.quote(store.tracking_uri())}")
    console.show("Dashboard: qa-suite dashboard")


def _make_cohort(folder: Path, seed: int) -> Cohort:
    from qa_suite.cli.data import read_split, summarise
    from qa_suite.core.cohort import MANIFEST_FILE, assign_splits, load_cohort
    from qa_suite.core.errors import InputError
    from qa_suite.lab.phantom import make_phantom_cohort
    from qa_suite.lab.phantom.make import settings_of

    if (folder / MANIFEST_FILE).exists():
        known = load_cohort(folder)
        if known.import_settings != settings_of(seed, SPACING_MM, None):
            raise InputError(f"{folder} holds another cohort than this demo's; name another --out.")
        summarise(known)
        return known
    with console.progress_bar("Virtual patients") as progress:
        cohort = make_phantom_cohort(
            folder,
            hospitals=tuple(PATIENTS),
            patients_per_hospital=PATIENTS,
            spacing_mm=SPACING_MM,
            seed=seed,
            replace=True,
            workers=2,
            progress=progress,
            deal=functools.partial(
                assign_splits, fractions=read_split(SPLIT), seed=seed, train_sites=HOME_SITES
            ),
        )
    summarise(cohort)
    return cohort


def _train(spec: str, name: str, cohort: Path, out: Path, iterations: int | None) -> str:
    from qa_suite.core.cohort import load_cohort
    from translators.registry.train import train
    from translators.spec import load_spec

    with console.progress_bar(f"Training {name}") as bar:
        model = train(
            load_spec(spec),
            load_cohort(cohort),
            cohort,
            workdir=out / "work" / name,
            iterations=iterations,
            register_as=name,
            progress=lambda done, total, facts: bar(done, total, console.inline(facts)),
        )
    return str(model.uri)


def _folder(out: Path, uri: str) -> Path:
    return out / "evaluations" / uri.removeprefix("models:/").replace("/", "-").replace(":", "-")
