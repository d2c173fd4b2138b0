"""The photon surrogate: PyDoseRT's pencil beams, calibrated to Gy per monitor unit."""

from qa_suite.dose.photons.engine import PhotonEngine

__all__ = ["PhotonEngine"]
