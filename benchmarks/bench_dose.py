"""A whole case of dose: planning, two doses, DVHs, gamma; photons and protons."""

from __future__ import annotations

import resource
import time
from typing import Any

from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.plan.template import load_template
from qa_suite.lab.phantom import make_patient, oracle_translate
from qa_suite.metrics.base import Pair
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.settings import MeasureSettings

CASES = (  # plan, HLUT, dose grid in mm
    ("photon-pelvis", "thomas-1999", 4.0),
    ("proton-pelvis", "electron-density-as-rsp", 4.0),
    ("photon-pelvis", "thomas-1999", 2.0),
    ("proton-pelvis", "electron-density-as-rsp", 2.0),
)


def rows() -> list[dict[str, Any]]:
    import torch

    torch.set_num_threads(2)
    patient = make_patient("A", 1, seed=1, spacing_mm=(2.0, 2.0, 2.0))
    pair = Pair(
        reference=patient.ct,
        synthetic=oracle_translate(patient.ct_noise_free, seed=3),
        mask=patient.structures["Body"],
        source=patient.mr,
        structures=patient.structures,
    )
    found = []
    for number, (plan, hlut, grid_mm) in enumerate(CASES):
        choice = PlanChoice(template=load_template(plan), hlut=load_hlut(hlut))
        dose = DoseSettings(
            plans=(choice,), grid_mm=grid_mm, causes=False, bulk=False, scenarios=False
        )
        settings = MeasureSettings(dose=dose)
        if number < 2:
            _measured(pair, settings)  # compiles, and calibrates the machine
        started = time.perf_counter()
        measured = _measured(pair, settings)
        seconds = time.perf_counter() - started
        shape = measured.volumes[f"dose_reference@{plan}"].grid.describe()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        found.append(
            {
                "task": f"{plan}: plan, two doses, DVH, gamma 3/3, 2/2 and 1/1",
                "sizes": f"dose {shape}, images 2 mm",
                "peer": "–",
                "ours_s": seconds,
                "peer_s": None,
                "ratio": None,
                "agreement": f"peak {peak:.1f} GiB so far",
            }
        )
    return found


def _measured(pair: Pair, settings: MeasureSettings) -> Any:
    measured = measure_pair(
        pair, families=["dose"], settings=settings, case="a", patient="a", site="a"
    )
    wrong = [row.why for row in measured.rows if row.status == "error"]
    assert not wrong, wrong[0]
    return measured


if __name__ == "__main__":
    for row in rows():
        print(row)
