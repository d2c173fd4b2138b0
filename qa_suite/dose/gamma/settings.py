"""What a gamma comparison can be told: criteria, normalisation, cut-off, and which search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qa_suite.core.errors import InputError

GammaMode = Literal["trilinear", "simplex", "pymedphys", "matrad"]
DoseBase = Literal["max", "prescription"]

DEFAULT_CUTOFF_PCT: dict[str, float] = {"trilinear": 10.0, "simplex": 10.0, "pymedphys": 20.0}
"""Cut-off of each mode where none is asked for; in matRad it is the dose criterion itself."""

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GammaCriterion(BaseModel):
    """One acceptance criterion, such as 2 % / 2 mm.

    Parameters
    ----------
    dose_pct
        Dose difference in percent of the normalisation dose, or of the reference dose of the
        voxel where ``local``.
    distance_mm
        Distance to agreement.
    local
        Whether the percentage is that of the voxel's own reference dose.
    """

    model_config = _STRICT

    dose_pct: float = Field(gt=0, le=100)
    distance_mm: float = Field(gt=0, le=100)
    local: bool = False

    @property
    def key(self) -> str:
        """Short name: ``2pct2mm``, ``1.5pct2mm_local``."""
        return f"{self.dose_pct:g}pct{self.distance_mm:g}mm{'_local' if self.local else ''}"

    @property
    def title(self) -> str:
        """As people write it: ``2 %/2 mm, local``."""
        kind = "local" if self.local else "global"
        return f"{self.dose_pct:g} %/{self.distance_mm:g} mm, {kind}"


class GammaSettings(BaseModel):
    """How gamma is computed; see ``docs/dose/gamma.md``.

    Parameters
    ----------
    mode
        ``trilinear``: the exact minimum over the trilinear interpolant of the evaluated dose.
        ``simplex``: the exact minimum over the piecewise linear surface of Ju et al. 2008.
        ``pymedphys`` and ``matrad``: the searches of those projects, with their step limits.
    normalisation
        What a global percentage is a percentage of: the maximum of the reference dose, the
        prescription, or a dose in Gy.
    cutoff_pct
        Voxels whose reference dose is below it are not judged; None is the mode's own default
        (10; pymedphys 20; matRad: the dose criterion).
    cutoff_of
        What the cut-off is a percentage of. In the mode ``pymedphys`` it is always that of the
        normalisation dose.
    max_gamma
        Values above it are not searched for and stand as this value; None searches on.
    tolerance
        A voxel passes where gamma <= 1 + tolerance. It is there for rounding: a dose that is off
        by exactly the criterion has gamma 1 and passes. The modes ``pymedphys`` (<= 1) and
        ``matrad`` (< 1) have none.
    any_scale
        Take doses whose maxima are about a hundred times apart, which looks like Gy and cGy.
    interp_fraction
        Mode ``pymedphys``: steps per distance criterion.
    matrad_n
        Mode ``matrad``: number of halvings of the evaluated grid, 2^n - 1 points in between.
    matrad_interpolation
        Mode ``matrad``: ``cubic`` (as under MATLAB) or ``linear`` (as under Octave).
    """

    model_config = _STRICT

    mode: GammaMode = "trilinear"
    normalisation: DoseBase | float = "max"
    cutoff_pct: float | None = Field(default=None, ge=0, lt=100)
    cutoff_of: DoseBase = "max"
    max_gamma: float | None = Field(default=None, gt=1)
    tolerance: float = Field(default=1e-4, ge=0, le=0.01)
    any_scale: bool = False
    interp_fraction: int = Field(default=10, ge=1, le=200)
    matrad_n: int = Field(default=0, ge=0, le=3)
    matrad_interpolation: Literal["cubic", "linear"] = "cubic"

    @model_validator(mode="after")
    def _sound(self) -> GammaSettings:
        if not isinstance(self.normalisation, str) and self.normalisation <= 0:
            raise ValueError("a normalisation dose must be above 0 Gy")
        if self.mode == "matrad" and (self.normalisation != "max" or self.cutoff_of != "max"):
            raise ValueError("matRad takes percentages of the maximum only")
        return self

    def cutoff_pct_for(self, criterion: GammaCriterion) -> float:
        """Cut-off in percent that holds for a criterion: what was asked for, or the default."""
        if self.cutoff_pct is not None:
            return self.cutoff_pct
        return DEFAULT_CUTOFF_PCT.get(self.mode, criterion.dose_pct)

    @property
    def needs_prescription(self) -> bool:
        """Whether a percentage is one of the prescription."""
        return "prescription" in (self.normalisation, self.cutoff_of)


def parse_criteria(text: str, *, local: bool = False) -> tuple[GammaCriterion, ...]:
    """Read ``"3/3,2/2"``, or ``"3%/3mm,2%/2mm"``, as criteria in % and mm.

    Raises
    ------
    InputError
        If a part is not of the form percent/mm, is not positive, or occurs twice.
    """
    found = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        dose, _, distance = part.partition("/")
        try:
            criterion = GammaCriterion(
                dose_pct=float(dose.strip().removesuffix("%")),
                distance_mm=float(distance.strip().removesuffix("mm")),
                local=local,
            )
        except ValueError:
            raise InputError(
                f"The criterion {part!r} is not of the form percent/mm with numbers above 0 and "
                f"up to 100, such as '2/2'."
            ) from None
        found.append(criterion)
    require_criteria(found)
    return tuple(found)


def require_criteria(criteria: Sequence[GammaCriterion]) -> None:
    """Refuse no criteria at all, and the same one twice.

    Raises
    ------
    InputError
        In one sentence.
    """
    if not criteria:
        raise InputError("Gamma needs a criterion, such as '2/2' for 2 % and 2 mm.")
    keys = [criterion.key for criterion in criteria]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise InputError(f"The criterion {twice[0]} is given twice; name each one once.")
