"""PyDoseRT behind the protocol of a dose engine.

PyDoseRT works on axes (head, depth, width) with the gantry turning in the last two; a density
``[x, y, z]`` of an axial LPS grid becomes that by a transpose. It turns each slice about the
isocentre, so the slices are padded until nothing of the patient leaves them, and cropped again.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.dose.engines import ENGINES, EngineFacts, require_quantity
from qa_suite.dose.hlut import Hlut
from qa_suite.dose.photons.fluence import (
    PIXEL_MM,
    PIXELS,
    SAD_MM,
    machine_fluence,
    target_aperture,
)
from qa_suite.dose.plan import Mask, PhotonField, Plan, PlannedBeam
from qa_suite.dose.sampling import planning_voxels
from qa_suite.dose.template import BeamTemplate, PlanTemplate
from qa_suite.dose.weights import optimise_weights
from qa_suite.errors import GeometryError, InputError, UnknownName
from qa_suite.registry import unknown_name
from qa_suite.volume import Grid, Triple, Volume

Array = NDArray[np.float32]
NAME = "photons-pydosert"
VERSION = "1.5.0"
CALIBRATION_DEPTH_MM = 100.0
CALIBRATION_FIELD_MM = 100.0
CALIBRATION_GY_PER_MU = 0.01
_KERNEL_MM = 75.0  # half width; PyDoseRT's kernel holds nothing of note beyond


@ENGINES.add(
    NAME,
    EngineFacts(
        title="Photon pencil beams (PyDoseRT)",
        modality="photons",
        hlut=("relative_electron_density", "mass_density_g_cm3"),
        version=VERSION,
        method=(
            "Fluence of the isocentre plane convolved with a pencil kernel at each pencil's own "
            "radiological depth; 0.01 Gy per MU at 10 cm depth in water, 10×10 cm², SAD 1000 mm"
        ),
        believed_for=(
            "Differences between two images in soft tissue and bone; not in lung, behind large "
            "air cavities or at the skin, where lateral electron transport decides"
        ),
        reference="PyDoseRT 1.5.0 (MIT), PencilDepthEngine; machine data of its 10 MV presets",
    ),
)
def photon_engine(machine: str) -> PhotonEngine:
    """Return the engine for one of PyDoseRT's machines, such as ``varian_10MV``."""
    return PhotonEngine(machine)


class PhotonEngine:
    """Photon dose of fluence maps; see :class:`qa_suite.dose.engines.DoseEngine`.

    Parameters
    ----------
    machine
        Name of one of PyDoseRT's machine presets.
    device
        ``cpu`` or ``cuda``.
    """

    def __init__(self, machine: str, *, device: str = "cpu") -> None:
        self.machine = machine
        self.device = device
        self._config = _machine(machine)

    def plan(
        self,
        density: Array,
        grid: Grid,
        *,
        target: Mask,
        avoid: Mapping[str, Mask],
        isocentre_mm: Triple,
        template: PlanTemplate,
        hlut: Hlut,
        target_name: str,
    ) -> Plan:
        """Shape a field to the target from each side and optimise the fields' weights.

        Raises
        ------
        InputError
            If the table gives another quantity, a beam needs a turned couch, or the target
            does not fit into a field.
        """
        require_quantity(NAME, hlut)
        fields = [
            self._field(target, grid, isocentre_mm, beam, template.aperture_margin_mm)
            for beam in template.beams
        ]
        plan = Plan(
            template=template, engine=f"{NAME} {VERSION}", isocentre_mm=isocentre_mm, grid=grid,
            target=target_name, target_mask=target, hlut=(hlut.name, hlut.digest),
            beams=tuple(
                PlannedBeam(geometry=beam, weight=1.0, delivery=field)
                for beam, field in zip(template.beams, fields, strict=True)
            ),
            facts={"machine": self.machine, "gy_per_mu_at_reference": CALIBRATION_GY_PER_MU},
        )  # fmt: skip
        if template.technique == "imrt":
            from qa_suite.dose.photons.imrt import with_modulated_fields

            return with_modulated_fields(self, density, plan, avoid)
        voxels, organs = planning_voxels(target, avoid, density > 0)
        doses = self.beam_doses(density, plan)
        weights = optimise_weights(
            doses.reshape(len(doses), -1)[:, voxels.flat].T,
            target=voxels.target, organs=organs, goals=template.goals,
            prescription=template.prescription,
        )  # fmt: skip
        return with_weights(plan, weights)

    def recalculate(self, density: Array, plan: Plan) -> Volume:
        """Compute the plan on a density of its grid, in Gy of the whole course."""
        weights = np.array([beam.weight for beam in plan.beams])
        doses = self.beam_doses(density, plan)
        total = np.tensordot(weights, doses, axes=1).astype(np.float32)
        return Volume(array=total, grid=plan.grid, quantity="Gy", history=(plan.engine,))

    def beam_doses(self, density: Array, plan: Plan) -> Array:
        """Return the dose of each beam in Gy per monitor unit, shape (beams, *grid.shape)."""
        import torch

        fluence = torch.from_numpy(np.stack([field_of(beam).fluence for beam in plan.beams]))
        with torch.no_grad():
            doses = [
                self.dose_of(density, plan.grid, plan.isocentre_mm, [beam.geometry], fluence[[i]])
                for i, beam in enumerate(plan.beams)
            ]
        return np.stack([np.where(density > 0, dose.cpu().numpy(), 0) for dose in doses])

    def dose_of(
        self,
        density: Array,
        grid: Grid,
        isocentre_mm: Triple,
        beams: Sequence[BeamTemplate],
        fluence: Any,
    ) -> Any:
        """Compute the dose of fluence maps of one monitor unit each, all together.

        Parameters
        ----------
        fluence
            Torch tensor, shape (beams, 400, 400); may want a gradient.

        Returns
        -------
        torch tensor of the grid's shape, in Gy
        """
        import torch

        factor = _gy_per_unit(self.machine, grid.spacing_mm, self.device)
        frame = _Frame.around(density, grid, isocentre_mm)
        engine = _engine(self._config, grid.spacing_mm, frame.shape, self.device)
        given = torch.from_numpy(frame.padded(density)).to(self.device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="In CPU autocast")
            dose = engine.compute_dose(
                _sequence(beams, frame.isocentre, self._config, self.device),
                density_image=given[None],
                fluence_maps=fluence.to(self.device)[None],
            )
        return frame.cropped(dose[0]) * factor

    def _field(
        self, target: Mask, grid: Grid, isocentre_mm: Triple, beam: BeamTemplate, margin_mm: float
    ) -> PhotonField:
        if beam.couch_deg:
            raise InputError(
                f"The engine {NAME} has no couch rotation; beam {beam.label} asks for "
                f"{beam.couch_deg:g}°."
            )
        aperture = target_aperture(target, grid, isocentre_mm, beam, margin_mm=margin_mm)
        edge = np.concatenate([aperture[[0, -1]].ravel(), aperture[:, [0, -1]].ravel()])
        if edge.any() or not aperture.any():
            raise InputError(
                f"The target does not fit into a field of {PIXELS * PIXEL_MM / 10:g} cm from "
                f"beam {beam.label}; check isocentre and target."
            )
        return PhotonField(fluence=machine_fluence(aperture, self._config), pixel_mm=PIXEL_MM)


def field_of(beam: PlannedBeam) -> PhotonField:
    """Return a beam's photon field; a proton beam in a photon plan is a bug."""
    if not isinstance(beam.delivery, PhotonField):
        raise TypeError(f"beam {beam.geometry.label} is no photon field")
    return beam.delivery


def with_weights(plan: Plan, weights: Sequence[float] | NDArray[np.float64]) -> Plan:
    """Return the plan with other monitor units."""
    from dataclasses import replace

    beams = tuple(
        replace(beam, weight=float(weight))
        for beam, weight in zip(plan.beams, weights, strict=True)
    )
    return replace(plan, beams=beams)


# ---------------------------------------------------------------------------------------
# PyDoseRT's own frame


class _Frame:
    """The padded axes (head, depth, width) around an isocentre."""

    def __init__(
        self, shape: tuple[int, int, int], before: tuple[int, int], kept: tuple[int, int, int],
        isocentre: tuple[float, float, float],
    ) -> None:  # fmt: skip
        self.shape, self.before, self.kept, self.isocentre = shape, before, kept, isocentre

    @classmethod
    def around(cls, density: Array, grid: Grid, isocentre_mm: Triple) -> _Frame:
        if not np.allclose(grid.axes, np.eye(3), atol=1e-6):
            raise GeometryError("A photon dose grid must be axial: its axes those of LPS.")
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

    def padded(self, density: Array) -> Array:
        out = np.zeros(self.shape, dtype=np.float32)
        out[self._box] = density.transpose(2, 1, 0)
        return out

    def cropped(self, dose: Any) -> Any:
        return dose[self._box].permute(2, 1, 0)

    @property
    def _box(self) -> tuple[slice, slice, slice]:
        y, x = self.before
        return slice(None), slice(y, y + self.kept[1]), slice(x, x + self.kept[2])


def _padding(place: float, size: int, radius: float) -> tuple[int, int]:
    """Voxels to add before and after so that a circle around ``place`` stays inside."""
    return max(0, int(np.ceil(radius - place))), max(0, int(np.ceil(radius - (size - 1 - place))))


def _machine(name: str) -> Any:
    from pydosert.data import MachineConfig
    from pydosert.data.machine_config import list_machine_presets

    known = [preset for preset in list_machine_presets() if preset.endswith("MV")]
    if name not in known:
        raise UnknownName(unknown_name("photon machine", name, known))
    return MachineConfig(preset=name)


def _sequence(
    beams: Sequence[BeamTemplate], isocentre: tuple[float, float, float], machine: Any, device: str
) -> Any:
    import torch
    from pydosert.data import BeamSequence

    count = len(beams)
    angles = torch.tensor([np.deg2rad(b.gantry_deg) for b in beams], dtype=torch.float32)
    return BeamSequence(
        mus=torch.ones(count, device=device),
        leaf_positions=torch.zeros(count, machine.number_of_leaf_pairs, 2, device=device),
        jaw_positions=torch.zeros(count, 2, device=device),
        field_size=(PIXELS, PIXELS),
        iso_center=isocentre,
        sid=SAD_MM,
        gantry_angles=angles.to(device),
        collimator_angles=torch.zeros(count, device=device),
    )


def _engine(machine: Any, spacing_mm: Triple, shape: tuple[int, int, int], device: str) -> Any:
    import torch
    from pydosert import PencilDepthEngine

    sx, sy, sz = spacing_mm
    return PencilDepthEngine(
        machine,
        2 * round(_KERNEL_MM / min(spacing_mm)) + 1,
        (sz, sy, sx),
        shape,
        device=device,
        dtype=torch.float32,
    )


@lru_cache(maxsize=16)
def _gy_per_unit(machine: str, spacing_mm: Triple, device: str) -> float:
    """Return the factor from PyDoseRT's units to Gy per monitor unit, on voxels of this size.

    A water box is irradiated by the reference field; its surface is the face of the first
    voxel, and the dose is read off at the isocentre, which lies at the calibration depth.
    """
    import torch
    from scipy.ndimage import map_coordinates

    config = _machine(machine)
    sx, sy, sz = spacing_mm
    half = CALIBRATION_FIELD_MM / 2 + _KERNEL_MM
    shape = (2 * int(half / sz) + 1, int((CALIBRATION_DEPTH_MM + _KERNEL_MM) / sy),
             2 * int(half / sx) + 1)  # fmt: skip
    depth = CALIBRATION_DEPTH_MM - sy / 2  # from the first voxel's centre
    isocentre = (shape[0] // 2 * sz, depth, shape[2] // 2 * sx)
    edge = int(CALIBRATION_FIELD_MM / 2 / PIXEL_MM)
    middle = PIXELS // 2
    aperture = np.zeros((PIXELS, PIXELS))
    aperture[middle - edge : middle + edge, middle - edge : middle + edge] = 1.0
    fluence = torch.from_numpy(machine_fluence(aperture, config)).to(device)
    beam = BeamTemplate(gantry_deg=0.0)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the box reaches the grid's edge on purpose
        dose = _engine(config, spacing_mm, shape, device).compute_dose(
            _sequence([beam], isocentre, config, device),
            density_image=torch.ones(1, *shape, device=device),
            fluence_maps=fluence[None, None],
        )[0]
    place = np.array([[shape[0] // 2], [depth / sy], [shape[2] // 2]])
    at_depth = map_coordinates(dose.cpu().numpy(), place, order=1)[0]
    return CALIBRATION_GY_PER_MU / float(at_depth)
