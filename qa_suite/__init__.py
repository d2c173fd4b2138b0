"""An examiner for medical image translators.

A cohort of real paired scans and a trained translator go in; a tidy table of
measurements, a verdict with its evidence, and a report that a medical physicist
can sign come out.

The public functions are the names in ``__all__``; everything else may change without notice.
They are imported when they are first used, so that ``import qa_suite`` costs nothing; their types
stand in ``__init__.pyi``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0.dev0"

__all__ = ["dvh", "evaluate", "gamma", "judge", "load_cohort", "measure"]

_HOMES = {
    "dvh": "doses",
    "evaluate": "examinations",
    "gamma": "doses",
    "judge": "examinations",
    "load_cohort": "examinations",
    "measure": "pairs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(
            f"module 'qa_suite' has no attribute {name!r}; it offers {', '.join(__all__)}."
        )
    return getattr(import_module(f"qa_suite.api.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
