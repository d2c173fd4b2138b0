"""PyDoseRT itself: its axes, its kernel, and its calibration to Gy per monitor unit.

PyDoseRT works on axes (head, depth, width) with the gantry turning in the last two; a density
``[x, y, z]`` of an axial LPS grid becomes that by a transpose. It turns each slice about the
isocentre, so the slices are padded until nothing of the patient leaves them, and cropped again.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Triple
from qa_suite.dose.machines.photon import PhotonMachine
from qa_suite.dose.photons.fluence import PIXEL_MM, PIXELS, machine_fluence
from qa_suite.dose.plan.template import BeamTemplate

_LEAF_PAIRS = 2  # PyDoseRT wants leaves, though the fluence is given
_KERNEL_MM = 150.0  # half width; at 75 mm a field of 20×20 cm² lacks 3 % of its scatter
_SAME_SPACING = 1e-3  # relative: 0.2 mm at the far side of a body, well within a voxel


class LibraryFrame:
    """The padded axes (head, depth, width) around an isocentre."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        before: tuple[int, int],
        kept: tuple[int, int, int],
        isocentre: tuple[float, float, float],
    ) -> None:
        self.shape, self.before, self.kept, self.isocentre = shape, before, kept, isocentre

    @classmethod
    def around(cls, density: Float32Array, grid: Grid, isocentre_mm: Triple) -> LibraryFrame:
        """Lay the frame around a patient; refuse grids that are not axial or miss the isocentre.

        Slices may be thicker or thinner than their pixels, but the pixels must be square: the
        gantry turns in them, and PyDoseRT turns voxels, not millimetres.
        """
        if not np.allclose(grid.axes, np.eye(3), atol=1e-6):
            raise GeometryError("A photon dose grid must be axial: its axes those of LPS.")
        if not np.isclose(*grid.spacing_mm[:2], rtol=_SAME_SPACING, atol=0.0):
            x, y, _ = grid.spacing_mm
            raise GeometryError(
                f"A photon dose grid must have square pixels in its slices, not {x:g} × {y:g} mm: "
                "resample the densities to one spacing in x and y (the dose grids of the plan "
                "templates are cubes of grid_mm)."
            )
        place = grid.to_index(isocentre_mm)
        if (place < 0).any() or (place > np.asarray(grid.shape) - 1).any():
            raise InputError(
                f"The isocentre {tuple(round(float(v), 1) for v in isocentre_mm)} mm lies outside "
                f"the dose grid ({grid.describe()})."
            )
        nx, ny, nz = grid.shape
        sx, sy, sz = grid.spacing_mm
        filled = np.argwhere((density > 0).any(axis=2))
        reach = np.hypot((filled[:, 0] - place[0]) * sx, (filled[:, 1] - place[1]) * sy)
        radius = float(reach.max(initial=0.0)) + 2 * max(sx, sy)
        before_x, after_x = _padding(place[0], nx, radius / sx)
        before_y, after_y = _padding(place[1], ny, radius / sy)
        return cls(
            shape=(nz, ny + before_y + after_y, nx + before_x + after_x),
            before=(before_y, before_x),
            kept=(nz, ny, nx),
            isocentre=(place[2] * sz, (place[1] + before_y) * sy, (place[0] + before_x) * sx),
        )

    def padded(self, density: Float32Array) -> Float32Array:
        """Return a density ``[x, y, z]`` on the padded axes."""
        out = np.zeros(self.shape, dtype=np.float32)
        out[self._box] = density.transpose(2, 1, 0)
        return out

    def cropped(self, dose: Any) -> Any:
        """Return a dose of the padded axes as ``[x, y, z]``."""
        return dose[self._box].permute(2, 1, 0)

    @property
    def _box(self) -> tuple[slice, slice, slice]:
        y, x = self.before
        return slice(None), slice(y, y + self.kept[1]), slice(x, x + self.kept[2])


def _padding(place: float, size: int, radius: float) -> tuple[int, int]:
    """Voxels to add before and after so that a circle around ``place`` stays inside."""
    return max(0, int(np.ceil(radius - place))), max(0, int(np.ceil(radius - (size - 1 - place))))


def beam_sequence(
    beams: Sequence[BeamTemplate],
    isocentre: tuple[float, float, float],
    machine: PhotonMachine,
    device: str,
) -> Any:
    """Return beams of one monitor unit each, their fluence given elsewhere."""
    import torch
    from pydosert.data import BeamSequence

    count = len(beams)
    angles = torch.tensor([np.deg2rad(b.gantry_deg) for b in beams], dtype=torch.float32)
    return BeamSequence(
        mus=torch.ones(count, device=device),
        leaf_positions=torch.zeros(count, _LEAF_PAIRS, 2, device=device),
        jaw_positions=torch.zeros(count, 2, device=device),
        field_size=(PIXELS, PIXELS),
        iso_center=isocentre,
        sid=machine.sad_mm,
        gantry_angles=angles.to(device),
        collimator_angles=torch.zeros(count, device=device),
    )


def library_engine(
    machine: PhotonMachine, spacing_mm: Triple, shape: tuple[int, int, int], device: str
) -> Any:
    """Return PyDoseRT's engine, with depths that diverge, for axes of a size."""
    import torch
    from pydosert.data import MachineConfig

    from qa_suite.dose.photons.pencils import DivergingEngine

    sx, sy, sz = spacing_mm
    return DivergingEngine(
        MachineConfig(tpr_20_10=machine.tpr_20_10, number_of_leaf_pairs=_LEAF_PAIRS),
        2 * round(_KERNEL_MM / max(sz, sx)) + 1,  # voxels of the longer side; more of the shorter
        (sz, sy, sx),
        shape,
        device=device,
        dtype=torch.float32,
    )


@lru_cache(maxsize=16)
def gy_per_unit(machine: PhotonMachine, spacing_mm: Triple, device: str) -> float:
    """Return the factor from PyDoseRT's units to Gy per monitor unit, on voxels of this size.

    A water box is irradiated by the reference field; its surface is the face of the first
    voxel, and the dose is read off at the calibration depth.
    """
    import torch
    from scipy.ndimage import map_coordinates

    said = machine.calibration
    sx, sy, sz = spacing_mm
    half = said.field_mm / 2 + _KERNEL_MM
    shape = (2 * int(half / sz) + 1, int((said.depth_mm + _KERNEL_MM) / sy), 2 * int(half / sx) + 1)
    depth = said.depth_mm - sy / 2  # from the first voxel's centre
    deep = said.depth_mm if said.ssd_mm is None else machine.sad_mm - said.ssd_mm
    isocentre = (shape[0] // 2 * sz, deep - sy / 2, shape[2] // 2 * sx)
    edge = int(said.field_mm / 2 / PIXEL_MM)
    middle = PIXELS // 2
    aperture = np.zeros((PIXELS, PIXELS))
    aperture[middle - edge : middle + edge, middle - edge : middle + edge] = 1.0
    fluence = torch.from_numpy(machine_fluence(aperture, machine)).to(device)
    beam = BeamTemplate(gantry_deg=0.0)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the box reaches the grid's edge on purpose
        dose = library_engine(machine, spacing_mm, shape, device).compute_dose(
            beam_sequence([beam], isocentre, machine, device),
            density_image=torch.ones(1, *shape, device=device),
            fluence_maps=fluence[None, None],
        )[0]
    place = np.array([[shape[0] // 2], [depth / sy], [shape[2] // 2]])
    at_depth = map_coordinates(dose.cpu().numpy(), place, order=1)[0]
    return said.gy_per_mu / float(at_depth)
