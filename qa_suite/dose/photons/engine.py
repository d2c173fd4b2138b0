"""PyDoseRT behind the protocol of a dose engine."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import InputError
from qa_suite.core.tolerances import same_angle
from qa_suite.core.volume import Grid, Triple, Volume
from qa_suite.dose.engines import ENGINES, EngineFacts, require_quantity
from qa_suite.dose.hlut.tables import Hlut
from qa_suite.dose.machines.photon import PhotonMachine, load_photon_machine
from qa_suite.dose.photons.adapter import LibraryFrame, beam_sequence, gy_per_unit, library_engine
from qa_suite.dose.photons.fluence import PIXEL_MM, PIXELS, machine_fluence, target_aperture
from qa_suite.dose.plan.plan import Mask, PhotonField, Plan, PlannedBeam, field_of, with_weights
from qa_suite.dose.plan.template import BeamTemplate, PlanTemplate
from qa_suite.dose.plan.weights import coverage_factor, optimise_weights, planning_voxels
from qa_suite.io.rt.plan.types import ImportedPlan

NAME = "photons-pydosert"
VERSION = "2"  # of this adapter: what it changes in the library changes doses


@ENGINES.add(
    NAME,
    EngineFacts(
        title="Photon pencil beams (PyDoseRT)",
        modality="photons",
        hlut=("relative_electron_density", "mass_density_g_cm3"),
        version=VERSION,
        devices=("cpu", "cuda"),
        method=(
            "Fluence of the isocentre plane, projected from the source and convolved with a pencil "
            "kernel at the radiological depth of each pencil's own ray; Gy per MU by the machine's "
            "calibration in water"
        ),
        believed_for=(
            "Differences between two images in soft tissue and bone; not in lung, behind large "
            "air cavities or at the skin, where lateral electron transport decides"
        ),
        reference="PyDoseRT 1.5.0 (MIT), PencilDepthEngine; machines from their data files",
    ),
)
def photon_engine(machine: str, *, device: str = "cpu") -> PhotonEngine:
    """Return the engine for a machine: ``varian_10MV``, or the path of one's own."""
    return PhotonEngine(machine, device=device)


class PhotonEngine:
    """Photon dose of fluence maps; see :class:`qa_suite.dose.engines.DoseEngine`.

    Parameters
    ----------
    machine
        A machine, its name, or the path of one's own.
    device
        ``cpu``, ``cuda`` or ``cuda:1``, where torch computes; doses come back as arrays.
    """

    def __init__(self, machine: PhotonMachine | str | Path, *, device: str = "cpu") -> None:
        self.machine = (
            machine if isinstance(machine, PhotonMachine) else load_photon_machine(machine)
        )
        self.device = device

    @property
    def sad_mm(self) -> float:
        """From the machine's source to the isocentre: fluence and depths diverge from there."""
        return self.machine.sad_mm

    def plan(
        self,
        density: Float32Array,
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
            template=template,
            engine=f"{NAME} {VERSION}",
            isocentre_mm=isocentre_mm,
            grid=grid,
            target=target_name,
            target_mask=target,
            hlut=(hlut.name, hlut.digest),
            beams=tuple(
                PlannedBeam(geometry=beam, weight=1.0, delivery=field)
                for beam, field in zip(template.beams, fields, strict=True)
            ),
            facts={
                "machine": self.machine.name,
                "calibration": f"1 MU is {self.machine.calibration.words}",
            },
        )
        if template.technique == "imrt":
            from qa_suite.dose.photons.imrt import with_modulated_fields

            return with_modulated_fields(self, density, plan, avoid)
        voxels, organs = planning_voxels(target, avoid, density > 0)
        doses = self.beam_doses(density, plan)
        weights = optimise_weights(
            doses.reshape(len(doses), -1)[:, voxels.flat].T,
            target=voxels.target,
            organs=organs,
            goals=template.goals,
            prescription=template.prescribed,
        )
        # weights are found on a sample of the target, its coverage is that of all of it
        covered = np.tensordot(weights, doses[:, target], axes=1)
        return with_weights(plan, weights * coverage_factor(covered, template.prescribed))

    def imported(
        self,
        plan: ImportedPlan,
        grid: Grid,
        *,
        target: Mask,
        target_name: str,
        template: PlanTemplate,
        hlut: Hlut,
        stand_in: bool = False,
    ) -> Plan:
        """Return a plan of the clinic, to be delivered as it stands; see :mod:`.imported`."""
        from qa_suite.dose.photons.imported import photon_plan

        require_quantity(NAME, hlut)
        return photon_plan(
            plan,
            machine=self.machine,
            stand_in=stand_in,
            engine=f"{NAME} {VERSION}",
            grid=grid,
            target=target,
            target_name=target_name,
            template=template,
            hlut=hlut,
        )

    def recalculate(self, density: Float32Array, plan: Plan) -> Volume:
        """Compute the plan on a density of its grid, in Gy of the whole course."""
        weights = np.array([beam.weight for beam in plan.beams])
        doses = self.beam_doses(density, plan)
        total = np.tensordot(weights, doses, axes=1).astype(np.float32)
        return Volume(array=total, grid=plan.grid, quantity="Gy", history=(plan.engine,))

    def beam_doses(self, density: Float32Array, plan: Plan) -> Float32Array:
        """Return the dose of each beam in Gy per monitor unit, shape (beams, *grid.shape)."""
        import torch

        doses = []
        for beam in plan.beams:
            field = field_of(beam)
            with torch.no_grad():
                doses.append(
                    self.dose_of(
                        density,
                        plan.grid,
                        plan.isocentre_mm,
                        [beam.geometry],
                        torch.from_numpy(field.fluence)[None],
                        machine=field.machine,
                    )
                )
        return np.stack([np.where(density > 0, dose.cpu().numpy(), 0) for dose in doses])

    def dose_of(
        self,
        density: Float32Array,
        grid: Grid,
        isocentre_mm: Triple,
        beams: Sequence[BeamTemplate],
        fluence: Any,
        *,
        machine: PhotonMachine | None = None,
    ) -> Any:
        """Compute the dose of fluence maps of one monitor unit each, all together.

        Parameters
        ----------
        fluence
            Torch tensor, shape (beams, 400, 400); may want a gradient.
        machine
            What delivers it; None is the engine's own.

        Returns
        -------
        torch tensor of the grid's shape, in Gy
        """
        return self.irradiation(density, grid, isocentre_mm, beams, machine=machine)(fluence)

    def irradiation(
        self,
        density: Float32Array,
        grid: Grid,
        isocentre_mm: Triple,
        beams: Sequence[BeamTemplate],
        *,
        machine: PhotonMachine | None = None,
    ) -> Callable[[Any], Any]:
        """Return the function from fluence to dose of some beams on one density.

        What does not depend on the fluence is done once: who changes the fluence again and
        again keeps the function. See :meth:`dose_of` for what it takes and returns.

        Raises
        ------
        GeometryError
            If the grid is not axial or its slices have no square pixels.
        InputError
            If the isocentre lies outside the grid.
        """
        import torch

        frame = LibraryFrame.around(density, grid, isocentre_mm)
        machine = machine or self.machine
        factor = gy_per_unit(machine, grid.spacing_mm, self.device)
        engine = library_engine(machine, grid.spacing_mm, frame.shape, self.device)
        given = torch.from_numpy(frame.padded(density)).to(self.device)[None]
        sequence = beam_sequence(beams, frame.isocentre, machine, self.device)

        def dose_through(fluence: Any) -> Any:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="In CPU autocast")
                dose = engine.compute_dose(
                    sequence, density_image=given, fluence_maps=fluence.to(self.device)[None]
                )
            return frame.cropped(dose[0]) * factor

        return dose_through

    def _field(
        self, target: Mask, grid: Grid, isocentre_mm: Triple, beam: BeamTemplate, margin_mm: float
    ) -> PhotonField:
        if not same_angle(beam.couch_deg):
            raise InputError(
                f"The engine {NAME} has no couch rotation; beam {beam.label} asks for "
                f"{beam.couch_deg:g}°."
            )
        aperture = target_aperture(
            target, grid, isocentre_mm, beam, margin_mm=margin_mm, sad_mm=self.sad_mm
        )
        edge = np.concatenate([aperture[[0, -1]].ravel(), aperture[:, [0, -1]].ravel()])
        if edge.any() or not aperture.any():
            raise InputError(
                f"The target does not fit into a field of {PIXELS * PIXEL_MM / 10:g} cm from "
                f"beam {beam.label}; check isocentre and target."
            )
        return PhotonField(fluence=machine_fluence(aperture, self.machine), pixel_mm=PIXEL_MM)
