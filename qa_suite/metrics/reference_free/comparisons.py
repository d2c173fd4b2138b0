"""Checks against what else is known: the training cohort, the way back, the model's doubt."""

from __future__ import annotations

import numpy as np

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import InputError
from qa_suite.core.volume import canonical
from qa_suite.imaging.robust import thinned
from qa_suite.metrics.base import NoValue
from qa_suite.metrics.reference_free.checks import Answer, Need, check
from qa_suite.metrics.reference_free.patient import Mask, Scene

_SOURCE: tuple[Need, ...] = ("source", "norms")
_FLAT = "undefined where the source's body is flat or too small"


@check(
    "histogram_distance",
    title="Distance of the HU histogram from the training cohort's",
    unit="HU",
    direction="lower",
    value_range="[0, inf)",
    kind="positive",
    formula=(
        "Wasserstein-1 distance of the body's histogram (steps of 10 HU, -1024 to 3076) from the "
        "mean histogram of the training cohort's real images; a value beyond the histogram "
        "counts with its distance from the end, too"
    ),
    needs=("finite", "hu", "body", "norms"),
    reference="Rubner, Tomasi and Guibas 2000, Int J Comput Vis 40:99 (earth mover's distance)",
)
def histogram_distance(scene: Scene, region: str) -> Answer:
    """Mean distance that the histogram's mass would have to move, in HU."""
    from qa_suite.metrics.reference_free.norms import BIN_HU, beyond_histogram, histogram_of

    norms = scene.patient.norms
    assert norms is not None
    mine = np.cumsum(histogram_of(scene.body_values))
    usual = np.cumsum(np.asarray(norms.histogram))
    return float(np.abs(mine - usual).sum() * BIN_HU) + beyond_histogram(scene.body_values)


@check(
    "ood_distance",
    title="Distance of the source from the training cohort's sources",
    unit="1",
    direction="lower",
    value_range="[0, inf)",
    kind="positive",
    formula=(
        "Mahalanobis distance of the source's descriptor (15 numbers) under the training cohort's "
        "mean and shrunk covariance"
    ),
    needs=_SOURCE,
    reference=(
        "Mahalanobis 1936, Proc Natl Inst Sci India 2:49; Ledoit and Wolf 2004, J Multivar Anal "
        "88:365 (the covariance)"
    ),
    empty=_FLAT,
)
def ood_distance(scene: Scene, region: str) -> Answer:
    """How unlike the training cohort the source is."""
    norms = scene.patient.norms
    assert norms is not None
    found = scene.descriptor
    if found is None:
        return NoValue(why="the source's body is flat or too small")
    return norms.distance(found)


@check(
    "ood_percentile",
    title="Rank of that distance among the training patients",
    unit="%",
    value_range="(0, 100)",
    kind="bounded",
    formula=(
        "100 (training patients nearer than it + ½) / (n + 1); theirs by leave-one-out, so that no "
        "one is held against himself"
    ),
    needs=_SOURCE,
    empty=_FLAT,
)
def ood_percentile(scene: Scene, region: str) -> Answer:
    """Percentile of the distance among the training patients, in %."""
    norms = scene.patient.norms
    assert norms is not None
    found = scene.descriptor
    if found is None:
        return NoValue(why="the source's body is flat or too small")
    nearer = int(np.searchsorted(np.sort(norms.distances), norms.distance(found)))
    return 100 * (nearer + 0.5) / (norms.patients + 1)


@check(
    "cycle_error",
    title="Error of the way there and back",
    unit="%",
    direction="lower",
    value_range="[0, inf)",
    kind="positive",
    formula=(
        "100 mean |a − b| in the source's body; a = source, b = inverse(synthetic), each minus its "
        "median there and over its 5th to 95th percentile span"
    ),
    needs=("finite", "source", "inverse"),
    reference="Zhu, Park, Isola and Efros 2017, Proc ICCV: 2242 (cycle consistency)",
    empty="undefined where an image is flat or shows no body; an error where the way back fails",
)
def cycle_error(scene: Scene, region: str) -> Answer:
    """How much the way there and back changes the source, in % of its span."""
    inverse, source = scene.patient.inverse, scene.patient.source
    assert inverse is not None and source is not None
    back = inverse(scene.patient.synthetic)
    if not back.grid.same_as(source.grid):
        raise InputError(f"the inverse translator answered on {back.grid.describe()}")
    if not np.isfinite(back.array).all():
        raise InputError("the inverse translator answered with voxels that are not finite")
    body = scene.source_body
    there, again = _relative(scene.source.array, body), _relative(canonical(back).array, body)
    if there is None or again is None:
        return NoValue(why="the source or its way back is flat, or shows no body")
    return 100 * float(np.abs(there - again).mean(dtype=np.float64))


def _relative(array: Float32Array, body: Mask) -> Float32Array | None:
    values = array[body]
    if values.size == 0:
        return None
    low, middle, high = np.percentile(thinned(values), [5, 50, 95])
    return (values - middle) / (high - low) if high > low else None


@check(
    "sample_disagreement",
    title="Disagreement of the translator with itself",
    unit="HU",
    direction="lower",
    value_range="[0, inf)",
    kind="positive",
    formula="mean over the body of the predicted std, or of the std (n − 1) of the samples",
    needs=("finite", "hu", "body", "spread"),
    reference="Lakshminarayanan, Pritzel and Blundell 2017, Proc NeurIPS 30",
    empty="an error where the std or the samples are not finite",
)
def sample_disagreement(scene: Scene, region: str) -> Answer:
    """Mean standard deviation in the body, in HU."""
    answer = scene.patient.prediction
    assert answer is not None
    if answer.std is not None:
        spread = canonical(answer.std).array
    else:
        draws = [canonical(sample).array for sample in answer.samples]
        spread = np.std(np.stack(draws), axis=0, ddof=1)
    value = float(spread[scene.body].mean(dtype=np.float64))
    if not np.isfinite(value):
        raise InputError("the std or the samples are not finite")
    return value
