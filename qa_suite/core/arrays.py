"""The array types that annotations speak of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Box = tuple[slice, slice, slice]
"""Slices along i, j, k."""
