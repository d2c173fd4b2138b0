"""Gamma against pymedphys: time, and pass rates against the search converged in step.

    python benchmarks/bench_gamma.py

Both sides get the same doses, cut-off (20 %, the default of pymedphys) and threads; pymedphys runs
at its defaults. The converged search is that of pymedphys with steps of a fortieth of the distance,
by the mode of that name (which gives its numbers, see tests/test_dose_gamma_references.py) for the
voxels that its default step leaves undecided: a finer step can only lower gamma.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench import markdown
from numpy.typing import NDArray

from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.gamma import GammaCriterion, GammaSettings, gamma, parse_criteria

SCENES = {(80, 128, 128): 2.5, (128, 256, 256): 2.0}
THREADS = 2
SETTINGS = GammaSettings(cutoff_pct=20)
UNDECIDED = (1.0, 1.2)  # gamma at the default step; no step error was seen to exceed 0.15
FOURS = ("3/3,2/2,1/1,2/3", "3/3,2/2,3/2,2/3", "3/3,2/3,3/2,1/2")


def scene(shape: tuple[int, int, int], spacing_mm: float) -> tuple[Volume, Volume]:
    """Return three crossing fields; and the same shifted, scaled, with a blob and a slab."""
    grid = Grid(
        shape=shape,
        spacing_mm=(spacing_mm,) * 3,
        origin_mm=tuple(-(n - 1) * spacing_mm / 2 for n in shape),
    )
    length = [n * spacing_mm for n in shape]
    axes = [
        ((np.arange(n) - (n - 1) / 2) * spacing_mm).reshape([-1 if a == m else 1 for a in range(3)])
        for m, n in enumerate(shape)
    ]

    def edge(at: NDArray[Any], half: float, blur: float) -> NDArray[Any]:
        return 1 / (1 + np.exp((np.abs(at) - half) / blur))

    def field(x: NDArray[Any], y: NDArray[Any], z: NDArray[Any]) -> NDArray[Any]:
        box = edge(x, 0.18 * length[0], 3) * edge(y, 0.18 * length[1], 3)
        along_y = edge(x, 0.1 * length[0], 3) * np.exp(-0.002 * (y + length[1] / 2))
        along_x = edge(y, 0.1 * length[1], 3) * np.exp(-0.002 * (x + length[0] / 2))
        beams = 18 * along_y + 15 * along_x
        return 60 * box * edge(z, 0.18 * length[2], 3) + beams * edge(z, 0.16 * length[2], 4)

    x, y, z = axes
    evaluated = 1.008 * field(x - 0.8, y + 0.5, z - 0.6)
    evaluated += 2.5 * np.exp(-((x - 20) ** 2 + (y + 10) ** 2 + z**2) / (2 * 12**2))
    evaluated *= np.where((x > 0.05 * length[0]) & (x < 0.1 * length[0]), 0.97, 1)
    first, second = (
        Volume(array=array.astype(np.float32), grid=grid, quantity="Gy")
        for array in (field(x, y, z), evaluated)
    )
    return first, second


def by_us(reference: Volume, evaluated: Volume, criteria: str, threads: int = THREADS) -> Any:
    return gamma(reference, evaluated, parse_criteria(criteria), SETTINGS, threads=threads)


def by_pymedphys(reference: Volume, evaluated: Volume, percent: float) -> NDArray[Any]:
    from pymedphys import gamma as theirs

    grid = reference.grid
    axes = tuple(
        o + s * np.arange(n)
        for o, s, n in zip(grid.origin_mm, grid.spacing_mm, grid.shape, strict=True)
    )
    return np.asarray(
        theirs(axes, reference.array, axes, evaluated.array, percent, percent)  # all defaults
    )


def converged(reference: Volume, evaluated: Volume, percent: float) -> float:
    """Pass rate in percent of the shells at a fortieth of the distance."""
    criterion = GammaCriterion(dose_pct=percent, distance_mm=percent)
    coarse = gamma(
        reference,
        evaluated,
        [criterion],
        GammaSettings(mode="pymedphys", max_gamma=UNDECIDED[1]),
        threads=THREADS,
    )[0]
    low, high = UNDECIDED
    open_ = coarse.judged & (coarse.values > low) & (coarse.values < high)
    highest = float(reference.array.max())
    fine = gamma(
        reference.with_array(np.where(open_, reference.array, 0)),
        evaluated,
        [criterion],
        GammaSettings(
            mode="pymedphys",
            normalisation=highest,
            cutoff_pct=1,
            max_gamma=1.02,
            interp_fraction=40,
        ),
        threads=THREADS,
    )[0]
    passed = coarse.passes.sum() + (fine.passes & open_).sum()
    return 100.0 * float(passed) / float(coarse.judged.sum())


def timed(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Best time, in seconds, and the answer."""
    best, answer = np.inf, None
    for _ in range(repeats):
        started = time.perf_counter()
        answer = function()
        best = min(best, time.perf_counter() - started)
    return best, answer


def peak_mib(doses: tuple[Volume, Volume]) -> float:
    """Peak memory of a process that only compares: interpreter, doses and compiling included."""
    spacing = doses[0].grid.spacing_mm[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "doses.npz"
        np.savez(path, *(dose.array for dose in doses))
        code = f"import bench_gamma; print(bench_gamma.peak_of({str(path)!r}, {spacing}))"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        )
    return float(done.stdout)


def peak_of(path: str, spacing_mm: float) -> float:
    """Compare the two doses of a file; return the peak memory of this process, in MiB."""
    with np.load(path) as file:
        arrays = [file[name] for name in file.files]
    grid = Grid(shape=arrays[0].shape, spacing_mm=(spacing_mm,) * 3)
    first, second = (Volume(array=array, grid=grid, quantity="Gy") for array in arrays)
    by_us(first, second, "2/2")
    status = Path("/proc/self/status").read_text()  # getrusage would start at the parent's peak
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _size(shape: tuple[int, ...], spacing_mm: float) -> str:
    return f"{'×'.join(map(str, shape))} at {spacing_mm:g} mm"


def rows() -> list[dict[str, object]]:
    """Time ours and pymedphys; see ``bench.py`` for the columns."""
    found: list[dict[str, object]] = []
    warm = scene((24, 24, 24), 3.0)
    by_us(*warm, "2/2")  # compiles
    by_pymedphys(*warm, 2)
    for shape, spacing in SCENES.items():
        doses = scene(shape, spacing)
        for percent in (2, 1):
            ours_s, ours = timed(lambda d=doses, p=percent: by_us(*d, f"{p}/{p}"), 7)
            rate = ours[0].pass_rate()
            exact = converged(*doses, percent)
            said = f"{rate.share_pct:.3f} % of {rate.judged} voxels; converged {exact:.3f} %"
            peer_s = None
            if percent == 2 or shape == min(SCENES):
                peer_s, peer = timed(lambda d=doses, p=percent: by_pymedphys(*d, p), 1)
                known = np.isfinite(peer)
                said += f", pymedphys {100 * np.mean(peer[known] <= 1):.3f} %"
            found.append(
                {
                    "task": f"gamma {percent} %/{percent} mm",
                    "sizes": _size(shape, spacing),
                    "peer": "pymedphys, defaults" if peer_s else "–",
                    "ours_s": ours_s,
                    "peer_s": peer_s,
                    "ratio": peer_s and peer_s / ours_s,
                    "agreement": said,
                }
            )
        one_s = found[-2]["ours_s"]
        for four in FOURS:
            four_s, _ = timed(lambda d=doses, f=four: by_us(*d, f), 7)
            found.append(
                {
                    "task": "gamma, four criteria at once",
                    "sizes": _size(shape, spacing),
                    "peer": "ours, 2/2 alone",
                    "ours_s": four_s,
                    "peer_s": one_s,
                    "ratio": one_s / four_s,  # type: ignore[operator]
                    "agreement": f"{four}: {four_s / one_s:.2f} times the one",  # type: ignore[operator]
                }
            )
        found[-1]["agreement"] = f"{found[-1]['agreement']}; peak memory {peak_mib(doses):.0f} MiB"
    return found


if __name__ == "__main__":
    print(markdown(rows()))
