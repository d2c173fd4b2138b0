"""Commission the dose surrogates and write the tables and figures of the page.

python -m benchmarks.commission --write docs/appendix/commissioning.md
python -m benchmarks.commission --only photons_off_axis --cache commission-cache
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.commission import (
    figures,
    photons,
    photons_off_axis,
    protons,
    protons_off_axis,
    twins,
)
from benchmarks.commission.engines import Bench, threads
from benchmarks.commission.tables import table, write_between
from qa_suite.lab.reference_dose import reference_python

IMAGES = Path("docs/images/dose")
PARTS: dict[str, Callable[[Bench], Any]] = {
    "twins_protons": twins.run_protons,
    "twins_photons": twins.run_photons,
    "photons": photons.run,
    "protons": protons.run,
    "photons_off_axis": photons_off_axis.run,
    "protons_off_axis": protons_off_axis.run,
}
TWINS = {"twins_photons", "twins_protons"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="page whose marked tables are replaced")
    parser.add_argument("--cache", type=Path, default=Path("commission-cache"))
    parser.add_argument("--histories", type=float, default=1.0, help="factor, for a quick look")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(PARTS),
        default=list(PARTS),
        metavar="PART",
        help=f"of {', '.join(PARTS)}; what spans several parts is made when all are there",
    )
    options = parser.parse_args()
    reference_python()  # say at once what is missing
    bench = Bench(cache=options.cache, histories=options.histories)
    started = time.perf_counter()
    with ProcessPoolExecutor(options.processes, initializer=threads) as pool:
        waiting = {name: pool.submit(_part, name, bench) for name in options.only}
        found = {name: future.result() for name, future in waiting.items()}
    texts = tables(found)
    for name, text in texts.items():
        print(f"\n{name}\n\n{text}")
    print(f"{(time.perf_counter() - started) / 60:.1f} minutes")
    if options.write is None:
        return
    for name, text in texts.items():
        write_between(options.write, name, text)
    draw({name: part for name, (part, _) in found.items()})


def draw(results: dict[str, Any]) -> None:
    """Draw the figures whose parts are there."""
    for name, figure in (
        ("photons", figures.photon_figure),
        ("protons", figures.proton_figure),
        ("photons_off_axis", figures.off_axis_figure),
    ):
        if name in results:
            figure(results[name].curves, IMAGES / f"commission-{name.replace('_', '-')}.png")
    if set(results) >= TWINS:
        figures.twin_figure(
            {**results["twins_photons"].pairs, **results["twins_protons"].pairs},
            {**results["twins_photons"].shown, **results["twins_protons"].shown},
            IMAGES / "commission-twins.png",
        )


def _part(name: str, bench: Bench) -> tuple[Any, dict[str, float]]:
    found = PARTS[name](bench)
    print(f"{name} done", flush=True)
    return found, bench.seconds


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Every table of the page whose parts are there, by the name of its markers."""
    texts = {}
    for part, (results, _) in found.items():
        room = "twins" if part.startswith("twins") else part
        texts |= {f"{room} {name}": text for name, text in results.tables.items()}
    if set(found) >= TWINS:
        texts["twins agreement"] = _agreement(found)
    if set(PARTS) == set(found):
        seconds = {label: s for _, told in found.values() for label, s in told.items()}
        texts["seconds"] = _seconds(seconds)
    return texts


def _seconds(seconds: Mapping[str, float]) -> str:
    """One line an engine: what it computed, and how long that took."""
    engines: dict[str, list[str]] = {}
    for label, s in sorted(seconds.items()):
        engine, _, task = label.partition(", ")
        engines.setdefault(engine, []).append(f"{task} {s:.0f}")
    return "".join(f"- {engine}, s: {'; '.join(told)}.\n" for engine, told in engines.items())


def _agreement(found: dict[str, Any]) -> str:
    pairs = [
        pair for part in ("twins_photons", "twins_protons") for pair in found[part][0].pairs.items()
    ]
    rows = []
    for name, values in pairs:
        rms, largest, array = twins.agreement(values)
        noise = {**found["twins_photons"][0].noise, **found["twins_protons"][0].noise}.get(name)
        rows.append(
            [
                name,
                len(values),
                f"{abs(array[:, 1]).max():.2f}",
                f"{rms:.2f}",
                f"{largest:.2f}",
                "–" if noise is None else f"{noise:.2f}",
            ]
        )
    head = [
        "differences of DVH metrics (% of the prescription)",
        "number",
        "largest reference difference",
        "rms of surrogate − reference",
        "largest",
        "rms of the reference's noise",
    ]
    return table(head, rows)


if __name__ == "__main__":
    main()
