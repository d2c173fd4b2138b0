"""Planted faults: one change at a set severity to the image of a known-good translator."""

from qa_suite.phantom.faults import anatomy as _anatomy
from qa_suite.phantom.faults import mixups as _mixups
from qa_suite.phantom.faults import numbers as _numbers
from qa_suite.phantom.faults import placement as _placement
from qa_suite.phantom.faults.base import FAULTS, FaultFacts, Planted, Scene, plant

FAULT_ROOMS = (_numbers, _anatomy, _placement, _mixups)
"""Importing them registers every fault."""

__all__ = ["FAULTS", "FAULT_ROOMS", "FaultFacts", "Planted", "Scene", "plant"]
