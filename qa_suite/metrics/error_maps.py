"""Where in the body a synthetic image is wrong: whole-volume maps of the error."""

from __future__ import annotations

import numpy as np

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume
from qa_suite.metrics.base import Pair


def error_maps(pair: Pair) -> dict[str, Volume]:
    """Subtract the reference from the synthetic image, voxel by voxel.

    Parameters
    ----------
    pair
        Reference and synthetic image of one quantity.

    Returns
    -------
    dict of Volume
        ``signed`` (synthetic minus reference) and ``absolute``, float32, on the pair's grid
        and in its quantity. Outside the mask both are 0, as no viewer draws NaN well; the
        mask tells such a zero from a voxel without an error.

    Raises
    ------
    InputError
        If the images hold different quantities or labels, or a voxel of the mask is not
        finite in one of them.
    """
    quantity = pair.reference.quantity
    if quantity == "label" or pair.synthetic.quantity != quantity:
        raise InputError(
            f"No error map of a synthetic image of {pair.synthetic.quantity} against a reference "
            f"of {quantity}."
        )
    signed = np.zeros(pair.grid.shape, dtype=np.float32)
    reference, synthetic = (v.array[pair.mask] for v in (pair.reference, pair.synthetic))
    with np.errstate(invalid="ignore"):  # inf - inf: counted just below
        signed[pair.mask] = synthetic.astype(np.float64) - reference.astype(np.float64)
    wrong = int(np.count_nonzero(~np.isfinite(signed)))
    if wrong:
        raise InputError(
            f"No error map: {wrong} voxels of the mask are not finite in the synthetic image or "
            "the reference; mend the images or leave these voxels out of the mask."
        )
    history = ("error map: synthetic minus reference in the mask, 0 outside",)
    return {
        name: Volume(array=array, grid=pair.grid, quantity=quantity, history=history)
        for name, array in (("signed", signed), ("absolute", np.abs(signed)))
    }
