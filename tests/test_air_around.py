"""Air added round a pair changes no measure, nor does the cut to the mask's box: with exceptions.

Every registered metric of the families below is held to it, to 1e-6 of its value. What may change,
and why, stands in the two tables; the same tables stand in docs/measures.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from qa_suite.core.prediction import Prediction
from qa_suite.core.records import InstrumentFacts
from qa_suite.core.volume import Grid, Volume
from qa_suite.lab.phantom import make_patient, oracle_translate
from qa_suite.metrics.base import Instruments, Pair
from qa_suite.metrics.facts import METRICS
from qa_suite.metrics.image.settings import ImageSettings
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.settings import MeasureSettings

pytestmark = pytest.mark.timeout(900)  # a fresh clone compiles every kernel here first

FAMILIES = ("image", "segmentation", "geometry", "hallucination", "reference_free", "uncertainty")
MEASURED = {"image", "segmentation", "geometry", "hallucination"}
NOT_OF_THIS_PAIR = {"reference_scale", "scale_ratio"}  # of images in arbitrary units

# Metric (or its beginning, with *), region and variant -> why air that is added may change it.
FIELD_OF_VIEW = {
    (
        "ms_ssim",
        "*",
        "synthrad2025",
    ): "the challenge's code lays its scales from the first voxel on",
    ("ssim", "*", "synthrad2023"): "the challenge's code leaves out the three outermost voxels",
    (
        "positioning_*",
        "*",
        "*",
    ): "the day and its noise are drawn from the image that is registered",
    ("swap_evidence", "*", "*"): "an axis is exchanged as far as the image reaches",
}
# The same for a cut to the mask's box: the mask then ends where the image ends.
END = "the image's end is no surface of the body"
ALONE = "without a reference the body is found in the image, and ends where the image ends"
MATCHED = "a structure near the image's end is matched with less around it"
ALIGNED = "the registration to the source looks at the air around the body too"
CUT = {
    **FIELD_OF_VIEW,
    ("*", "shell:*", "*"): END,
    ("*", "seg:*", "*"): END,
    ("contour_*", "*", "*"): END,
    ("value_*", "*", "*"): END,
    **{
        (f"{name}_*", kind, "*"): END
        for name in ("false", "missed", "largest")
        for kind in ("bone", "air", "lesion", "lesion_near_bone", "bone_lesion")
    },
    ("structure_shift", "*", "*"): MATCHED,
    ("source_shift*", "*", "*"): ALIGNED,
    ("source_rotation", "*", "*"): ALIGNED,
    ("excess_*", "*", "*"): ALIGNED,
    ("source_contour_*", "*", "*"): ALONE,
    ("cut_body", "*", "*"): ALONE,
    ("sharpness", "*", "*"): ALONE,
    ("tissue_*", "air", "*"): ALONE,
    ("mirror_evidence", "*", "*"): ALONE,
    ("reversal_evidence", "*", "*"): ALONE,
    ("slice_jump", "*", "*"): ALONE,
}


class Dense:
    """A segmenter by a threshold of its own."""

    structures = ("Dense",)
    facts = InstrumentFacts(
        kind="segmenter",
        name="dense",
        uri="dense",
        version="1",
        weights_sha256="0" * 64,
        noise_floor={"Dense": 0.9},
    )

    def segment(self, volume, domain):
        return {"Dense": domain & (volume.array > 300)}


@pytest.fixture(scope="module")
def arrays():
    """A patient between empty slices, air around it, and a synthetic CT with faults."""
    patient = make_patient("A", 1, seed=1, spacing_mm=(8, 8, 10))
    body = patient.body.copy()
    body[..., :2] = False
    body[..., -2:] = False
    synthetic = oracle_translate(patient.ct_noise_free, seed=5).array
    synthetic = ndimage.gaussian_filter(np.roll(synthetic, 1, axis=0), 0.6)
    noise = np.random.default_rng(8).normal(0, 12, body.shape)
    hu = {
        name: np.where(body, array, -1000).astype(np.float32)
        for name, array in {
            "reference": patient.ct.array,
            "synthetic": synthetic,
            "sample": synthetic + noise,
        }.items()
    }
    return {
        **hu,
        "source": np.where(body, patient.mr.array, 0).astype(np.float32),
        "std": np.where(body, np.float32(25), 0),
        "mask": body,
        "structures": {name: mask & body for name, mask in patient.structures.items()},
        "grid": patient.ct.grid,
    }


AIR = {"reference": -1000, "synthetic": -1000, "sample": -1000}


def pair_of(arrays, pads=((0, 0), (0, 0), (0, 0))) -> Pair:
    """Return the pair with air added (or, below zero, cut off) at both ends of every axis."""
    cut = tuple(slice(max(-a, 0), -max(-b, 0) or None) for a, b in pads)
    around = [(max(a, 0), max(b, 0)) for a, b in pads]
    old = arrays["grid"]

    def changed(array, fill):
        return np.ascontiguousarray(np.pad(array[cut], around, constant_values=fill))

    grid = Grid(
        shape=changed(arrays["mask"], False).shape,
        spacing_mm=old.spacing_mm,
        origin_mm=tuple(old.to_world([-a for a, _ in pads])),
        direction=old.direction,
        frame_of_reference=old.frame_of_reference,
    )

    def volume(name, quantity="HU"):
        array = changed(arrays[name], AIR.get(name, 0))
        return Volume(array=array, grid=grid, quantity=quantity)

    synthetic = volume("synthetic")
    return Pair(
        reference=volume("reference"),
        synthetic=synthetic,
        source=volume("source", "arbitrary"),
        mask=changed(arrays["mask"], False),
        structures={n: changed(mask, False) for n, mask in arrays["structures"].items()},
        prediction=Prediction(
            mean=synthetic, std=volume("std"), samples=(synthetic, volume("sample"))
        ),
        instruments=Instruments(segmenters=(Dense(),)),
    )


def rows_of(pair):
    # so small an image carries two scales
    settings = MeasureSettings(image=ImageSettings(ms_ssim_weights=(0.5, 0.5), skin_mm=5.0))
    found = measure_pair(
        pair, families=FAMILIES, settings=settings, case="c", patient="p", site="s"
    ).rows
    assert not [row.why for row in found if row.metric == "family"]
    return {(row.metric, row.region, row.variant): row for row in found}


def fits(pattern, key):
    return all(
        one == "*" or one == part or (one.endswith("*") and part.startswith(one[:-1]))
        for one, part in zip(pattern, key, strict=True)
    )


def changed(before, after, exceptions):
    """Every measurement that differs, apart from the exceptions."""
    assert before.keys() == after.keys()
    found = []
    for key, row in before.items():
        if any(fits(pattern, key) for pattern in exceptions):
            continue
        other = after[key]
        same = row.status == other.status
        for name in ("value", "at_least", "at_most", "coverage"):
            one, two = getattr(row, name), getattr(other, name)
            same &= one == two if one is None or two is None else np.isclose(one, two, 1e-6, 1e-6)
        if not same:
            found.append((*key, row.value, other.value, row.status, other.status))
    return found


@pytest.fixture(scope="module")
def before(arrays):
    return rows_of(pair_of(arrays))


def test_every_metric_of_the_families_is_held(before):
    registered = {e.name for e in METRICS if e.facts.family in MEASURED} - NOT_OF_THIS_PAIR
    assert registered <= {metric for metric, _, _ in before}
    assert sum(row.status == "ok" for row in before.values()) > 0.8 * len(before)


@pytest.mark.parametrize("pads", [((2, 3), (1, 4), (3, 2)), ((0, 0), (6, 0), (0, 1))])
def test_air_around_changes_nothing(arrays, before, pads):
    assert changed(before, rows_of(pair_of(arrays, pads)), FIELD_OF_VIEW) == []


def test_the_cut_to_the_masks_box_changes_what_sees_the_end_alone(arrays, before):
    where = np.argwhere(arrays["mask"])
    ends = zip(where.min(0), where.max(0), arrays["mask"].shape, strict=True)
    pads = tuple((-int(a), -int(n - 1 - b)) for a, b, n in ends)
    assert changed(before, rows_of(pair_of(arrays, pads)), CUT) == []


def test_the_page_has_the_exceptions():
    page = (Path(__file__).resolve().parent.parent / "docs" / "measures.md").read_text()
    for why in {*FIELD_OF_VIEW.values(), *CUT.values()}:
        assert why in " ".join(page.split()), why
