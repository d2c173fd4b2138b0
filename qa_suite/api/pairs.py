"""Public function on one pair of images: ``measure``, on files or volumes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from qa_suite.core.errors import InputError
from qa_suite.core.records import Measurement
from qa_suite.core.volume import Quantity, Volume, canonical, require_same_grid
from qa_suite.imaging.threshold import body
from qa_suite.io.images import read_image
from qa_suite.judging.criteria.built_in import TOO_GOOD
from qa_suite.judging.outcomes import meets
from qa_suite.metrics.base import Pair
from qa_suite.metrics.copies import refuse_copies
from qa_suite.metrics.run import measure_pair, noise_rows
from qa_suite.metrics.settings import MeasureSettings

AnyImage = str | Path | Volume
"""NIfTI, MHA or NRRD, or a volume."""


def measure(
    reference: AnyImage,
    synthetic: AnyImage,
    mask: AnyImage | None = None,
    *,
    source: AnyImage | None = None,
    families: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Measure one pair: a translated image against the real one, on one grid.

    Parameters
    ----------
    reference, synthetic
        The real and the translated image. Files are CT in HU; volumes may hold another
        quantity, both the same.
    mask
        Where to measure (above 0); None is the body that a CT reference shows (HU threshold).
    source
        The image that was translated, for the measures that need it.
    families
        Which measures, such as ``["image"]``; None is all (``qa-suite list metrics``).

    Returns
    -------
    DataFrame
        One row a measurement, with the columns of a record's ``measurements.parquet``: metric,
        region, variant, value, unit, status, why ... A value that is undefined is empty, and
        ``status`` and ``why`` say so.

    Warns
    -----
    UserWarning
        If the pair is too good to be true: the synthetic image was made from the reference.

    Raises
    ------
    InputError
        If an image cannot be used, the mask is empty, or one image is a copy of another.
    GeometryError
        If they do not lie on one grid.
    UnknownName
        If there is no such family.

    Examples
    --------
    >>> from qa_suite import measure
    >>> table = measure("ct.nii.gz", "synthetic.nii.gz", "body.nii.gz")
    >>> table[table.metric == "mae"]
    """
    name = "synthetic" if isinstance(synthetic, Volume) else Path(synthetic).name
    pair = read_pair(reference, synthetic, mask, source)
    rows, doubts = measured(pair, case=name, families=families)
    for doubt in doubts:
        warnings.warn(doubt, stacklevel=2)
    return pd.DataFrame([r.model_dump() for r in rows], columns=list(Measurement.model_fields))


def read_pair(
    reference: AnyImage,
    synthetic: AnyImage,
    mask: AnyImage | None = None,
    source: AnyImage | None = None,
) -> Pair:
    """Read a pair, and refuse what cannot be measured; see :func:`measure`."""
    hu = "HU" if not isinstance(reference, Volume) else reference.quantity
    given: dict[str, tuple[AnyImage | None, Quantity]] = {
        "reference": (reference, hu),
        "synthetic": (synthetic, hu),
        "mask": (mask, "label"),
        "source": (source, "arbitrary"),
    }
    names = {
        role: f"the {role}" if isinstance(image, Volume) else str(image)
        for role, (image, _) in given.items()
    }
    read = {
        role: canonical(image if isinstance(image, Volume) else read_image(Path(image), quantity))
        for role, (image, quantity) in given.items()
        if image is not None
    }
    require_same_grid({names[role]: volume for role, volume in read.items()})
    real = read["reference"]
    if read["synthetic"].quantity != real.quantity:
        raise InputError(
            f"{names['synthetic']} holds {read['synthetic'].quantity} and {names['reference']} "
            f"{real.quantity}; both must hold the same."
        )
    unknown = int((~np.isfinite(real.array)).sum())
    if unknown:
        raise InputError(
            f"{names['reference']} holds {unknown} voxels that are no number; mend it first."
        )
    if mask is not None:
        where = np.asarray(read["mask"].array > 0)
        if not where.any():
            raise InputError(f"{names['mask']} is a mask of zeros; nothing can be measured in it.")
    elif real.quantity != "HU":
        raise InputError(f"A body is found in HU alone, not in {real.quantity}; give a mask.")
    else:
        where = body(real)
        if not where.any():
            raise InputError(f"{names['reference']} shows no body to measure in; give a mask.")
    pair = Pair(reference=real, synthetic=read["synthetic"], mask=where, source=read.get("source"))
    refuse_copies(pair)
    return pair


def measured(
    pair: Pair, *, case: str, families: Sequence[str] | None
) -> tuple[list[Measurement], list[str]]:
    """Measure a pair; return its rows, and why it is too good to be true, where it is."""
    who = {"case": case, "patient": "unknown", "site": "unknown"}
    settings = MeasureSettings()
    rows = measure_pair(pair, families=families, settings=settings, **who).rows
    asked = families is None or "image" in families
    return rows, list(_too_good(rows if asked else noise_rows(pair, settings, who)))


def _too_good(rows: Sequence[Measurement]) -> Iterator[str]:
    for criterion in TOO_GOOD:
        for row in rows:
            if (row.metric, row.region) != (criterion.metric, criterion.region):
                continue
            if row.value is not None and not meets(criterion, row.value, criterion.bound):
                yield (
                    f"TOO GOOD TO BE TRUE: {row.metric} is {row.value:.2g}; the synthetic image "
                    f"was made from the reference. Check which files were given."
                )
