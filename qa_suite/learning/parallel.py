"""Several processes that train one translator, as ``torchrun`` starts them.

Gradients are averaged by hand after the backward pass, in one flat buffer a step, instead of
by ``DistributedDataParallel``: a GAN or a cycle passes through its networks several times a
step and freezes some of them in turn, which the wrapper's hooks do not bear. On one node the
exchange of some ten million gradients takes a few milliseconds.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import distributed, nn


@dataclass(frozen=True, kw_only=True)
class World:
    """One process among those that train together."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process validates, writes and reports."""
        return self.rank == 0


ALONE = World()


def rank_of_environment() -> int:
    """Return the rank that ``torchrun`` gave this process; 0 where it did not start it."""
    return int(os.environ.get("RANK", "0"))


def join(device: torch.device) -> tuple[World, torch.device]:
    """Join the other processes that ``torchrun`` started, if it did.

    Parameters
    ----------
    device
        Where this process would compute if it were alone; with CUDA each takes its own GPU.

    Returns
    -------
    World, torch.device
        This process among the others, and where it computes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE, device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        # left once, at the end: groups made anew in one run find the keys of those before them
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(distributed.destroy_process_group)
    return World(rank=distributed.get_rank(), size=size), device


def average_gradients(parameters: Iterable[nn.Parameter], world: World) -> None:
    """Replace every gradient by its mean over the processes."""
    if world.size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.reshape(-1).float() for g in gradients])
    distributed.all_reduce(flat)
    flat /= world.size
    start = 0
    for gradient in gradients:
        stop = start + gradient.numel()
        gradient.copy_(flat[start:stop].view_as(gradient))
        start = stop


def mean_over(value: float, world: World, device: torch.device) -> float:
    """Mean of a number over the processes."""
    if world.size == 1:
        return value
    tensor = torch.tensor(value, dtype=torch.float64, device=device)
    distributed.all_reduce(tensor)
    return float(tensor) / world.size


def from_leader(value: bool, world: World, device: torch.device) -> bool:
    """Return what the leading process decided."""
    if world.size == 1:
        return value
    tensor = torch.tensor(int(value), device=device)
    distributed.broadcast(tensor, src=0)
    return bool(tensor)


def weights_from_leader(
    weights: dict[str, torch.Tensor], world: World, device: torch.device
) -> dict[str, torch.Tensor]:
    """Return the leading process's weights; it alone validates and knows which were the best."""
    if world.size == 1:
        return weights
    sent = {}
    for name, value in weights.items():
        moved = value.to(device).contiguous()
        distributed.broadcast(moved, src=0)
        sent[name] = moved.cpu()
    return sent
