"""The surface of a mask as elements: small pieces with a position and an area.

An element is the marching-cubes surface (Lorensen and Cline 1987, Comput Graph 21:163) within
one cell of eight voxel centres that are not all inside or all outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.core.volume import Triple

_EVERYWHERE = np.zeros((0, 0, 0), dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class SurfaceElements:
    """The elements of one surface, in the order of the array.

    Parameters
    ----------
    position_mm
        Centres of gravity along i, j, k from the centre of the grid's first voxel, shape (n, 3).
    area_mm2
        Areas, shape (n,).
    """

    position_mm: FloatArray
    area_mm2: FloatArray

    def __len__(self) -> int:
        """Return the number of elements."""
        return self.area_mm2.size


def surface_elements(
    mask: Mask,
    spacing_mm: Triple,
    *,
    domain: Mask | None = None,
    offset: tuple[int, int, int] = (0, 0, 0),
) -> SurfaceElements:
    """Find the surface of a mask.

    Parameters
    ----------
    mask
        Bool, indexed ``[i, j, k]``. Where the array ends there is no surface.
    spacing_mm
        Voxel spacing along i, j, k.
    domain
        Where the mask is known, bool; a cell that touches its outside holds no surface. None
        is everywhere.
    offset
        Index of the mask's first voxel in the grid, where the mask is cut out of one.
    """
    from qa_suite.imaging.surface_kernels import scan_surface

    table = cell_table(tuple(float(step) for step in spacing_mm))
    position, area = scan_surface(
        np.ascontiguousarray(mask).view(np.uint8),
        _EVERYWHERE if domain is None else np.ascontiguousarray(domain).view(np.uint8),
        np.asarray(spacing_mm, dtype=float),
        np.asarray(offset, dtype=np.int64),
        table.centre_mm,
        table.area_mm2,
    )
    return SurfaceElements(position_mm=position, area_mm2=area)


@dataclass(frozen=True, kw_only=True)
class CellTable:
    """The surface element of each of the 256 ways to be inside at eight voxel centres.

    Bit ``4a + 2b + c`` of a code stands for the voxel at offset (a, b, c).

    Parameters
    ----------
    area_mm2
        Its area, shape (256,); zero for the codes 0 and 255.
    centre_mm
        Its centre of gravity from the first of the eight voxel centres, shape (256, 3).
    """

    area_mm2: FloatArray
    centre_mm: FloatArray


@lru_cache(maxsize=64)
def cell_table(spacing_mm: Triple) -> CellTable:
    """Build the table of surface elements on a grid.

    Averaged over the mirror images and the complement of a code, so that nothing depends on
    how the ambiguous codes are triangulated and a flipped mask has the flipped surface.
    """
    spacing = np.asarray(spacing_mm)
    single = [_element(code, spacing_mm) for code in range(256)]
    area = np.zeros(256)
    centre = np.zeros((256, 3))
    for code in range(1, 255):
        for flip in range(8):
            mirrored = sum((code >> bit & 1) << (bit ^ flip) for bit in range(8))
            axes = np.array([flip >> 2 & 1, flip >> 1 & 1, flip & 1], dtype=bool)
            for same in (mirrored, 255 - mirrored):
                area[code] += single[same][0] / 16
                there = single[same][1]
                centre[code] += np.where(axes, spacing - there, there) / 16
    return CellTable(area_mm2=area, centre_mm=centre)


def _element(code: int, spacing_mm: Triple) -> tuple[float, FloatArray]:
    """Area and centre of gravity of the marching-cubes triangles of one cell."""
    from skimage.measure import marching_cubes

    if code in (0, 255):
        return 0.0, np.zeros(3)
    cell = np.unpackbits(np.uint8(code), bitorder="little").reshape(2, 2, 2)
    corners, faces, _, _ = marching_cubes(cell.astype(float), 0.5, spacing=spacing_mm)
    triangles = corners.astype(np.float64)[faces]
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    areas = np.linalg.norm(np.cross(first, second), axis=1) / 2
    total = float(areas.sum())
    return total, areas @ triangles.mean(axis=1) / total
