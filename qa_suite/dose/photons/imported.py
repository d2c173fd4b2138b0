"""The clinic's photon plan, delivered by the surrogate: its angles, apertures and monitor units."""

from __future__ import annotations

from qa_suite.dose.beam_machines import machines_of
from qa_suite.dose.hlut import Hlut
from qa_suite.dose.imported_beams import common_isocentre, imported_fields
from qa_suite.dose.photon_machine import PhotonMachine
from qa_suite.dose.photons.fluence import PIXEL_MM, PIXELS, machine_fluence, turned
from qa_suite.dose.plan import Mask, PhotonField, Plan, PlannedBeam
from qa_suite.dose.template import PlanTemplate
from qa_suite.errors import InputError
from qa_suite.io.rtplan_types import ImportedPlan
from qa_suite.tolerances import same_angle
from qa_suite.volume import Grid


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
        The engine's own; see :func:`qa_suite.dose.beam_machines.machines_of`.
    stand_in
        Whether it computes every beam, whatever its energy.

    Raises
    ------
    InputError
        If it is a plan of protons, has several isocentres or a turned couch.
    Problems
        If there is no machine for the energy of some beams.
    """
    computed_by = machines_of(imported, machine, stand_in=stand_in)
    beams = []
    for number, field in enumerate(imported_fields(imported, (PIXELS, PIXELS), PIXEL_MM), 1):
        if not same_angle(field.geometry.couch_deg):
            raise InputError(
                f"{imported.path}: beam {field.geometry.label} turns the couch by "
                f"{field.geometry.couch_deg:g}°, which the photon surrogate cannot."
            )
        aperture = turned(field.aperture, field.geometry.collimator_deg)
        geometry = field.geometry.model_copy(
            update={"name": f"{number:03d} {field.geometry.label}", "collimator_deg": 0.0}
        )
        by = computed_by[field.beam].machine
        delivery = PhotonField(fluence=machine_fluence(aperture, by), pixel_mm=PIXEL_MM, machine=by)
        beams.append(PlannedBeam(geometry=geometry, weight=field.monitor_units, delivery=delivery))
    return Plan(
        template=template, engine=engine, isocentre_mm=common_isocentre(imported), grid=grid,
        target=target_name, target_mask=target, beams=tuple(beams),
        hlut=(hlut.name, hlut.digest),
        facts={"rtplan": imported.label},
        machines=computed_by,
    )  # fmt: skip
