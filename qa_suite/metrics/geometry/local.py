"""Local shifts between reference and synthetic image: one for every block of the body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.metrics.base import Censored, NoValue
from qa_suite.metrics.facts import MetricFacts, MetricFunctions
from qa_suite.metrics.geometry.images import SMOOTHING_VOXELS, Image, blurred, smoothed
from qa_suite.metrics.geometry.settings import GeometrySettings

_DEFAULT = GeometrySettings()
_MIN_FILLED = 0.5  # share of a block's voxels that lie in the mask
COARSE_FWHM_MM = 14.0
_RESIDUAL_HU = 8.0  # after smoothing, of two good images
_MAX_SD_MM = 1.0
_MAX_RELATIVE_SD = 0.2  # of the shift: far and known to a fifth is far
MIN_CORRELATION = 0.7
REPEATED = (4 * np.pi * SMOOTHING_VOXELS**2) ** 1.5  # voxels that one smoothing makes one
_MIN_BLOCKS = 5
_MIN_MATCHED = 0.25


@dataclass(frozen=True, kw_only=True)
class LocalShifts:
    """Displacements of the blocks.

    Of the blocks whose shift is known sharply, the most displaced one stands for itself alone: one
    block may have slipped. The others stand for all that were found, sharply or not.

    Parameters
    ----------
    shift_mm
        Of the synthetic anatomy relative to the reference, along the grid's axes, shape (blocks,
        3), sorted as the blocks lie: of those whose shift is known sharply.
    size_mm
        Its length, inf where it is larger than the reach.
    centre_index
        Middle of each block on the working grid, shape (blocks, 3).
    far_mm
        Lengths of shifts that are not known sharply, but to a small part of themselves.
    with_structure, in_body
        How many blocks hold structure along all axes, and how many lie in the body.
    lost
        How many of those with structure were not found again: what became of them nobody knows.
    """

    shift_mm: FloatArray
    size_mm: FloatArray
    centre_index: FloatArray
    far_mm: FloatArray
    with_structure: int
    in_body: int
    lost: int
    reach_mm: float

    def quantile_mm(self, share: float, *, far: bool, lost_mm: float | None) -> float:
        """Smallest displacement that at least a share of the blocks do not exceed.

        Parameters
        ----------
        share
            0 to 1.
        far
            Whether far blocks count for themselves. If not, the sharp ones, which stand for all
            others that were found, stand for them too.
        lost_mm
            What the displacement of the lost blocks is taken to be; None leaves them out.
        """
        far_mm = self.far_mm if far else self.far_mm[:0]
        lost = 0 if lost_mm is None else self.lost
        others = len(self.size_mm) - 1
        each = (self.with_structure - self.lost - len(far_mm) - 1) / others
        sizes = np.concatenate([np.sort(self.size_mm), far_mm, [lost_mm or 0.0]])
        blocks = np.repeat([each, 1.0, 1.0, lost], [others, 1, len(far_mm), 1])
        order = np.argsort(sizes, kind="stable")
        reached = np.cumsum(blocks[order]) >= share * blocks.sum() - 1e-9
        return float(sizes[order][int(np.argmax(reached))])


def local_shifts(
    reference: Image, synthetic: Image, inside: Mask, *, block_mm: float, reach_mm: float
) -> LocalShifts | NoValue:
    """Match the synthetic image to the reference block by block.

    Parameters
    ----------
    reference, synthetic
        On one grid.
    inside
        Voxels that count; of the grid's shape.
    block_mm
        Edge of a block.
    reach_mm
        Larger shifts are only known to be larger.
    """
    from qa_suite.metrics.geometry.kernels import match_blocks

    fixed, moving = smoothed(reference), smoothed(synthetic)
    spacing = np.asarray(reference.grid.spacing_mm)
    lows, highs, in_body = _blocks_with_structure(fixed, inside, spacing, block_mm)
    if len(lows) < _MIN_BLOCKS:
        return NoValue(
            why=f"only {len(lows)} blocks of {block_mm:g} mm hold structure along all axes"
        )
    shifts, (correlations, variances) = np.zeros((len(lows), 3)), np.empty((2, len(lows)))
    match_blocks(
        blurred(reference, COARSE_FWHM_MM).values,
        blurred(synthetic, COARSE_FWHM_MM).values,
        fixed.values,
        moving.values,
        lows,
        highs,
        inside,
        spacing,
        reach_mm,
        shifts,
        correlations,
        variances,
    )
    size = np.linalg.norm(shifts, axis=1)
    sd = np.sqrt(np.maximum(variances, 0) * REPEATED)
    sharp, far = sd <= _MAX_SD_MM, (sd > _MAX_SD_MM) & (sd <= _MAX_RELATIVE_SD * size)
    size[size > reach_mm] = np.inf
    found = (correlations >= MIN_CORRELATION) & (sharp | far | np.isfinite(size))
    if found.sum() < max(_MIN_BLOCKS, _MIN_MATCHED * len(lows)):
        return NoValue(
            why=f"only {int(found.sum())} of {len(lows)} blocks with structure were found again"
        )
    sharp, far = sharp & found, far & found
    if sharp.sum() < _MIN_BLOCKS:
        return NoValue(
            why=f"of {int(found.sum())} blocks that were found again {int(sharp.sum())} have a "
            f"shift that is known to {_MAX_SD_MM:g} mm, and {_MIN_BLOCKS} are needed"
        )
    return LocalShifts(
        shift_mm=shifts[sharp],
        size_mm=size[sharp],
        centre_index=((lows + highs - 1) / 2)[sharp],
        far_mm=size[far],
        with_structure=len(lows),
        in_body=in_body,
        lost=int(len(lows) - found.sum()),
        reach_mm=reach_mm,
    )


def _blocks_with_structure(
    fixed: Image, inside: Mask, spacing: FloatArray, block_mm: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Blocks whose displacement the reference decides along every direction."""
    from qa_suite.metrics.geometry.kernels import structure

    edge = np.maximum(2, np.round(block_mm / spacing)).astype(np.int64)
    starts = [
        np.arange(n % e // 2 if n >= e else 0, max(n - e + 1, 1), e)
        for n, e in zip(inside.shape, edge, strict=True)
    ]
    lows = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int64)
    highs = np.minimum(lows + edge, inside.shape)
    tensors, counts = np.empty((len(lows), 3, 3)), np.empty(len(lows), np.int64)
    structure(fixed.values, lows, highs, inside, spacing, tensors, counts)
    in_body = counts >= _MIN_FILLED * np.prod(edge)
    needed = REPEATED * (_RESIDUAL_HU / _MAX_SD_MM) ** 2
    chosen = in_body & (np.linalg.eigvalsh(tensors)[:, 0] >= needed)
    return lows[chosen], highs[chosen], int(in_body.sum())


def _facts(title: str, percent: float) -> MetricFacts:
    return MetricFacts(
        family="geometry",
        title=title,
        unit="mm",
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=(
            f"{percent:g}th percentile over blocks of |u|; u: the shift at which the synthetic "
            "image correlates best with the reference in the block, nothing removed before"
        ),
        empty=(
            "undefined where fewer than 5 blocks hold structure along all axes, or fewer than "
            "a quarter of those are found again, or fewer than 5 to within 1 mm"
        ),
        censored="at least local_reach_mm, where the percentile lies beyond it; where it may lie "
        "among blocks that were not found again, at least what it is if none of them moved",
        ends=(_DEFAULT.local_reach_mm,),
        reference=("Definition of this suite; steps after Lucas and Kanade 1981, Proc IJCAI: 674"),
        settings={
            "local_block_mm": _DEFAULT.local_block_mm,
            "local_reach_mm": _DEFAULT.local_reach_mm,
        },
        quantities=("HU",),
        because="blocks are matched in a window of HU",
    )


def _percentile(found: LocalShifts, percent: float) -> float | Censored:
    """Smallest displacement that at least ``percent`` of the blocks do not exceed.

    Blocks that could not be followed well count where they are so many that the percentile may lie
    among them; a few may as well have slipped along an edge, or lost what made them recognisable.
    """
    share = percent / 100
    most = found.quantile_mm(share, far=True, lost_mm=np.inf)
    if np.isfinite(most):
        many = len(found.far_mm) > 0 and most >= found.far_mm.min()
        return found.quantile_mm(share, far=many, lost_mm=None)
    least = found.quantile_mm(share, far=True, lost_mm=0.0)
    if np.isinf(least):
        return Censored(at_least=found.reach_mm, why="beyond the reach of the search")
    return Censored(
        at_least=least,
        why=f"{found.lost} of {found.with_structure} blocks with structure were not found again, "
        f"and the percentile may lie among them",
    )


OF_BLOCKS: MetricFunctions[Callable[[LocalShifts], float | Censored | NoValue]] = MetricFunctions(
    "geometry"
)
"""Metrics of the shifts of blocks."""


@OF_BLOCKS.add("local_shift_95", _facts("95th percentile of the local shift", 95))
def local_shift_95(found: LocalShifts) -> float | Censored:
    """95th percentile of the displacement of the blocks, in mm."""
    return _percentile(found, 95)


@OF_BLOCKS.add("local_shift_median", _facts("Median local shift", 50))
def local_shift_median(found: LocalShifts) -> float | Censored:
    """Median displacement of the blocks, in mm."""
    return _percentile(found, 50)
