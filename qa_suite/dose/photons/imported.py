"""The clinic's photon plan, delivered by the surrogate: its angles, apertures and monitor units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qa_suite.core.errors import raise_problems
from qa_suite.core.tolerances import same_angle, same_source, turn_deg
from qa_suite.core.volume import Grid
from qa_suite.core.wording import count
from qa_suite.dose.clinic.beams import (
    ImportedField,
    common_isocentre,
    imported_fields,
    machine_remark,
)
from qa_suite.dose.hlut.tables import Hlut
from qa_suite.dose.machines.of_beams import BeamMachine, machines_of
from qa_suite.dose.machines.photon import PhotonMachine
from qa_suite.dose.photons.fluence import PIXEL_MM, PIXELS, machine_fluence, turned
from qa_suite.dose.plan.plan import Mask, PhotonField, Plan, PlannedBeam
from qa_suite.dose.plan.template import PlanTemplate
from qa_suite.io.rt.plan.types import ImportedPlan


def photon_plan(
    imported: ImportedPlan,
    *,
    machine: PhotonMachine,
    stand_in: bool,
    engine: str,
    grid: Grid,
    target: Mask,
    target_name: str,
    template: PlanTemplate,
    hlut: Hlut,
) -> Plan:
    """Return the plan of the clinic for the surrogate; nothing in it is optimised.

    Parameters
    ----------
    machine
        The engine's own; see :func:`qa_suite.dose.machines.of_beams.machines_of`.
    stand_in
        Whether it computes every beam, whatever its energy.

    Raises
    ------
    InputError
        If it is a plan of protons, or has several isocentres.
    Problems
        If there is no machine for the energy of some beams; or with every beam that turns the
        couch, or whose source stands elsewhere than that of its machine.
    """
    computed_by = machines_of(imported, machine, stand_in=stand_in)
    step = template.arc_step_deg
    fields = imported_fields(imported, (PIXELS, PIXELS), PIXEL_MM, step_deg=step)
    raise_problems(
        f"The plan {imported.path}, for the photon surrogate,",
        list(dict.fromkeys(_obstacles(imported, fields, computed_by))),
    )
    beams = []
    for number, field in enumerate(fields, 1):
        aperture = turned(field.aperture, field.geometry.collimator_deg)
        geometry = field.geometry.model_copy(
            update={"name": f"{number:03d} {field.geometry.label}", "collimator_deg": 0.0}
        )
        by = computed_by[field.beam].machine
        delivery = PhotonField(fluence=machine_fluence(aperture, by), pixel_mm=PIXEL_MM, machine=by)
        beams.append(
            PlannedBeam(
                geometry=geometry, weight=field.monitor_units, delivery=delivery, sad_mm=by.sad_mm
            )
        )
    return Plan(
        template=template,
        engine=engine,
        isocentre_mm=common_isocentre(imported),
        grid=grid,
        target=target_name,
        target_mask=target,
        beams=tuple(beams),
        hlut=(hlut.name, hlut.digest),
        facts={"rtplan": imported.label},
        machines=computed_by,
        remarks=(*imported.remarks, *_remarks(imported, fields, computed_by, step)),
    )


def _obstacles(
    imported: ImportedPlan, fields: Sequence[ImportedField], by: Sequence[BeamMachine]
) -> Iterator[str]:
    """Say what of the beams the surrogate cannot do, beam by beam."""
    for field in fields:
        beam, machine = imported.photon_beams[field.beam], by[field.beam].machine
        if not same_angle(field.geometry.couch_deg):
            turn = abs(turn_deg(0.0, field.geometry.couch_deg))
            yield f"beam {beam.name} turns the couch by {turn:g}°"
        if beam.sad_mm is not None and not same_source(beam.sad_mm, machine.sad_mm):
            yield (
                f"beam {beam.name} has its source {beam.sad_mm:g} mm from the axis, and the "
                f"machine {machine.name} at {machine.sad_mm:g} mm; give a machine file with this "
                f"sad_mm as --machine"
            )


def _remarks(
    imported: ImportedPlan,
    fields: Sequence[ImportedField],
    by: Sequence[BeamMachine],
    step_deg: float,
) -> Iterator[str]:
    """Yield what stands in for the plan's machine, and how its arcs are computed."""
    yield machine_remark(imported, [one.machine.name for one in by])
    beams = imported.photon_beams
    unsaid = [
        f"{beam.name} ({one.machine.sad_mm:g} mm)"
        for beam, one in zip(beams, by, strict=True)
        if beam.sad_mm is None
    ]
    if unsaid:
        yield f"no distance from source to axis; the machine's is taken: {', '.join(unsaid)}"
    arcs = [
        f"{beam.name} ({count(len(beam.control_points) - 1, 'step')}, {count(many, 'field')})"
        for index, beam in enumerate(beams)
        if (many := sum(field.beam == index for field in fields)) > 1
    ]
    if arcs:
        yield f"arcs are computed as fields of at most {step_deg:g}°: {', '.join(arcs)}"
