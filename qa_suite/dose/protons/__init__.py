"""The proton surrogate: range by exact ray tracing, Bortfeld's Bragg curve, Gaussian scattering."""

from qa_suite.dose.protons.engine import NAME, ProtonRangeEngine, protons_range

__all__ = ["NAME", "ProtonRangeEngine", "protons_range"]
