"""A dose engine of a few lines: one broad beam from the front that is attenuated, no scatter."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid, Triple, Volume
from qa_suite.dose.engines import ENGINES, EngineFacts
from qa_suite.dose.hlut.tables import Hlut
from qa_suite.dose.plan.plan import Mask, PhotonField, Plan, PlannedBeam
from qa_suite.dose.plan.template import PlanTemplate
from qa_suite.io.rt.plan.types import ImportedPlan

NAME, VERSION = "acme-exponential", "1"
MU_PER_CM = 0.05  # of a broad beam of some MV in water


class ExponentialEngine:
    """Dose of a parallel beam along +y that dies away with the density on its way."""

    sad_mm = None

    def plan(
        self,
        density: NDArray[np.float32],
        grid: Grid,
        *,
        target: Mask,
        avoid: Mapping[str, Mask],
        isocentre_mm: Triple,
        template: PlanTemplate,
        hlut: Hlut,
        target_name: str,
    ) -> Plan:
        """Scale the beam to the prescription's mean dose in the target."""
        if [beam.gantry_deg for beam in template.beams] != [0]:
            raise InputError(f"The engine {NAME} computes one beam from gantry 0°.")
        mean = float(_attenuated(density, grid)[target].mean())
        beam = PlannedBeam(
            geometry=template.beams[0],
            weight=template.prescribed.dose_gy / mean,
            delivery=PhotonField(fluence=np.ones((1, 1), dtype=np.float32), pixel_mm=1000.0),
        )
        return Plan(
            template=template,
            engine=f"{NAME} {VERSION}",
            isocentre_mm=isocentre_mm,
            grid=grid,
            target=target_name,
            target_mask=target,
            beams=(beam,),
            hlut=(hlut.name, hlut.digest),
        )

    def imported(self, plan: ImportedPlan, grid: Grid, **_: object) -> Plan:
        """Refuse a clinic's plan."""
        raise InputError(f"The engine {NAME} computes no plans of a clinic.")

    def recalculate(self, density: NDArray[np.float32], plan: Plan) -> Volume:
        """Compute the frozen plan: Gy of the whole course."""
        dose = plan.beams[0].weight * _attenuated(density, plan.grid)
        return Volume(array=dose.astype(np.float32), grid=plan.grid, quantity="Gy")


def _attenuated(density: NDArray[np.float32], grid: Grid) -> NDArray[np.float64]:
    step_cm = grid.spacing_mm[1] / 10
    depth_cm = (np.cumsum(density, axis=1, dtype=np.float64) - density / 2) * step_cm
    return np.exp(-MU_PER_CM * depth_cm) * (density > 0)


@ENGINES.add(
    NAME,
    EngineFacts(
        title="Exponential attenuation (example)",
        modality="photons",
        hlut=("relative_electron_density",),
        version=VERSION,
        method="exp(-0.05 per cm of water) along one parallel beam",
        believed_for="Nothing: an example of how an engine is brought along",
        reference="Beer's law",
    ),
)
def exponential_engine(machine: str) -> ExponentialEngine:
    """Return the engine; the machine does not matter to it."""
    return ExponentialEngine()
