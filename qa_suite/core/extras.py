"""Which extra of the installation brings a package, and what to say where it is missing."""

from __future__ import annotations

from importlib import util

from qa_suite.core.errors import InputError

EXTRAS = {
    "SimpleITK": "images",
    "dask": "dask",
    "dask_jobqueue": "dask",
    "distributed": "dask",
    "mlflow": "track",
    "monai": "train",
    "onnxruntime": "onnx",
    "optuna": "train",
    "pydosert": "dose",
    "safetensors": "train",
    "streamlit": "dashboard",
    "torch": "train",
    "totalsegmentator": "totalsegmentator",
    "typst": "pdf",
}
"""Package, as it is imported, to the extra that brings it; the others always come along."""


def how_to_install(package: str) -> str:
    """Say that a package is missing, and what brings it.

    Parameters
    ----------
    package
        One of :data:`EXTRAS`.
    """
    return (
        f"{package} is not installed, which this needs; "
        f"'pip install \"qa-suite[{EXTRAS[package]}]\"' brings it"
    )


def require(package: str) -> None:
    """Refuse to go on without a package that an extra brings.

    Raises
    ------
    InputError
        If it is not installed; the sentence names the extra.
    """
    if util.find_spec(package) is None:
        raise InputError(f"{how_to_install(package)}.")


def missing_extra(error: ImportError) -> str | None:
    """Say which extra is missing, if that is why an import failed.

    Returns
    -------
    str or None
        A sentence without its full stop; None where the import failed for another reason.
    """
    package = (error.name or "").partition(".")[0]
    missing = isinstance(error, ModuleNotFoundError) and package in EXTRAS
    return how_to_install(package) if missing else None
