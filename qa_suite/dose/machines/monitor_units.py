"""Monitor units of an ion plan as protons: how many one of them is, only the machine knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from qa_suite.core.errors import InputError
from qa_suite.io.rt.plan.types import ImportedPlan, IonBeam

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
