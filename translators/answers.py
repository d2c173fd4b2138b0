"""What a caller may ask of a translator, and what a family answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import raise_problems


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a caller chooses at prediction time; None leaves it to the specification.

    Parameters
    ----------
    steps
        Of the sampler.
    sampler
        ``ddpm`` or ``ddim``, where the family has both.
    members
        Samples or passes to draw; 1 gives a single answer without a standard deviation.
    seed
        Of all random numbers of the prediction.
    """

    steps: int | None = None
    sampler: str | None = None
    members: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [
            f"{name} must be at least 1, got {value}"
            for name, value in (("steps", self.steps), ("members", self.members))
            if value is not None and value < 1
        ]
        if self.sampler not in (None, "ddpm", "ddim"):
            problems.append(f"sampler must be ddpm or ddim, got {self.sampler!r}")
        if self.seed < 0:
            problems.append(f"seed must not be negative, got {self.seed}")
        raise_problems("What is asked of the translator", problems)


AS_SPECIFIED = Asked()


@dataclass(frozen=True, kw_only=True)
class Inferred:
    """A family's answer in working voxels and in the unit of the target."""

    mean: Float32Array
    std: Float32Array | None = None
    samples: tuple[Float32Array, ...] = ()
    cost: dict[str, float] = field(default_factory=dict)
