"""How fast the dashboard answers, with many models and many cases, in a browser.

    qa-suite demo
    python -m benchmarks.dashboard demo-output/evaluations/demo-regression-1

Evaluations of so many cases are made of a real one under other models; one case keeps volumes of
256 × 256 × 100 voxels. The dashboard is started by its command over folders and an MLflow store,
with a warm page cache, and Chromium opens every page several times, each time from its address.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from benchmarks.filling import fill
from benchmarks.judge_scale import enlarge
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_names import (
    CASES_FILE,
    EVALUATION_FILE,
    NORMS_FILE,
    VOLUMES_FOLDER,
    evaluation_identifier,
)
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.images import write_image
from qa_suite.judging.evidence import save_verdict
from qa_suite.judging.judge import judge
from tests.chromium import FLAGS, chromium, free_port, wait_for

SHAPE = (256, 256, 100)
PAGES = {
    "overview": ("", "Worst finding"),
    "readiness": ("readiness", "The findings that decide"),
    "generalization": ("sites", "Patients by site"),
    "cases": ("cases", "every patient"),
    "measures": ("measures", "Curves"),
    "compare": ("compare", "Against zero"),
    "exam": ("exam", "Residual risk"),
    "review": ("review", "Signatures"),
    "record": ("record", "The record"),
}


def make_evaluations(known: Path, home: Path, models: int, cases: int, profile: str) -> str:
    """Write the evaluations and their verdicts; return the case whose volumes are kept."""
    from qa_suite.evaluation.profiles import load_profile
    from qa_suite.evaluation.tracking import log_evaluation

    kept = ""
    for n in range(models):
        folder = home / "evaluations" / f"model-{n:02d}"
        enlarge(known, folder, cases, seed=n + 1)
        if n == 0:
            kept = _keep_volumes(folder)
        record = read_evaluation_raw(folder)
        model = {**record["model"], "uri": f"models:/model-{n:02d}/1", "name": f"model-{n:02d}"}
        tables = {**record["tables_sha256"], CASES_FILE: sha256_of(folder / CASES_FILE)}
        record |= {"model": model, "tables_sha256": tables}
        norms = folder / NORMS_FILE
        record["evaluation"] = evaluation_identifier(
            cohort_digest=record["cohort"]["digest"], model=model, settings=record["settings"],
            instruments=record.get("instruments", ()),
            norms=json.loads(norms.read_text()) if norms.is_file() else None,
        )  # fmt: skip
        (folder / EVALUATION_FILE).write_text(json.dumps(record, indent=2, sort_keys=True))
        save_verdict(judge(folder, load_profile(profile)), folder)
        log_evaluation(folder)
    return kept


def read_evaluation_raw(folder: Path) -> dict[str, Any]:
    """Return what evaluation.json holds."""
    return dict(json.loads((folder / EVALUATION_FILE).read_text()))


def _keep_volumes(folder: Path) -> str:
    rng = np.random.default_rng(5)
    grid = Grid(shape=SHAPE, spacing_mm=(1.5, 1.5, 2.5))
    smooth = np.cumsum(rng.normal(0, 4, SHAPE), axis=2).astype(np.float32)
    (folder / VOLUMES_FOLDER).mkdir()
    names = {}
    middle = np.exp(-(((np.arange(SHAPE[2]) - 50) / 10) ** 2))
    for role, shift in (("source", 500.0), ("reference", 0.0), ("synthetic", 25 * middle)):
        path = folder / VOLUMES_FOLDER / "new.nii.gz"
        quantity = "arbitrary" if role == "source" else "HU"
        write_image(Volume(array=smooth + shift, grid=grid, quantity=quantity), path)
        names[role] = f"{sha256_of(path)[:24]}.nii.gz"
        path.rename(folder / VOLUMES_FOLDER / names[role])
    table = pd.read_parquet(folder / CASES_FILE)
    table["volumes"] = "{}"
    table.loc[0, "volumes"] = json.dumps(names)
    table.to_parquet(folder / CASES_FILE, index=False, compression="zstd")
    return str(table.loc[0, "case"])


def measure(home: Path, kept: str, rounds: int) -> dict[str, Any]:
    """Start the dashboard, open its pages, and return seconds."""
    from playwright.sync_api import sync_playwright

    port = free_port()
    command = [sys.executable, "-m", "qa_suite.cli", "dashboard", "--headless", "--port", str(port)]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlruns' / 'mlflow.db'}",
    }
    found: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        begun = time.perf_counter()
        server = subprocess.Popen(
            command, cwd=home, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_for(port, server)
            root = f"http://127.0.0.1:{port}"

            def opened(path: str, shown: str) -> float:
                since = time.perf_counter()
                page.goto(f"{root}/{path}")
                page.get_by_text(shown).first.wait_for(timeout=120_000)
                return time.perf_counter() - since

            opened(*PAGES["overview"])
            found["first"] = time.perf_counter() - begun
            name = next(
                record["evaluation"] for record in map(read_evaluation_raw, _folders(home))
                if record["model"]["name"] == "model-00"
            )[:12]  # fmt: skip
            for title, (path, shown) in PAGES.items():
                asked = f"{path}?evaluation={name}" if path else path
                found[title] = [opened(asked, shown) for _ in range(rounds)]
            opened(f"readiness?evaluation={name}", "The findings that decide")
            page.get_by_role("combobox", name="Verdict").click()
            since = time.perf_counter()
            page.get_by_role("option", name="look at it under mr-to-ct-pelvis", exact=True).click()
            page.get_by_text("was computed for this page").wait_for(timeout=120_000)
            page.get_by_text("Fail under mr-to-ct-pelvis").first.wait_for(timeout=120_000)
            found["judged again"] = time.perf_counter() - since
            found["viewer"] = opened(f"case?evaluation={name}&case={kept}", "difference")
            viewer = page.get_by_test_id("case-viewer")
            viewer.locator('canvas[data-pane="reference-axial"]').hover()
            ticks = []
            for _ in range(40):
                page.mouse.wheel(0, 100)
                page.wait_for_timeout(80)
                ticks.append(float(viewer.get_attribute("data-redraw-ms") or "nan"))
            found["ticks"] = ticks
            tree = [
                psutil.Process(server.pid),
                *psutil.Process(server.pid).children(recursive=True),
            ]
            found["mib"] = sum(one.memory_info().rss for one in tree) / 2**20
        finally:
            server.terminate()
            server.wait()
        browser.close()
    return found


def _folders(home: Path) -> list[Path]:
    return sorted((home / "evaluations").glob("model-*"))


def table_of(found: dict[str, Any], models: int, cases: int, rounds: int, load: float) -> str:
    """Return the figures as Markdown."""
    lines = [
        f"{models} models with {cases} cases each ({platform.machine()}, {os.cpu_count()} cores, "
        f"load before it began {load:.1f}); {rounds} openings of each page.",
        "",
        "| What | Median | Slowest |",
        "|---|--:|--:|",
        f"| from the command to the first row of the overview | {found['first']:.1f} s | |",
    ]
    for title in PAGES:
        seconds = found[title]
        lines.append(f"| {title} | {statistics.median(seconds):.2f} s | {max(seconds):.2f} s |")
    ticks = np.asarray(found["ticks"])
    lines += [
        f"| judged again under `mr-to-ct-pelvis` (44 criteria) | {found['judged again']:.2f} s | |",
        f"| first slices of a case of 256 × 256 × 100 voxels | {found['viewer']:.2f} s | |",
        f"| one wheel tick of it, redrawn | {np.median(ticks):.0f} ms | {ticks.max():.0f} ms |",
        f"| memory of the server in the end | {found['mib']:.0f} MiB | |",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("--profile", default="demo-pelvis")
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep what is made, and use what is there")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    home = given.folder or Path(tempfile.mkdtemp())
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{home.absolute() / 'mlruns' / 'mlflow.db'}"
    marker = home / "kept.txt"
    if not marker.is_file():
        (home / "mlruns").mkdir(parents=True, exist_ok=True)
        kept = make_evaluations(given.evaluation, home, given.models, given.cases, given.profile)
        marker.write_text(kept)
    load = os.getloadavg()[1]
    found = measure(home.absolute(), marker.read_text(), given.rounds)
    table = table_of(found, given.models, given.cases, given.rounds, load)
    print(table)
    if given.write:
        fill(given.write, {"speed": table})
    if not given.folder:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
