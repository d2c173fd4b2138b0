"""The surrogates and the references behind one call: densities in, doses out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Volume
from qa_suite.dose.plan.plan import Plan
from qa_suite.lab.reference_dose import job_of, reference_doses

MACHINE = "varian_10MV"
TPR_6MV = 0.67
SPECTRUM_10MV = "varian-10mv"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a run of the commissioning is told.

    Parameters
    ----------
    cache
        Folder of reference answers.
    histories
        Factor on the number of Monte Carlo histories.
    seconds
        Filled with what the reference engines took, by job.
    """

    cache: Path
    histories: float = 1.0
    seconds: dict[str, float] = field(default_factory=dict)

    def pyradplan(
        self, plan: Plan, densities: Mapping[str, Float32Array], label: str, **settings: Any
    ) -> Any:
        """Doses of pyRadPlan, and the ranges of the spots it used."""
        answer = reference_doses(job_of(plan, densities, **settings), cache=self.cache)
        self.seconds[f"pyRadPlan, {label}"] = float(answer.facts["seconds"])
        return answer

    def montecarlo(
        self, plan: Plan, densities: Mapping[str, Float32Array], label: str, histories: float
    ) -> Any:
        """Doses of pyRadMC with the 10 MV spectrum."""
        job = job_of(
            plan,
            densities,
            engine="pyradmc",
            machine=SPECTRUM_10MV,
            histories=int(histories * self.histories),
        )
        answer = reference_doses(job, cache=self.cache, timeout_s=3600.0)
        self.seconds[f"pyRadMC, {label}"] = float(answer.facts["seconds"])
        return answer


def photon_surrogate(
    plan: Plan, densities: Mapping[str, Float32Array], *, mv: int = 10
) -> dict[str, Volume]:
    """Doses of the photon surrogate, as it ships (10 MV) or with the beam quality of 6 MV."""
    from qa_suite.dose.photons.engine import photon_engine

    engine = photon_engine(MACHINE)
    if mv == 6:  # only the kernel's beam quality; the head stays that of 10 MV
        engine.machine = engine.machine.model_copy(update={"tpr_20_10": TPR_6MV})
    return {name: engine.recalculate(density, plan) for name, density in densities.items()}


def proton_surrogate(
    plan: Plan, densities: Mapping[str, Float32Array], machine: str
) -> dict[str, Volume]:
    """Doses of the proton surrogate."""
    from qa_suite.dose.engines import ENGINES

    engine = ENGINES["protons-range"].function(machine)
    return {name: engine.recalculate(density, plan) for name, density in densities.items()}


def threads() -> None:
    """Keep the libraries to one thread each: the machine has two cores and others use them."""
    import torch

    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    torch.set_num_threads(1)
