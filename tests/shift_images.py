"""Source images of a few hospitals, drawn voxel by voxel, with what one of them does otherwise."""

from __future__ import annotations

import numpy as np

from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.appearance import Untold
from qa_suite.imaging.embedding import EMBEDDING, embed_source
from qa_suite.judging.shift.features import FEATURES, FeatureTable, on_scale

SHAPE = (72, 60, 8)
KINDS = ("none", "other sequence", "more noise", "half as fine", "some patients otherwise")


def image(rng: np.random.Generator, kind: str = "none") -> tuple[Volume, np.ndarray]:
    """Draw one patient: fat around muscle around bright vessels, a bias field, noise."""
    x, y = (np.linspace(-1, 1, n) for n in SHAPE[:2])
    width = rng.normal(0.8, 0.03)
    far = np.hypot(*np.meshgrid(x / width, y / (width * 1.05), indexing="ij"))[:, :, None]
    body = np.broadcast_to(far < 1, SHAPE)
    fat, muscle, vessel = rng.normal((600, 220, 420), (18, 8, 14))
    if kind == "other sequence":
        fat, muscle, vessel = muscle, 0.9 * fat, 0.5 * fat
    array = np.full(SHAPE, 5.0)
    array[body] = fat
    array[np.broadcast_to(far < rng.normal(0.72, 0.03), SHAPE)] = muscle
    for place in rng.uniform(-0.45, 0.45, (14, 2)):
        near = np.hypot(*np.meshgrid(x - place[0], y - place[1], indexing="ij")) < 0.06
        array[near] = vessel
    array *= 1 + rng.normal(0.1, 0.02) * x[:, None, None]
    array = 0.5 * array + 0.25 * (np.roll(array, 1, 0) + np.roll(array, -1, 0))
    noise = rng.normal(12, 0.6) * (2 if kind == "more noise" else 1)
    array = array + rng.normal(0, noise, SHAPE)
    spacing = (1.5, 1.5, 4.0)
    if kind == "half as fine":
        array = array.reshape(36, 2, 30, 2, SHAPE[2]).mean(axis=(1, 3))
        body, spacing = body[::2, ::2], (3.0, 3.0, 4.0)
    grid = Grid(shape=array.shape, spacing_mm=spacing)
    return Volume(array=array.astype(np.float32), grid=grid, quantity="arbitrary"), body


def row(rng: np.random.Generator, kind: str = "none") -> list[float]:
    """Return one patient's features on the scale that they are compared on."""
    told = embed_source(*image(rng, kind))
    by_key = {f"{metric}@{region}": told[metric, region] for metric, region in EMBEDDING}
    values = [by_key[feature.key] for feature in FEATURES["source"]]
    return [
        np.nan if isinstance(v, Untold) else on_scale(f, v)
        for f, v in zip(FEATURES["source"], values, strict=True)
    ]


def hospitals(kind: str, *, seed: int, patients: int = 12) -> FeatureTable:
    """Return four hospitals, of which the last images as the kind says."""
    rng = np.random.default_rng(seed)
    sites, rows = [], []
    for site in "ABCD":
        for number in range(patients):
            own = kind if site == "D" else "none"
            if kind == "some patients otherwise":
                own = "other sequence" if site == "D" and number % 3 == 0 else "none"
            sites.append(site)
            rows.append(row(rng, own))
    return FeatureTable(
        features=FEATURES["source"],
        patients=tuple(f"p{number}" for number in range(len(rows))),
        sites=tuple(sites),
        values=np.array(rows),
    )
