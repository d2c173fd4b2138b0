"""The training loop that families with a network share: plain, resumable, bounded.

One step is: draw, augment, forward under autocast, loss, backward, clip, AdamW, EMA. The
learning rate and every random number depend on the iteration alone, so a training that was
killed and carries on from its checkpoint gives the same bits on the CPU.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from qa_suite.errors import InputError, QAError
from translators.augment import Batch
from translators.base import FitSummary, Progress
from translators.networks import prefers_channels_last, to_channels_last
from translators.spec import TrainingSpec

CHECKPOINT_FILE = "checkpoint.pt"

_BAD_GRADIENTS = 20  # in a row; the fp16 scaler needs a dozen to find its scale at the start

Draw = Callable[[np.random.Generator], Batch]
Loss = Callable[[nn.Module, Batch], torch.Tensor]
Validate = Callable[[nn.Module], float]


@dataclass(kw_only=True)
class State:
    """Everything that a checkpoint holds."""

    iteration: int = 0
    best: float | None = None
    best_iteration: int = 0
    bad_validations: int = 0
    bad_gradients: int = 0
    seconds: float = 0.0
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    best_weights: dict[str, torch.Tensor] | None = None

    def log(self, figures: dict[str, float]) -> None:
        """Add a point at the present iteration to each curve."""
        for name, value in figures.items():
            self.curves.setdefault(name, []).append((self.iteration, value))


def learning_rate(training: TrainingSpec, iteration: int, iterations: int) -> float:
    """Linear warm-up, then a cosine down to ``final_rate`` of the learning rate.

    Parameters
    ----------
    iteration
        From 1 to ``iterations``.
    """
    warmup = min(training.warmup, iterations // 5)
    if iteration <= warmup:
        return training.learning_rate * iteration / (warmup + 1)
    place = (iteration - warmup) / max(iterations - warmup, 1)
    low = training.final_rate
    return training.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * place)))


@contextlib.contextmanager
def autocast(training: TrainingSpec, device: torch.device) -> Iterator[None]:
    """Mixed precision where the specification wants it: on the GPU, or forced on the CPU."""
    wanted = training.amp != "off" and (device.type != "cpu" or training.amp_on_cpu)
    dtype = torch.float16 if training.amp == "fp16" else torch.bfloat16
    with torch.autocast(device.type, dtype=dtype, enabled=wanted):
        yield


def optimise(
    network: nn.Module,
    training: TrainingSpec,
    *,
    draw: Draw,
    loss_of: Loss,
    validate: Validate | None,
    identity: str,
    workdir: Path,
    resume: bool,
    iterations: int,
    device: torch.device,
    progress: Progress | None,
) -> tuple[dict[str, torch.Tensor], FitSummary]:
    """Train a network and return its best averaged weights.

    Parameters
    ----------
    network
        On any device; it is moved.
    draw
        Makes the (augmented) batch of one iteration from its random generator.
    loss_of
        From network and batch to a scalar.
    validate
        From the averaged network to an error; the least one is kept. None keeps the last.
    identity
        What the checkpoint must agree with: hash of specification, budget and data.

    Raises
    ------
    InputError
        If the checkpoint in ``workdir`` belongs to another specification, budget or data.
    QAError
        If the loss is not finite any more.
    """
    network = network.to(device)
    if prefers_channels_last(training, network, device):
        network = to_channels_last(network)
    average = copy.deepcopy(network).requires_grad_(False).eval()
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )
    scaler = torch.amp.GradScaler(
        device.type, enabled=training.amp == "fp16" and device.type == "cuda"
    )
    state = State()
    parts = {"network": network, "average": average, "optimiser": optimiser, "scaler": scaler}
    path = Path(workdir) / CHECKPOINT_FILE
    if resume and path.is_file():
        state = read_checkpoint(path, parts, identity, device)
    stepper: nn.Module = network
    if training.compile and device.type == "cuda":
        stepper = torch.compile(network)  # type: ignore[assignment]
    started, before = time.monotonic(), state.seconds
    saved = started

    def batch_of(iteration: int) -> Batch:
        return draw(np.random.default_rng([training.seed, iteration]))

    stopped = False
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(batch_of, state.iteration + 1)
        while state.iteration < iterations:
            batch = ahead.result()
            state.iteration += 1
            if state.iteration < iterations:
                ahead = pool.submit(batch_of, state.iteration + 1)
            loss = _step(
                stepper,
                network,
                batch,
                loss_of,
                optimiser,
                scaler,
                training,
                state,
                iterations,
                device,
            )
            _average(average, network, training.ema_decay, state.iteration)
            figures = {"train_loss": loss}
            last = state.iteration == iterations
            if validate is not None and (state.iteration % training.validate_every == 0 or last):
                figures["validation_mae"] = _note_validation(validate(average), average, state)
                stopped = state.bad_validations >= training.patience
            figures["learning_rate"] = learning_rate(training, state.iteration, iterations)
            state.log(figures)
            now = time.monotonic()
            state.seconds = before + now - started
            if progress is not None:
                progress(state.iteration, iterations, figures)
            if now - saved >= 60 * training.checkpoint_minutes or stopped or last:
                write_checkpoint(path, parts, state, identity)
                saved = now
            if stopped:
                break
    best = state.best_weights or _cpu_weights(average)
    summary = FitSummary(
        iterations=state.iteration,
        seconds=state.seconds,
        best_iteration=state.best_iteration or state.iteration,
        best_validation=state.best,
        stopped_early=stopped,
        curves=state.curves,
    )
    return best, summary


def _step(
    stepper: nn.Module,
    network: nn.Module,
    batch: Batch,
    loss_of: Loss,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    training: TrainingSpec,
    state: State,
    iterations: int,
    device: torch.device,
) -> float:
    """Take one step of the optimiser; return the loss."""
    rate = learning_rate(training, state.iteration, iterations)
    for group in optimiser.param_groups:
        group["lr"] = rate
    network.train()
    batch = batch.to(device, channels_last=prefers_channels_last(training, network, device))
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), autocast(training, device):
        torch.manual_seed(training.seed * 1_000_003 + state.iteration)  # dropout alone uses it
        loss = loss_of(stepper, batch)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise QAError(
            f"The training loss became {value} at iteration {state.iteration}; lower "
            f"training.learning_rate ({training.learning_rate:g}) or switch training.amp "
            f"({training.amp}) off, and look for extreme values in the training images."
        )
    optimiser.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    scaler.unscale_(optimiser)
    norm = nn.utils.clip_grad_norm_(network.parameters(), training.clip_norm)
    _note_gradient(bool(torch.isfinite(norm)), state)
    if torch.isfinite(norm) or scaler.is_enabled():
        scaler.step(optimiser)  # with fp16 the scaler itself leaves out what overflowed
    scaler.update()
    return value


def _note_gradient(finite: bool, state: State) -> None:
    """Let single gradients overflow, as half precision does; a row of them is a fault."""
    state.bad_gradients = 0 if finite else state.bad_gradients + 1
    if state.bad_gradients >= _BAD_GRADIENTS:
        raise QAError(
            f"The gradient was not finite for {state.bad_gradients} iterations up to "
            f"{state.iteration}; lower training.learning_rate or switch training.amp off."
        )


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, decay: float, iteration: int) -> None:
    """Exponential moving average of the weights; buffers (batch statistics) are averaged too."""
    decay = min(decay, iteration / (iteration + 9))
    mine, theirs = average.state_dict(), network.state_dict()
    for name, value in mine.items():
        if value.dtype.is_floating_point:
            value.lerp_(theirs[name], 1 - decay)
        else:
            value.copy_(theirs[name])


def _note_validation(error: float, average: nn.Module, state: State) -> float:
    if not math.isfinite(error):
        raise QAError(f"The validation error became {error} at iteration {state.iteration}.")
    if state.best is None or error < state.best:
        state.best, state.best_iteration, state.bad_validations = error, state.iteration, 0
        state.best_weights = _cpu_weights(average)
    else:
        state.bad_validations += 1
    return error


def _cpu_weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def write_checkpoint(path: Path, parts: dict[str, Any], state: State, identity: str) -> None:
    """Write a checkpoint, all at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {name: part.state_dict() for name, part in parts.items()}
    temporary = path.with_suffix(".tmp")
    torch.save({"identity": identity, "state": vars(state), "parts": data}, temporary)
    temporary.replace(path)


def read_checkpoint(
    path: Path, parts: dict[str, Any], identity: str, device: torch.device
) -> State:
    """Read a checkpoint into the parts; only tensors and plain data are accepted.

    Raises
    ------
    InputError
        If it is unreadable, or of another specification, budget or data.
    """
    import pickle

    try:
        data = torch.load(path, map_location=device, weights_only=True)
        found, state = data["identity"], State(**data["state"])
    except (
        OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError,
        pickle.UnpicklingError,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(
            f"The checkpoint {path} cannot be read ({reason}); delete it to start afresh."
        ) from None
    if found != identity:
        raise InputError(
            f"The checkpoint {path} belongs to another specification, budget or cohort; train in "
            f"another folder, or without --resume."
        )
    for name, part in parts.items():
        part.load_state_dict(data["parts"][name])
    return state


def identity_of(*facts: str) -> str:
    """SHA-256 of what a checkpoint must agree with."""
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()
