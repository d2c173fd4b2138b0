"""Which machine computes a beam of the clinic: that of its energy and mode, or what stands in.

And what a monitor unit of an ion plan is in protons, which only the machine knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.tolerances import ENERGY
from qa_suite.core.wording import count as count_of
from qa_suite.dose.machines.photon import (
    PhotonMachine,
    load_photon_machine,
    quality_words,
    shipped_photon_machines,
)
from qa_suite.io.rt.plan.types import ImportedPlan, IonBeam, PhotonBeam

if TYPE_CHECKING:
    from qa_suite.dose.machines.proton import ProtonMachine

TOLERANCE_MV = 0.5
"""Between a beam's nominal energy and a machine's: 6.3 MV is 6 MV, 4 and 8 MV are not."""
_SHOWN = 6  # of many beams; the others are counted


@dataclass(frozen=True, kw_only=True)
class BeamMachine:
    """What computes one beam of the clinic.

    Parameters
    ----------
    beam
        Its name in the plan, with its number where two beams have one name.
    machine
        What computes it.
    stands_in
        Whether the machine is of another energy or mode.
    why
        In words, for the record.
    """

    beam: str
    machine: PhotonMachine
    stands_in: bool
    why: str


def machines_of(
    plan: ImportedPlan, own: PhotonMachine, *, stand_in: bool
) -> tuple[BeamMachine, ...]:
    """Choose a machine for every beam of a photon plan, in its order.

    Parameters
    ----------
    plan
        Of photons.
    own
        Machine of the template; taken where it fits, and before others that fit alike.
    stand_in
        Whether ``own`` computes every beam, whatever its energy and mode.

    Raises
    ------
    InputError
        If it is a plan of protons.
    Problems
        With every energy for which there is no machine.
    """
    beams = plan.photon_beams
    names = _names(beams)
    if stand_in:
        return tuple(_standing_in(beam, own, names[beam.number]) for beam in beams)
    shipped = [load_photon_machine(name) for name in shipped_photon_machines()]
    found = [(beam, _fitting(beam, [own, *shipped])) for beam in beams]
    missing = [beam for beam, machine in found if machine is None]
    if missing:
        raise Problems(str(plan.path), _no_machines(missing, shipped))
    return tuple(_named(b, machine, names[b.number]) for b, machine in found if machine is not None)


def beam_quality(beam: PhotonBeam) -> str:
    """Energy and mode of a beam, as people say it."""
    mode = mode_of(beam)
    if beam.energy_mv is None:
        return "unknown energy" + ("" if mode == "STANDARD" else f" and mode {mode}")
    if mode in ("STANDARD", "FFF"):
        return quality_words(beam.energy_mv, "FFF" if mode == "FFF" else "STANDARD")
    return f"{beam.energy_mv:g} MV of mode {mode}"


def mode_of(beam: PhotonBeam) -> str:
    """Return ``STANDARD``, ``FFF``, or what else the plan calls the fluence mode."""
    said = beam.fluence_mode.upper()
    unfiltered = "FFF" in said or ("FLATTENING" in said and "FREE" in said)
    return "FFF" if unfiltered else said


def require_reach(plan: ImportedPlan, machine: ProtonMachine) -> None:
    """Refuse a proton plan with layers that a machine does not deliver.

    Raises
    ------
    Problems
        With every beam that has some.
    """
    problems = []
    for beam in plan.beams:
        if not isinstance(beam, IonBeam):
            continue
        low, high = machine.lowest_mev - ENERGY, machine.highest_mev + ENERGY
        beyond = [energy for energy in beam.energies_mev if not low <= energy <= high]
        if beyond:
            span = f"{min(beyond):g}"
            if len(set(beyond)) > 1:
                span += f" to {max(beyond):g}"
            problems.append(
                f"beam {beam.name} has {count_of(len(beyond), 'layer')} of {span} MeV beyond the "
                f"{machine.lowest_mev:g} to {machine.highest_mev:g} MeV of {machine.name}, give "
                f"a machine that reaches them with --machine"
            )
    if problems:
        raise Problems(str(plan.path), problems)


def _fits(beam: PhotonBeam, machine: PhotonMachine) -> bool:
    if beam.energy_mv is None:
        return False
    near = abs(beam.energy_mv - machine.nominal_mv) <= TOLERANCE_MV
    return near and machine.fluence_mode == mode_of(beam)


def _fitting(beam: PhotonBeam, machines: Sequence[PhotonMachine]) -> PhotonMachine | None:
    """Return the nearest machine that fits; the first one, the template's, if it does."""
    own, *others = machines
    if _fits(beam, own):
        return own
    fitting = [machine for machine in others if _fits(beam, machine)]
    said = beam.energy_mv or 0.0  # one that says none fits nowhere
    return min(fitting, key=lambda m: (abs(m.nominal_mv - said), m.name), default=None)


def _named(beam: PhotonBeam, machine: PhotonMachine, name: str) -> BeamMachine:
    why = f"{beam_quality(beam)} computed by {machine.name}"
    if machine.caveat:
        why += f"; {machine.caveat}"
    return BeamMachine(beam=name, machine=machine, stands_in=False, why=why)


def _standing_in(beam: PhotonBeam, machine: PhotonMachine, name: str) -> BeamMachine:
    if _fits(beam, machine):
        return _named(beam, machine, name)
    why = f"{machine.name} ({machine.quality}) stands in for {beam_quality(beam)}, as asked for"
    return BeamMachine(beam=name, machine=machine, stands_in=True, why=why)


def _names(beams: Sequence[PhotonBeam]) -> dict[int, str]:
    names = [beam.name for beam in beams]
    return {
        beam.number: beam.name if names.count(beam.name) == 1 else f"{beam.name} ({beam.number})"
        for beam in beams
    }


def _no_machines(beams: Sequence[PhotonBeam], shipped: Sequence[PhotonMachine]) -> list[str]:
    there = ", ".join(f"{machine.name} of {machine.quality}" for machine in shipped)
    problems = []
    for quality in dict.fromkeys(beam_quality(beam) for beam in beams):
        names = [beam.name for beam in beams if beam_quality(beam) == quality]
        problems.append(
            f"{'beam' if len(names) == 1 else 'beams'} {', '.join(_few(names))} of {quality}: "
            f"no machine within {TOLERANCE_MV:g} MV of the same mode (there are {there}); say with "
            f"--machine which one stands in, or give your own file"
        )
    return problems


def _few(names: Sequence[str]) -> list[str]:
    more = len(names) - _SHOWN
    return list(names) if more <= 0 else [*names[:_SHOWN], f"{more} more"]


PerMU = float | Sequence[tuple[float, float]]
"""Protons of one monitor unit: at every energy, or a table of energy in MeV against them."""


def in_protons(plan: ImportedPlan, per_mu: PerMU, whence: str) -> ImportedPlan:
    """Return an ion plan with its monitor units turned into numbers of protons.

    Beams that count protons already, and plans of photons, stay as they are.

    Parameters
    ----------
    per_mu
        Of the clinic's machine; a table is linear between its energies.
    whence
        Who says so, for the remark on the plan.

    Raises
    ------
    InputError
        If a layer's energy lies beyond the table.
    """
    beams = tuple(
        _converted(plan, beam, per_mu)
        if isinstance(beam, IonBeam) and beam.meterset_unit == "MU"
        else beam
        for beam in plan.beams
    )
    if all(new is old for new, old in zip(beams, plan.beams, strict=True)):
        return plan
    said = f"{per_mu:g} protons" if isinstance(per_mu, (int, float)) else "protons by energy"
    remark = f"a monitor unit is taken for {said} ({whence})"
    return replace(plan, beams=cast(Any, beams), remarks=(*plan.remarks, remark))


def _converted(plan: ImportedPlan, beam: IonBeam, per_mu: PerMU) -> IonBeam:
    layers = []
    for layer in beam.layers:
        protons = _at(per_mu, layer.energy_mev)
        if protons is None:
            raise InputError(
                f"{plan.path}: beam {beam.name} has spots of {layer.energy_mev:g} MeV, beyond the "
                f"machine's table of protons per monitor unit."
            )
        layers.append(replace(layer, spot_weights=layer.spot_weights * protons))
    total = sum(float(layer.spot_weights.sum()) for layer in layers)
    return replace(beam, layers=tuple(layers), meterset=total, meterset_unit="NP")


def _at(per_mu: PerMU, energy_mev: float) -> float | None:
    if isinstance(per_mu, (int, float)):
        return float(per_mu)
    energies, protons = np.asarray(per_mu, dtype=float).T
    if not energies[0] <= energy_mev <= energies[-1]:
        return None
    return float(np.interp(energy_mev, energies, protons))
