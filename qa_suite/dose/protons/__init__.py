"""The proton surrogate: range by exact ray tracing, Bortfeld's Bragg curve, Gaussian scattering."""

from qa_suite.dose.protons.engine import NAME, ProtonRangeEngine, protons_range
from qa_suite.dose.protons.machine import ProtonMachine, load_machine, shipped_machines

__all__ = [
    "NAME",
    "ProtonMachine",
    "ProtonRangeEngine",
    "load_machine",
    "protons_range",
    "shipped_machines",
]
