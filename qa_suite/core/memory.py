"""How much memory this process has needed, whatever the system counts in."""

from __future__ import annotations

import os
import sys


def peak_mib() -> float:
    """Return the highest resident memory of this process so far, in MiB."""
    if os.name == "nt":  # pragma: no cover
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
