"""Image measures of a 512×512×120 pair against scikit-image and MONAI, in one process.

    OMP_NUM_THREADS=2 python benchmarks/bench_image.py

The peers measure whole arrays; ours measures inside the body, which is what a mask is for, and
once more with the whole image as mask. Numbers that share a definition are compared.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np

from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Pair
from qa_suite.metrics.image.comparison import compare
from qa_suite.metrics.image.family import image
from qa_suite.metrics.image.regions import BY_REGION, RegionVoxels
from qa_suite.metrics.image.settings import MS_SSIM_WEIGHTS, ImageSettings
from qa_suite.metrics.image.ssim import local_similarity

SHAPE, SPACING_MM = (512, 512, 120), (0.9, 0.9, 2.5)
SMALL_SHAPE, SMALL_SPACING_MM = (74, 54, 34), (6.0, 6.0, 8.0)
RANGE = (-1024.0, 3000.0)
PLAIN = ImageSettings(bands={}, shells_mm=(), structures=False, synthrad_modes=())


def make_pair(shape: tuple[int, ...], spacing: tuple[float, ...], seed: int = 1) -> Pair:
    """A body with bones and gas in air, with noise, against itself a little off."""
    rng = np.random.default_rng(seed)
    i, j, k = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    radius = (i[:, None, None] / 0.78) ** 2 + (j[None, :, None] / 0.6) ** 2 + 0 * k
    body = radius < 1
    truth = np.full(shape, -1000, dtype=np.float32)
    truth[body] = 40
    truth[body & (radius > 0.8)] = -100
    structures = {}
    for n, (x, y, size, value) in enumerate(
        [(-0.4, 0.1, 0.12, 900), (0.4, 0.1, 0.12, 900), (0, 0.3, 0.1, 400), (0, -0.2, 0.08, -950)]
    ):
        part = (i[:, None, None] - x) ** 2 + (j[None, :, None] - y) ** 2 + 0.1 * k**2 < size**2
        truth[part] = value
        structures[f"S{n}"] = part & body
    grid = Grid(shape=shape, spacing_mm=spacing)
    reference = truth + rng.normal(0, 20, shape).astype(np.float32)
    synthetic = 0.98 * truth + rng.normal(5, 20, shape).astype(np.float32)
    return Pair(
        reference=Volume(array=reference, grid=grid, quantity="HU"),
        synthetic=Volume(array=synthetic, grid=grid, quantity="HU"),
        mask=body,
        structures=structures,
    )


def best(function: Callable[[], object], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def body_values(pair: Pair, settings: ImageSettings = PLAIN) -> dict[str, float | None]:
    return {
        value.metric: value.value
        for value in image(pair, settings)
        if (value.region, value.variant) == ("body", "default")
    }


def by_scikit_image(pair: Pair, parts: dict[str, float]) -> dict[str, float]:
    """The measures that scikit-image and numpy have, of the mask; fills the times."""
    from skimage.metrics import structural_similarity

    mask = pair.mask
    r, s = (v.array[mask].astype(float) for v in (pair.reference, pair.synthetic))
    found = {}

    def voxels() -> None:
        found["mae"] = float(np.abs(s - r).mean())
        found["me"] = float((s - r).mean())
        found["rmse"] = float(np.sqrt(np.square(s - r).mean()))
        found["psnr"] = 20 * np.log10((RANGE[1] - RANGE[0]) / found["rmse"])
        found["ncc"] = float(np.corrcoef(r, s)[0, 1])

    def information() -> None:
        clipped = [np.clip(v, RANGE[0], RANGE[1] - 1e-6) for v in (r, s)]
        joint = np.histogram2d(*clipped, bins=128, range=[RANGE] * 2)[0]
        p = joint / joint.sum()
        outer = p.sum(1)[:, None] * p.sum(0)[None]
        found["mutual_information"] = float((p[p > 0] * np.log2(p[p > 0] / outer[p > 0])).sum())

    def ssim() -> None:
        first, second = (
            np.where(mask, np.clip(v.array, *RANGE), RANGE[0]) - np.float32(RANGE[0])
            for v in (pair.reference, pair.synthetic)
        )
        _, full = structural_similarity(first, second, data_range=4024, full=True)
        crop = (slice(3, -3),) * 3
        found["ssim"] = float(full[crop][mask[crop]].mean(dtype=float))

    parts["voxels"], parts["information"] = best(voxels, 1), best(information, 1)
    parts["ssim"] = best(ssim, 2)
    return found


def by_monai(first: np.ndarray, second: np.ndarray, parts: dict[str, float]) -> dict[str, float]:
    """The measures that MONAI has, of whole images with values from zero up."""
    import torch
    from monai.metrics.regression import (
        MAEMetric,
        MultiScaleSSIMMetric,
        PSNRMetric,
        RMSEMetric,
        SSIMMetric,
    )

    tensors = [torch.from_numpy(np.ascontiguousarray(a))[None, None] for a in (first, second)]
    uniform = {"spatial_dims": 3, "data_range": 4024.0, "kernel_type": "uniform"}
    metrics = {
        "mae": MAEMetric(),
        "rmse": RMSEMetric(),
        "psnr": PSNRMetric(max_val=4024.0),
        "ssim": SSIMMetric(**uniform, win_size=7),
        "ms_ssim": MultiScaleSSIMMetric(**uniform, kernel_size=7),
    }
    found = {}
    for name, metric in metrics.items():
        start = time.perf_counter()
        found[name] = float(metric(*tensors))
        parts[name] = time.perf_counter() - start
    return found


def as_monai_defines(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Ours by MONAI's conventions: whole windows only, covariance over n, whole image."""
    found = {"ms_ssim": 1.0}
    a, b = first, second
    for scale in range(len(MS_SSIM_WEIGHTS)):
        whole = np.zeros(a.shape, dtype=bool)
        whole[3:-3, 3:-3, 3:-3] = True
        local = local_similarity(a, b, whole, data_range=4024.0, sample_covariance=False)
        if scale == 0:
            found["ssim"] = float(local.ssim.mean(dtype=float))
        last = scale == len(MS_SSIM_WEIGHTS) - 1
        mean = float((local.ssim if last else local.structure).mean(dtype=float))
        found["ms_ssim"] *= mean ** MS_SSIM_WEIGHTS[scale]
        a, b = pooled(a), pooled(b)
    return found


def pooled(array: np.ndarray) -> np.ndarray:
    """Means of 2×2×2 voxels; an odd last one is left out, as MONAI does."""
    even = array[tuple(slice(n - n % 2) for n in array.shape)]
    i, j, k = (n // 2 for n in even.shape)
    return np.ascontiguousarray(even.reshape(i, 2, j, 2, k, 2).mean((1, 3, 5), dtype=np.float32))


def ssim_by_whole_windows(pair: Pair) -> float | None:
    """Ours by the convention of the peers: the windows that fit into the image."""
    settings = PLAIN.model_copy(update={"synthrad_modes": ("synthrad2023",)})
    (found,) = [
        value.value
        for value in image(pair, settings)
        if (value.metric, value.variant) == ("ssim", "synthrad2023")
    ]
    return found


def shared_with_scikit_image(pair: Pair) -> dict[str, float]:
    """Ours of the seven measures that scikit-image and numpy have, in the body, and no more."""
    comparison = compare(pair, PLAIN)
    chosen = np.ones(comparison.reference_values.size, dtype=bool)
    voxels = RegionVoxels(comparison=comparison, chosen=chosen)
    names = ("mae", "me", "rmse", "psnr", "ncc", "mutual_information", "ssim")
    return {name: BY_REGION[name](voxels) for name in names}


def agreement(ours: dict[str, float | None], theirs: dict[str, float]) -> str:
    """Differences, relative where the value is above one: MONAI computes in float32."""
    return ", ".join(
        f"{name} {abs(float(ours[name] or 0) - value) / max(abs(value), 1):.0e}"
        for name, value in theirs.items()
    )


def _row(task: str, sizes: str, peer: str, ours: float, theirs: float | None, note: str) -> dict:
    ratio = None if theirs is None else theirs / ours
    return {
        "task": task,
        "sizes": sizes,
        "peer": peer,
        "ours_s": ours,
        "peer_s": theirs,
        "ratio": ratio,
        "agreement": note,
    }


def rows() -> list[dict]:
    """Time ours and both peers; see ``bench.py`` for the columns."""
    small = make_pair(SMALL_SHAPE, SMALL_SPACING_MM)
    image(small, ImageSettings())  # compiles
    small_s = best(lambda: image(small, ImageSettings()), 20)
    pair, size = make_pair(SHAPE, SPACING_MM), "×".join(str(n) for n in SHAPE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    all_s = best(lambda: image(pair, ImageSettings()))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    body_s = best(lambda: image(pair, PLAIN))
    shared_s = best(lambda: shared_with_scikit_image(pair))
    ssim_s = best(lambda: compare(pair, PLAIN).ssim)
    whole_windows = {"ssim": ssim_by_whole_windows(pair)}
    ours = body_values(pair) | whole_windows
    sk_parts: dict[str, float] = {}
    theirs = by_scikit_image(pair, sk_parts)
    shifted = [
        np.clip(v.array, *RANGE) - np.float32(RANGE[0]) for v in (pair.reference, pair.synthetic)
    ]
    monai_parts: dict[str, float] = {}
    monai = by_monai(*shifted, monai_parts)
    whole = Pair(
        reference=pair.reference.with_array(shifted[0] + np.float32(RANGE[0])),
        synthetic=pair.synthetic.with_array(shifted[1] + np.float32(RANGE[0])),
        mask=np.ones(SHAPE, dtype=bool),
    )
    whole_s = best(lambda: image(whole, PLAIN))
    whole_ssim_s = best(lambda: compare(whole, PLAIN).ssim)
    like_monai = {**body_values(whole), **as_monai_defines(*shifted)}
    sk_s, monai_s = sum(sk_parts.values()), sum(monai_parts.values())
    count, measures = len(image(pair, ImageSettings())), len(image(pair, PLAIN))
    return [
        _row(
            "SSIM of the body",
            size,
            "scikit-image",
            ssim_s,
            sk_parts["ssim"],
            agreement(ours, {"ssim": theirs["ssim"]}),
        ),
        _row(
            "SSIM of the whole image",
            size,
            "MONAI",
            whole_ssim_s,
            monai_parts["ssim"],
            agreement(like_monai, {"ssim": monai["ssim"]}),
        ),
        _row(
            "the seven measures of the body that both have",
            size,
            "scikit-image, numpy",
            shared_s,
            sk_s,
            agreement(shared_with_scikit_image(pair) | whole_windows, theirs),
        ),
        _row(
            f"all {measures} image measures of the body against those seven",
            size,
            "scikit-image, numpy",
            body_s,
            sk_s,
            agreement(ours, theirs),
        ),
        _row(
            f"all {measures} of the whole image against the five that the peer has",
            size,
            "MONAI",
            whole_s,
            monai_s,
            agreement(like_monai, monai),
        ),
        _row(
            f"all image measures, all regions and SynthRAD modes ({count} values)",
            size,
            "both together",
            all_s,
            sk_s + monai_s,
            f"peak {memory:.1f} GiB, {before:.1f} GiB of it the pair and its making",
        ),
        _row(
            "all image measures, all regions and SynthRAD modes",
            "×".join(str(n) for n in SMALL_SHAPE),
            "–",
            small_s,
            None,
            "–",
        ),
    ]


if __name__ == "__main__":
    from bench import markdown

    print(markdown(rows()))
