"""How many steps a sampler needs: error, bone, fine detail and slices against seconds.

    python -m benchmarks.sampler_steps --write docs/appendix/steps.md
    python -m benchmarks.sampler_steps --patients 9 --work kept/      # all; keep cohort and models

Trains the small configurations of diffusion, bridge and regression on the virtual hospitals and
translates held-out patients in ever more steps: single samples, and the mean of several.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from benchmarks.families.material import virtual_cohort
from benchmarks.filling import fill
from qa_suite.core.cohort import Cohort
from qa_suite.io.cases import LoadedCase, load_case
from qa_suite.metrics.base import NoValue, Pair
from qa_suite.metrics.image.comparison import compare
from qa_suite.metrics.image.settings import ImageSettings
from qa_suite.metrics.image.whole_body import high_frequency_ratio
from translators.answers import Asked
from translators.base import Translator, create, load
from translators.spec import load_spec, parse_spec

BONE_HU = 200.0
SAMPLES = 4


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to sample: a specification, what is asked, and whose noise a slice has."""

    label: str
    spec: str
    steps: int
    sampler: str | None = None
    slice_noise: str | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """Means over patients; of single samples, and of the mean of all samples."""

    way: Way
    seconds: float
    passes: float
    one: dict[str, float]
    many: dict[str, float]
    sd: float


DIFFUSION, BRIDGE = "diffusion-demo", "bridge-demo"
CURVES = (
    *(Way(label="DDIM", spec=DIFFUSION, steps=n, sampler="ddim") for n in (1, 2, 4, 10, 25)),
    *(Way(label="DDPM", spec=DIFFUSION, steps=n, sampler="ddpm") for n in (4, 10, 25)),
    *(Way(label="bridge", spec=BRIDGE, steps=n) for n in (1, 2, 4, 8, 16)),
    Way(label="regression", spec="regression-demo", steps=1),
)
SLICES = tuple(
    Way(label=label, spec=spec, steps=steps, sampler=sampler, slice_noise=kind)
    for label, spec, steps, sampler in (
        ("DDIM", DIFFUSION, 10, "ddim"),
        ("DDPM", DIFFUSION, 25, "ddpm"),
        ("bridge", BRIDGE, 4, None),
    )
    for kind in ("shared", "own")
)


def main() -> None:
    options = _options()
    place = tempfile.TemporaryDirectory()
    work = options.work or Path(place.name)
    cohort, folder = virtual_cohort(work / "cohorts", "MR->CT")
    some = cohort.in_split("test")
    cases = [
        load_case(cohort, case, folder)
        for case in some[:: max(1, len(some) // options.patients)][: options.patients]
    ]
    models = {
        name: _trained(name, cohort, folder, work)
        for name in dict.fromkeys(way.spec for way in CURVES)
    }
    _measured(models[CURVES[0].spec], CURVES[0], cases[:1])  # compiles what the measures need
    known: dict[Way, Found] = {}
    for way in (*CURVES, *SLICES):
        known[way] = _measured(models[way.spec], way, cases)
        print(_row(known[way]), flush=True)
    curves, slices = ([known[way] for way in ways] for ways in (CURVES, SLICES))
    parts = {"curve": _table(curves, len(cases)), "slices": _slice_table(slices)}
    print("\n".join(parts.values()))
    if options.write is not None:
        fill(options.write, parts)
        draw(curves, options.write.parent / "steps.png")


def _trained(name: str, cohort: Cohort, folder: Path, work: Path) -> Translator:
    """Train a small configuration, or read what an earlier call kept."""
    place = work / "models" / name
    if (place / "spec.json").is_file():
        return load(place)
    translator, busy = create(load_spec(name)), time.process_time()
    translator.fit(cohort, folder, workdir=work / "training" / name)
    translator.save(place)
    print(f"{name}: trained in {time.process_time() - busy:.0f} s of processor time", flush=True)
    return translator


def _measured(translator: Translator, way: Way, cases: list[LoadedCase]) -> Found:
    sampled = translator.spec.uncertainty.method == "samples"
    asked = Asked(
        steps=way.steps if sampled else None,
        sampler=way.sampler,
        members=SAMPLES if sampled else None,
    )
    if way.slice_noise is not None:
        translator = _with_slice_noise(translator, way.slice_noise)
    one, many, sds, seconds, passes = [], [], [], [], []
    for case in cases:
        busy = time.process_time()
        found = translator.predict(case.source, asked=asked)
        count = max(len(found.samples), 1)
        seconds.append((time.process_time() - busy) / count)
        slices = case.source.array.shape[2]
        passes.append(found.cost["network_evaluations"] / count / slices)
        one += [_quality(sample.array, case) for sample in found.samples or (found.mean,)]
        many.append(_quality(found.mean.array, case))
        if found.std is not None:
            sds.append(float(found.std.array[case.mask].mean()))
    return Found(
        way=way,
        seconds=fmean(seconds),
        passes=fmean(passes),
        one={name: fmean(q[name] for q in one) for name in one[0]},
        many={name: fmean(q[name] for q in many) for name in many[0]},
        sd=fmean(sds) if sds else 0.0,
    )


def _with_slice_noise(translator: Translator, kind: str) -> Translator:
    """Return the same weights under the other rule of the slices' noise."""
    data = translator.spec.model_dump(mode="json")
    data[translator.spec.family]["slice_noise"] = kind
    other = create(parse_spec(data, subject=translator.spec.name))
    other.set_weights(translator.weights())
    return other


def _quality(array: np.ndarray, case: LoadedCase) -> dict[str, float]:
    assert case.reference is not None and case.mask is not None
    reference, mask = case.reference.array, case.mask
    mine, theirs = (array >= BONE_HU) & mask, (reference >= BONE_HU) & mask
    both = mask[..., 1:] & mask[..., :-1]
    jump = np.abs(np.diff(array, axis=2) - np.diff(reference, axis=2))[both]
    synthetic = case.reference.with_array(array)
    pair = Pair(synthetic=synthetic, reference=case.reference, mask=mask)
    detail = high_frequency_ratio(compare(pair, ImageSettings()))
    assert not isinstance(detail, NoValue), detail
    return {
        "mae": float(np.abs(array - reference)[mask].mean()),
        "dice": float(2 * (mine & theirs).sum() / max(mine.sum() + theirs.sum(), 1)),
        "detail": detail[0],
        "slices": float(jump.mean()),
    }


def _row(found: Found) -> str:
    one, many, way = found.one, found.many, found.way
    return (
        f"| {way.label} | {way.steps} | {found.passes:.0f} | {found.seconds:.1f} | "
        f"{one['mae']:.1f} | {many['mae']:.1f} | {one['dice']:.3f} | {many['dice']:.3f} | "
        f"{one['detail']:+.1f} | {many['detail']:+.1f} | {found.sd:.1f} |"
    )


def _table(found: list[Found], patients: int) -> str:
    head = (
        "| sampler | steps | passes | s a volume | MAE, HU | MAE of the mean | bone Dice | Dice of "
        "the mean | fine detail, dB | of the mean | σ, HU |\n" + "|---|" + "--:|" * 10
    )
    threads = torch.get_num_threads()
    who = f"{patients} held-out patient{'s' if patients != 1 else ''}"
    foot = (
        f"{who}, {SAMPLES} samples each; seconds of processor time for one "
        f"sample, with {threads} thread{'s' if threads != 1 else ''}."
    )
    return "\n".join([head, *(_row(f) for f in found), "", foot]) + "\n"


def _slice_table(found: list[Found]) -> str:
    lines = [
        "| sampler | steps | noise of a slice | slice-to-slice error, HU | of the mean | MAE, HU |",
        "|---|--:|---|--:|--:|--:|",
    ]
    lines += [
        f"| {f.way.label} | {f.way.steps} | {f.way.slice_noise} | {f.one['slices']:.1f} | "
        f"{f.many['slices']:.1f} | {f.one['mae']:.1f} |"
        for f in found
    ]
    return "\n".join(lines) + "\n"


def draw(found: list[Found], path: Path) -> None:
    """Draw error and fine detail of single samples over the passes that they cost."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    marks = {"DDIM": "o-", "DDPM": "s-", "bridge": "^-", "regression": "*"}
    for label, mark in marks.items():
        points = [f for f in found if f.way.label == label]
        if not points:
            continue
        passes = [f.passes for f in points]
        for axes, name in ((left, "mae"), (right, "detail")):
            axes.plot(passes, [f.one[name] for f in points], mark, label=label, ms=5)
    left.set_ylabel("masked MAE of one sample, HU")
    right.set_ylabel("fine detail against the reference, dB")
    right.axhline(0, color="0.6", lw=0.8)
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
        axes.set_xlabel("passes through a network, per slice")
        axes.grid(alpha=0.3)
    left.legend(frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the page whose tables are filled")
    parser.add_argument("--work", type=Path, help="keep cohort and models here")
    parser.add_argument("--patients", type=int, default=6, help="held-out ones")
    return parser.parse_args()


if __name__ == "__main__":
    main()
