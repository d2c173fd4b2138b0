"""The proton surrogate behind the engines' common face: plan once, recalculate on any image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Triple, Volume
from qa_suite.dose.engines import ENGINES, EngineFacts, require_quantity
from qa_suite.dose.hlut.tables import Hlut
from qa_suite.dose.machines.of_beams import require_reach
from qa_suite.dose.machines.proton import ProtonMachine, load_machine
from qa_suite.dose.plan.plan import Mask, Plan, PlannedBeam, ProtonSpots
from qa_suite.dose.plan.template import PlanTemplate
from qa_suite.dose.plan.weights import coverage_factor, optimise_weights
from qa_suite.dose.protons.dose import beam_dose
from qa_suite.dose.protons.influence import influence_matrix, plan_voxels
from qa_suite.dose.protons.spots import SpotLayout, place_spots
from qa_suite.dose.range.raytrace import beam_frame
from qa_suite.io.rt.plan.types import ImportedPlan

NAME = "protons-range"
VERSION = "1"


@dataclass(frozen=True, kw_only=True)
class ProtonRangeEngine:
    """Spot scanning by range: exact water-equivalent depths, Bortfeld's curve, Fermi and Eyges.

    Parameters
    ----------
    machine
        What delivers the spots.
    """

    machine: ProtonMachine

    @property
    def sad_mm(self) -> float | None:
        """From the virtual source of the machine to the isocentre."""
        return self.machine.sad_mm

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
        """Place spots, optimise their weights, and scale them to the prescribed coverage.

        Parameters
        ----------
        density
            Relative stopping power on ``grid``, 0 outside the body.
        grid
            Of the doses.
        target, avoid
            Masks on ``grid``; ``avoid`` are the organs with goals.
        isocentre_mm
            LPS position.
        template
            Beams, prescription, goals.
        hlut
            The table that made the densities.
        target_name
            Name of the target.

        Raises
        ------
        InputError
            If the template is not one of proton spots, the HLUT gives another quantity, a mask
            or density does not fit, or the target cannot be reached.
        """
        require_quantity(NAME, hlut)
        if template.technique != "spots":
            raise InputError(
                f"The engine {NAME} delivers spots; the template {template.name} asks for "
                f"{template.technique}."
            )
        _check(density, grid)
        for name, mask in {target_name: target, **avoid}.items():
            if mask.shape != grid.shape:
                raise GeometryError(f"{name} has shape {mask.shape} and the grid {grid.shape}.")
        frames = [
            beam_frame(beam, isocentre_mm, sad_mm=self.machine.sad_mm) for beam in template.beams
        ]
        layouts = [
            place_spots(
                density,
                grid,
                frame,
                target,
                self.machine,
                spacing_mm=template.beamlet_mm,
                label=beam.label,
            )
            for beam, frame in zip(template.beams, frames, strict=True)
        ]
        chosen = plan_voxels(density, grid, target, avoid)
        weights = self._optimise(density, grid, frames, layouts, chosen, template)
        least = self.machine.least_protons * template.prescribed.fractions
        weights = np.where(weights >= least, weights, 0.0)
        if not weights.any():
            raise InputError(
                f"No spot reaches {self.machine.least_protons:g}·10⁶ protons a fraction; the "
                "prescribed dose is too low for this machine."
            )
        beams = _beams(template, layouts, weights)
        plan = Plan(
            template=template,
            engine=f"{NAME} {VERSION}",
            isocentre_mm=isocentre_mm,
            grid=grid,
            target=target_name,
            target_mask=target,
            beams=beams,
            hlut=(hlut.name, hlut.digest),
        )
        dose = self._dose(density, plan)[target & (density > 0)]
        factor = coverage_factor(dose, template.prescribed)
        beams = tuple(_scaled(beam, factor) for beam in beams)
        return replace(plan, beams=beams, facts=_facts(self.machine, beams))

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
        """Return a scanned plan of the clinic as it stands: energies, places, protons.

        Raises
        ------
        InputError
            If it is a plan of photons, has several isocentres, or counts monitor units and the
            machine does not say how many protons one is.
        Problems
            If layers lie beyond the machine's energies: no machine stands in for a range.
        """
        from qa_suite.dose.protons.imported import proton_plan

        require_quantity(NAME, hlut)
        require_reach(plan, self.machine)
        return proton_plan(
            plan,
            machine=self.machine,
            engine=f"{NAME} {VERSION}",
            grid=grid,
            target=target,
            target_name=target_name,
            template=template,
            hlut=hlut,
        )

    def recalculate(self, density: NDArray[np.float32], plan: Plan) -> Volume:
        """Compute the same spots on a density of the plan's grid.

        Returns
        -------
        Volume
            Physical dose to water of the whole course in Gy (no RBE); 0 outside the body.
        """
        _check(density, plan.grid)
        dose = self._dose(density, plan).astype(np.float32)
        return Volume(array=dose, grid=plan.grid, quantity="Gy", history=(plan.engine,))

    def _dose(self, density: NDArray[np.float32], plan: Plan) -> FloatArray:
        out = np.zeros(plan.grid.shape)
        for beam in plan.beams:
            out += beam_dose(
                density,
                plan.grid,
                beam,
                isocentre_mm=plan.isocentre_mm,
                machine=self.machine,
                beamlet_mm=plan.template.beamlet_mm,
            )
        return out

    def _optimise(self, density, grid, frames, layouts, chosen, template) -> FloatArray:  # type: ignore[no-untyped-def]
        """Give each beam its equal part of the dose, uniform by itself.

        Single-field uniform dose: an error of one beam's range is then diluted by the others,
        and no beam makes up for another's holes (Lomax AJ 2008, Phys Med Biol 53:1027).
        """
        from scipy.sparse import diags

        found = []
        for frame, layout in zip(frames, layouts, strict=True):
            part = influence_matrix(density, grid, frame, layout, self.machine, chosen.voxels)
            weights = optimise_weights(
                part @ diags(layout.first_guess),
                target=chosen.target,
                organs=chosen.organs,
                goals=template.goals,
                prescription=template.prescribed,
                share=1 / len(frames),
            )
            found.append(layout.first_guess * weights)
        return np.concatenate(found)


@ENGINES.add(
    NAME,
    EngineFacts(
        title="Protons by range",
        modality="protons",
        hlut=("relative_stopping_power",),
        version=VERSION,
        method=(
            "Exact water-equivalent depth of fine sub-pencils, Bortfeld's Bragg curve at PSTAR "
            "ranges, Gaussian scattering by Fermi and Eyges; no nuclear halo, no RBE."
        ),
        believed_for=(
            "Differences of range and dose in soft tissue and bone; not in lung, not behind "
            "metal, not at the edge of air cavities."
        ),
        reference="Bortfeld T (1997) Med Phys 24:2024; Gottschalk B (2010) Med Phys 37:352",
    ),
)
def protons_range(machine: str) -> ProtonRangeEngine:
    """Return the engine with a shipped machine or one of your own (YAML)."""
    return ProtonRangeEngine(machine=load_machine(machine))


def _check(density: NDArray[np.float32], grid: Grid) -> None:
    if density.shape != grid.shape:
        raise GeometryError(f"The density has shape {density.shape} and the grid {grid.shape}.")
    if not np.isfinite(density).all() or density.min() < 0:
        raise InputError("The density holds voxels that are negative or no number.")
    if not density.any():
        raise InputError("The density is 0 everywhere: there is no body on the dose grid.")


def _beams(
    template: PlanTemplate, layouts: list[SpotLayout], weights: FloatArray
) -> tuple[PlannedBeam, ...]:
    beams, start = [], 0
    for geometry, layout in zip(template.beams, layouts, strict=True):
        mine = weights[start : start + layout.count]
        start += layout.count
        kept = mine > 0
        energy, x, y = (values[kept] for values in layout.listed())
        spots = ProtonSpots(energy_mev=energy, x_mm=x, y_mm=y, weight=mine[kept])
        beams.append(PlannedBeam(geometry=geometry, weight=1.0, delivery=spots))
    return tuple(beams)


def _scaled(beam: PlannedBeam, factor: float) -> PlannedBeam:
    assert isinstance(beam.delivery, ProtonSpots)
    spots = replace(beam.delivery, weight=beam.delivery.weight * factor)
    return replace(beam, delivery=spots)


def _facts(machine: ProtonMachine, beams: tuple[PlannedBeam, ...]) -> dict[str, str | float | int]:
    spots = [beam.delivery for beam in beams if isinstance(beam.delivery, ProtonSpots)]
    energies = np.concatenate([s.energy_mev for s in spots])
    return {
        "machine": machine.name,
        "machine_digest": machine.digest,
        "spots": int(energies.size),
        "layers": sum(int(np.unique(s.energy_mev).size) for s in spots),
        "lowest_mev": float(energies.min()),
        "highest_mev": float(energies.max()),
        "protons_10e6": float(sum(s.weight.sum() for s in spots)),
        "range_margin_pct": machine.range_margin_pct,
        "range_margin_mm": machine.range_margin_mm,
    }
