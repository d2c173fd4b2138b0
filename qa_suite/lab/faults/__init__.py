"""Planted faults: one change at a set severity to the image of a known-good candidate."""

from qa_suite.lab.faults import anatomy as _anatomy
from qa_suite.lab.faults import cancelling as _cancelling
from qa_suite.lab.faults import fields as _fields
from qa_suite.lab.faults import fitted as _fitted
from qa_suite.lab.faults import mixups as _mixups
from qa_suite.lab.faults import numbers as _numbers
from qa_suite.lab.faults import organs as _organs
from qa_suite.lab.faults import outside as _outside
from qa_suite.lab.faults import placement as _placement
from qa_suite.lab.faults import planes as _planes
from qa_suite.lab.faults import texture as _texture
from qa_suite.lab.faults import values as _values
from qa_suite.lab.faults.base import FAULTS, ONE_PATIENT, FaultFacts, Planted, Scene, plant

FAULT_ROOMS = (
    _numbers,
    _anatomy,
    _placement,
    _mixups,
    _fields,
    _planes,
    _texture,
    _values,
    _organs,
    _fitted,
    _outside,
    _cancelling,
)
"""Importing them registers every fault."""

__all__ = ["FAULTS", "FAULT_ROOMS", "ONE_PATIENT", "FaultFacts", "Planted", "Scene", "plant"]
