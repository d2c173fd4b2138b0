"""The clinic's scanned proton plan, delivered by the surrogate: its energies, places, protons."""

from __future__ import annotations

from collections.abc import Iterator

from qa_suite.core.tolerances import same_length, same_source
from qa_suite.core.volume import Grid
from qa_suite.dose.clinic.beams import common_isocentre, imported_spots, machine_remark
from qa_suite.dose.hlut.tables import Hlut
from qa_suite.dose.machines.of_beams import in_protons
from qa_suite.dose.machines.proton import ProtonMachine
from qa_suite.dose.plan.plan import Mask, Plan
from qa_suite.dose.plan.template import PlanTemplate
from qa_suite.io.rt.plan.types import ImportedPlan, IonBeam


def proton_plan(
    imported: ImportedPlan,
    *,
    machine: ProtonMachine,
    engine: str,
    grid: Grid,
    target: Mask,
    target_name: str,
    template: PlanTemplate,
    hlut: Hlut,
) -> Plan:
    """Return the plan of the clinic for the surrogate; nothing in it is optimised.

    Raises
    ------
    InputError
        If it is a plan of photons, has several isocentres, or counts monitor units and the
        machine does not say how many protons one is.
    """
    if machine.protons_per_mu is not None:
        imported = in_protons(imported, machine.protons_per_mu, f"machine {machine.name}")
    beams = imported_spots(imported)
    return Plan(
        template=template,
        engine=engine,
        isocentre_mm=common_isocentre(imported),
        grid=grid,
        target=target_name,
        target_mask=target,
        beams=beams,
        hlut=(hlut.name, hlut.digest),
        facts={"machine": machine.name, "rtplan": imported.label},
        remarks=(*imported.remarks, *_remarks(imported, machine)),
    )


def _remarks(imported: ImportedPlan, machine: ProtonMachine) -> Iterator[str]:
    """Yield what of each beam is the machine's and not the plan's, one line a kind."""
    yield machine_remark(imported, [machine.name])
    beams = imported.ion_beams
    sad = "parallel spots" if machine.sad_mm is None else f"{machine.sad_mm:g} mm"
    kinds = {
        f"no distance from source to axis; the machine's ({sad}) is taken": [
            beam.name for beam in beams if beam.virtual_sad_mm is None
        ],
        "the source lies nearer for x than for y or the other way; the geometric mean of both "
        "distances is taken": [
            f"{beam.name} ({beam.virtual_sad_mm[0]:g} and {beam.virtual_sad_mm[1]:g} mm)"
            for beam in beams
            if beam.virtual_sad_mm is not None and not same_source(*beam.virtual_sad_mm)
        ],
        "no width of a spot; the machine's is taken": [
            beam.name for beam in beams if any(one.spot_fwhm_mm is None for one in beam.layers)
        ],
        "spots wider one way than the other; the geometric mean of both widths is taken": [
            beam.name
            for beam in beams
            if any(one.spot_fwhm_mm and not same_length(*one.spot_fwhm_mm) for one in beam.layers)
        ],
        "a snout, which is no part of the machine model": [
            f"{beam.name} ({' '.join(words)})" for beam in beams if (words := _snout(beam))
        ],
    }
    for what, names in kinds.items():
        if names:
            yield f"{what}: {', '.join(names)}"


def _snout(beam: IonBeam) -> list[str]:
    place = [] if beam.snout_mm is None else [f"at {beam.snout_mm:g} mm"]
    return [*([beam.snout] if beam.snout else []), *place]
