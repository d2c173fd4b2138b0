"""The course of a training: its learning rate, and the average that is kept of the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import nn


class Training(Protocol):
    """What the loop must know of a training: the optimiser, precision, the rules of stopping."""

    @property
    def seed(self) -> int:
        """Of all random numbers."""
        ...

    @property
    def learning_rate(self) -> float:
        """The highest one."""
        ...

    @property
    def betas(self) -> tuple[float, float]:
        """Of Adam."""
        ...

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""
        ...

    @property
    def clip_norm(self) -> float:
        """Largest norm of a step's gradient; inf leaves it as it is."""
        ...

    @property
    def ema_decay(self) -> float:
        """Of the averaged weights."""
        ...

    @property
    def accumulate(self) -> int:
        """Batches a step of the optimiser."""
        ...

    @property
    def amp(self) -> Literal["off", "bf16", "fp16"]:
        """Half precision, on the GPU."""
        ...

    @property
    def amp_on_cpu(self) -> bool:
        """Whether the CPU autocasts too, in bf16."""
        ...

    @property
    def compile(self) -> bool:
        """Whether networks are compiled, on the GPU."""
        ...

    @property
    def channels_last(self) -> bool:
        """Whether memory is laid out so where that serves."""
        ...

    @property
    def validate_every(self) -> int:
        """Iterations between validations."""
        ...

    @property
    def patience(self) -> int:
        """Validations without a new best before it stops."""
        ...

    @property
    def checkpoint_minutes(self) -> float:
        """Between checkpoints; 0: after every iteration."""
        ...

    @property
    def advice(self) -> str:
        """What to do where a loss is not finite any more, in the names of its own settings."""

    def rate(self, iteration: int, iterations: int) -> float:
        """Return the learning rate at an iteration from 1 to ``iterations``."""


@dataclass(frozen=True, kw_only=True)
class Plain:
    """A :class:`Training` in full precision or bf16 on the GPU, with one batch a step."""

    seed: int
    learning_rate: float
    weight_decay: float
    ema_decay: float
    warmup: int
    validate_every: int = 1
    patience: int = 1
    clip_norm: float = math.inf
    amp: Literal["off", "bf16", "fp16"] = "off"
    channels_last: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    accumulate: int = 1
    amp_on_cpu: bool = False
    compile: bool = False
    checkpoint_minutes: float = math.inf

    @property
    def advice(self) -> str:
        """What to do where a loss is not finite any more."""
        return f"lower learning_rate ({self.learning_rate:g})"

    def rate(self, iteration: int, iterations: int) -> float:
        """Return the learning rate at an iteration; it ends at a hundredth."""
        return warmed_cosine(
            iteration,
            iterations,
            highest=self.learning_rate,
            warmup=self.warmup,
            full_at=self.warmup,
            final=0.01,
        )


def warmed_cosine(
    iteration: int, iterations: int, *, highest: float, warmup: int, full_at: int, final: float
) -> float:
    """Return the learning rate: a linear warm-up, then a cosine down to ``final * highest``.

    Parameters
    ----------
    iteration
        From 1 to ``iterations``.
    warmup
        Iterations of the warm-up; the cosine begins after them.
    full_at
        Iteration at which the line of the warm-up is ``highest``: ``warmup``, or the one after it.
    """
    if iteration <= warmup:
        return highest * iteration / full_at
    place = (iteration - warmup) / max(iterations - warmup, 1)
    return highest * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * place)))


def average_into(average: nn.Module, network: nn.Module, decay: float, iteration: int) -> None:
    """Move averaged weights and buffers (batch statistics) a step towards the trained ones.

    The average is exponential; at first it remembers less, ``iteration / (iteration + 9)``, so
    that the first weights are soon forgotten. ``network`` may hold more than ``average`` does.
    """
    import torch

    decay = min(decay, iteration / (iteration + 9))
    with torch.no_grad():
        theirs = network.state_dict()
        for name, value in average.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(theirs[name], 1 - decay)
            else:
                value.copy_(theirs[name])
