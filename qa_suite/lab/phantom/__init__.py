"""Virtual hospitals: patients whose anatomy, physics and truth are known."""

from qa_suite.lab.phantom.anatomy import phantom_grid
from qa_suite.lab.phantom.candidates import CANDIDATES
from qa_suite.lab.phantom.directions import DIRECTIONS
from qa_suite.lab.phantom.further import scan_cbct, scan_pet
from qa_suite.lab.phantom.hospitals import HOSPITALS, Hospital
from qa_suite.lab.phantom.make import make_phantom_cohort
from qa_suite.lab.phantom.oracle import oracle_translate, oracle_twin
from qa_suite.lab.phantom.parts import LABELS, STRUCTURES
from qa_suite.lab.phantom.scan import VirtualPatient, make_patient, scan_again
from qa_suite.lab.phantom.setup import Setup

__all__ = [
    "CANDIDATES",
    "DIRECTIONS",
    "HOSPITALS",
    "LABELS",
    "STRUCTURES",
    "Hospital",
    "Setup",
    "VirtualPatient",
    "make_patient",
    "make_phantom_cohort",
    "oracle_translate",
    "oracle_twin",
    "phantom_grid",
    "scan_again",
    "scan_cbct",
    "scan_pet",
]
