"""How far the set of synthetic images lies from the set of real ones: FID, KID, precision, recall.

They look at feature vectors of slices, and slices of one patient are no independent samples.
So pairs of slices within one patient are left out wherever pairs are compared, the standard
errors come from leaving out whole patients, and below a number of patients there is no value.

References
----------
.. [1] Heusel M et al. (2017), NeurIPS 30: FID.
.. [2] Bińkowski M et al. (2018), ICLR: KID. Gretton A et al. (2012), JMLR 13:723: MMD.
.. [3] Kynkäänniemi T et al. (2019), NeurIPS 32: improved precision and recall.
.. [4] Chong MJ, Forsyth D (2020), CVPR: the bias of FID.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.metrics.facts import MetricFacts
from qa_suite.metrics.set_distances.features import OF_SETS, FeatureSet, Result
from qa_suite.metrics.set_distances.settings import SetDistanceSettings

_DEFAULTS = SetDistanceSettings()
_EMPTY = "too few patients or feature vectors, or no extractor: undefined"
_FAMILY = "set_distance"


# ---------------------------------------------------------------------------------------
# Fréchet distance


@OF_SETS.add(
    "fid",
    MetricFacts(
        family=_FAMILY,
        quantities=("HU",),
        because="the feature extractor reads CT",
        title="Fréchet distance of the features (FID)",
        unit="1",
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula="|m_R - m_S|² + trace(C_R + C_S - 2 (C_R C_S)^½); m, C: mean and covariance",
        empty=_EMPTY,
        reference="Heusel et al. 2017, NeurIPS 30; on the features of this record's extractor",
        settings={"vectors_per_dimension": _DEFAULTS.fid_vectors_per_dimension},
    ),
)
def _fid(reference: FeatureSet, synthetic: FeatureSet, settings: SetDistanceSettings) -> Result:
    value = fid(reference, synthetic)
    if reference.vectors.shape[1] > settings.jackknife_dimensions:
        return value, None
    return value, jackknife_error(fid_without_each(reference, synthetic))


def fid(reference: FeatureSet, synthetic: FeatureSet) -> float:
    """Fréchet distance of two Gaussians with the sets' means and covariances.

    Biased upwards in finite sets, the more the smaller they are [4]_: compare only values of
    equal numbers of vectors, and with the floor of real against real.
    """
    return frechet(*_moments(reference.vectors), *_moments(synthetic.vectors))


def frechet(
    mean_a: FloatArray, covariance_a: FloatArray, mean_b: FloatArray, covariance_b: FloatArray
) -> float:
    """Squared Wasserstein-2 distance of two Gaussians.

    Parameters
    ----------
    mean_a, mean_b
        Shape (dimensions,).
    covariance_a, covariance_b
        Shape (dimensions, dimensions), symmetric, not negative; singular ones are fine.
    """
    root = _square_root(covariance_a)
    inner = np.linalg.eigvalsh(root @ covariance_b @ root)
    cross = np.sqrt(np.clip(inner, 0, None)).sum()
    step = mean_a - mean_b
    found = step @ step + np.trace(covariance_a) + np.trace(covariance_b) - 2 * cross
    return max(float(found), 0.0)


def _square_root(covariance: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T)


def _moments(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    return mean, centred.T @ centred / (len(vectors) - 1)


def fid_without_each(reference: FeatureSet, synthetic: FeatureSet) -> FloatArray:
    """FID with each patient left out in turn; shape (patients,)."""
    patients = np.union1d(reference.patients, synthetic.patients)
    sums = [_Sums(s) for s in (reference, synthetic)]
    return np.array([frechet(*sums[0].without(p), *sums[1].without(p)) for p in patients])


class _Sums:
    """First and second moments of a set, from which one patient can be taken away."""

    def __init__(self, found: FeatureSet) -> None:
        self.found = found
        self.centre = found.vectors.mean(axis=0)  # keeps the differences below exact
        self.vectors = found.vectors - self.centre
        self.total = self.vectors.sum(axis=0)
        self.square = self.vectors.T @ self.vectors

    def without(self, patient: int) -> tuple[FloatArray, FloatArray]:
        gone = self.vectors[self.found.patients == patient]
        n = len(self.vectors) - len(gone)
        mean = (self.total - gone.sum(axis=0)) / n
        square = self.square - gone.T @ gone
        return mean + self.centre, (square - n * np.outer(mean, mean)) / (n - 1)


# ---------------------------------------------------------------------------------------
# Kernel distance


@OF_SETS.add(
    "kid",
    MetricFacts(
        family=_FAMILY,
        quantities=("HU",),
        because="the feature extractor reads CT",
        title="Kernel distance of the features (KID)",
        unit="1",
        direction="lower",
        range="(-inf, inf)",
        kind="signed",
        formula=(
            "mean k(r, r') + mean k(s, s') - 2 mean k(r, s) over pairs of different patients; "
            "k(x, y) = (x·y / dimensions + 1)³; its expectation is 0 for sets of one distribution"
        ),
        empty=_EMPTY,
        reference=(
            "Bińkowski et al. 2018, ICLR: unbiased squared MMD; pairs of one patient left out"
        ),
        settings={"degree": _DEFAULTS.kid_degree},
    ),
)
def _kid(reference: FeatureSet, synthetic: FeatureSet, settings: SetDistanceSettings) -> Result:
    degree = settings.kid_degree
    without = kid_without_each(reference, synthetic, degree=degree)
    return kid(reference, synthetic, degree=degree), jackknife_error(without)


def kid(reference: FeatureSet, synthetic: FeatureSet, *, degree: int = 3) -> float:
    """Unbiased squared maximum mean discrepancy with a polynomial kernel [2]_.

    A U-statistic over patients: pairs of slices of one patient, whose likeness is no
    likeness of the sets, are left out of all three means.
    """
    blocks = _all_blocks(reference, synthetic, degree)
    return _mmd(blocks, np.ones(len(blocks[0][0]), dtype=bool))


def kid_without_each(
    reference: FeatureSet, synthetic: FeatureSet, *, degree: int = 3
) -> FloatArray:
    """KID with each patient left out in turn; shape (patients,)."""
    blocks = _all_blocks(reference, synthetic, degree)
    count = len(blocks[0][0])
    found = []
    for patient in range(count):
        keep = np.ones(count, dtype=bool)
        keep[patient] = False
        found.append(_mmd(blocks, keep))
    return np.array(found)


def _all_blocks(
    reference: FeatureSet, synthetic: FeatureSet, degree: int
) -> list[tuple[FloatArray, FloatArray]]:
    """Real with real, synthetic with synthetic, real with synthetic."""
    patients = np.union1d(reference.patients, synthetic.patients)
    pairs = ((reference, reference), (synthetic, synthetic), (reference, synthetic))
    return [_kernel_blocks(a, b, patients, degree) for a, b in pairs]


def _kernel_blocks(
    a: FeatureSet, b: FeatureSet, patients: NDArray[np.int64], degree: int
) -> tuple[FloatArray, FloatArray]:
    """Sum of the kernel, and number of pairs, by patient and patient."""
    first = (a.patients[:, None] == patients).astype(np.float64)
    second = (b.patients[:, None] == patients).astype(np.float64)
    sums = np.zeros((patients.size, patients.size))
    for start in range(0, len(a.vectors), 1024):  # by rows: a large set's kernel is gigabytes
        part = slice(start, start + 1024)
        kernel = (a.vectors[part] @ b.vectors.T / a.vectors.shape[1] + 1) ** degree
        sums += first[part].T @ (kernel @ second)
    counts = np.outer(first.sum(axis=0), second.sum(axis=0))
    return sums, counts


def _mmd(blocks: list[tuple[FloatArray, FloatArray]], keep: NDArray[np.bool_]) -> float:
    chosen = np.outer(keep, keep) & ~np.eye(keep.size, dtype=bool)
    real, made, between = (
        float(sums[chosen].sum() / counts[chosen].sum()) for sums, counts in blocks
    )
    return real + made - 2 * between


# ---------------------------------------------------------------------------------------
# Jackknife


def jackknife_error(without_each: FloatArray) -> float:
    """Return the standard error by Tukey's jackknife, from the values without each patient."""
    n = without_each.size
    spread = float(((without_each - without_each.mean()) ** 2).sum())
    return float(np.sqrt((n - 1) / n * spread))
