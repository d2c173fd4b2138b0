"""The training loop of all networks: plain, resumable, bounded.

One step is: take the batches, and for each player forward under autocast, loss, backward,
clip, Adam; then the moving average. The learning rate and every random number depend on the
iteration alone, so a training that was killed and carries on from its checkpoint gives the
same bits on the CPU.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from qa_suite.core.errors import QAError
from qa_suite.core.wording import count
from qa_suite.learning.checkpoints import CHECKPOINT_FILE, read_checkpoint, write_checkpoint
from qa_suite.learning.course import Training, average_into
from qa_suite.learning.devices import serves_channels_last, to_channels_last
from qa_suite.learning.parallel import (
    ALONE,
    World,
    average_gradients,
    from_leader,
    mean_over,
    weights_from_leader,
)
from qa_suite.learning.prefetch import Batch, Feeder
from qa_suite.learning.summary import FitSummary, Progress

_BAD_GRADIENTS = 20  # in a row; the fp16 scaler needs a dozen to find its scale at the start

MakeBatch = Callable[[np.random.Generator, torch.device], Batch]
Validate = Callable[[nn.ModuleDict], float]


@dataclass(kw_only=True)
class Step:
    """What a loss may know of the step in progress.

    Parameters
    ----------
    iteration, iterations
        Which one, from 1, and of how many.
    memory
        What a player leaves for those after it, such as the images it made; one a batch.
    figures
        More numbers to log beside the losses.
    """

    iteration: int
    iterations: int
    memory: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)


Loss = Callable[[nn.ModuleDict, Any, Step], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Player:
    """Networks that one optimiser moves, and what it minimises; the others stand still.

    Parameters
    ----------
    name
        Of its loss in the log.
    moves
        Names of its networks.
    loss
        From all networks, a batch and the step to a scalar; the losses of all players are
        called in their order on the same batches.
    rate
        Its learning rate, relative to that of the specification.
    """

    name: str
    moves: tuple[str, ...]
    loss: Loss
    rate: float = 1.0


@dataclass(kw_only=True)
class State:
    """The plain part of what a checkpoint holds."""

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


def autocast(training: Training, device: torch.device) -> Any:
    """Half precision on the GPU, and on the CPU where the specification forces bf16."""
    if training.amp == "off" or (device.type == "cpu" and not training.amp_on_cpu):
        return nullcontext()
    dtype = torch.bfloat16 if training.amp == "bf16" else torch.float16
    return torch.autocast(device.type, dtype=dtype)


def optimise(
    networks: nn.ModuleDict,
    players: tuple[Player, ...],
    training: Training,
    *,
    kept: tuple[str, ...],
    make_batch: MakeBatch,
    validate: Validate | None,
    identity: str,
    workdir: Path | None,
    resume: bool,
    iterations: int,
    device: torch.device,
    world: World = ALONE,
    extras: dict[str, Any] | None = None,
    judged_by: str = "validation_mae",
    most: bool = False,
    progress: Progress | None = None,
) -> tuple[dict[str, torch.Tensor], FitSummary]:
    """Train networks and return the best averaged weights of those that are kept.

    Parameters
    ----------
    networks
        All that take part, on any device; they are moved.
    players
        Who is moved by which loss, in the order of their turns.
    kept
        Names of the networks that are averaged, validated and returned.
    make_batch
        Makes one (augmented) batch from a random generator, on the device.
    validate
        From the averaged networks to an error; the least one is kept. None keeps the last.
    judged_by, most
        Name of what ``validate`` gives, and whether the most of it is best.
    workdir
        Where the checkpoint is kept; None keeps none.
    identity
        What the checkpoint must agree with: hash of specification, budget and data.
    extras
        More that a checkpoint must hold, such as a pool of images, by name.
    world
        This process among those that train together.

    Raises
    ------
    InputError
        If the checkpoint in ``workdir`` belongs to another specification, budget or data.
    QAError
        If a loss is not finite any more.
    """
    run = _Run(networks, players, training, kept, iterations, device, world, extras or {})
    path = None if workdir is None else Path(workdir) / CHECKPOINT_FILE
    if path is not None and resume and path.is_file():
        run.state = State(**read_checkpoint(path, run.parts, identity, device))
    state = run.state
    stopped = state.bad_validations >= training.patience
    started, before = time.monotonic(), state.seconds
    saved = started
    with run.feeder(make_batch) as feeder:
        while state.iteration < iterations and not stopped:
            figures = run.step(feeder)
            last = state.iteration == iterations
            if validate is not None and (state.iteration % training.validate_every == 0 or last):
                if world.leads:
                    found = validate(run.average)
                    figures[judged_by] = _note_validation(found, run.average, state, most=most)
                stopped = from_leader(state.bad_validations >= training.patience, world, device)
            state.log(figures)
            now = time.monotonic()
            state.seconds = before + now - started
            if progress is not None and world.leads:
                progress(state.iteration, iterations, figures)
            due = now - saved >= 60 * training.checkpoint_minutes or stopped or last
            if path is not None and due and world.leads:
                write_checkpoint(path, run.parts, vars(state), identity)
                saved = now
    best = weights_from_leader(state.best_weights or _cpu_weights(run.average), world, device)
    summary = FitSummary(
        iterations=state.iteration,
        seconds=state.seconds,
        best_iteration=state.best_iteration or state.iteration,
        best_validation=state.best,
        stopped_early=stopped,
        curves=state.curves,
    )
    return best, summary


class _Run:
    """Networks, optimisers and average of a training in progress."""

    def __init__(
        self,
        networks: nn.ModuleDict,
        players: tuple[Player, ...],
        training: Training,
        kept: tuple[str, ...],
        iterations: int,
        device: torch.device,
        world: World,
        extras: dict[str, Any],
    ) -> None:
        self.networks, self.players, self.training = networks.to(device), players, training
        self.iterations, self.device, self.world = iterations, device, world
        self.channels_last = training.channels_last and serves_channels_last(networks, device)
        if self.channels_last:
            self.networks = to_channels_last(networks)
        self.average = copy.deepcopy(nn.ModuleDict({name: networks[name] for name in kept}))
        self.average.requires_grad_(False).eval()
        self.optimisers = {
            player.name: torch.optim.AdamW(
                self._parameters(player),
                lr=training.learning_rate,
                betas=training.betas,
                weight_decay=training.weight_decay,
            )
            for player in players
        }
        self.scaler = torch.amp.GradScaler(
            device.type, enabled=training.amp == "fp16" and device.type == "cuda"
        )
        self.state = State()
        self.parts: dict[str, Any] = {
            "networks": self.networks,
            "average": self.average,
            "scaler": self.scaler,
            **{f"optimiser of {name}": found for name, found in self.optimisers.items()},
            **extras,
        }
        if training.compile and device.type == "cuda":
            for network in self.networks.values():
                network.compile()

    def _parameters(self, player: Player) -> list[nn.Parameter]:
        return [p for name in player.moves for p in self.networks[name].parameters()]

    def feeder(self, make_batch: MakeBatch) -> Feeder:
        """Return what makes this process's batches, from the present iteration on."""
        parts, size = self.training.accumulate, self.world.size

        def make(turn: int) -> Batch:
            rng = np.random.default_rng([self.training.seed, 1 + turn * size + self.world.rank])
            batch = make_batch(rng, self.device)
            return batch.to(self.device, channels_last=self.channels_last)

        return Feeder(
            make,
            first=self.state.iteration * parts,
            last=self.iterations * parts - 1,
            device=self.device,
        )

    def step(self, feeder: Feeder) -> dict[str, float]:
        """Take one step of every player; return the figures to log."""
        state, parts = self.state, self.training.accumulate
        batches = [feeder.take() for _ in range(parts)]
        state.iteration += 1
        rate = self.training.rate(state.iteration, self.iterations)
        steps = [Step(iteration=state.iteration, iterations=self.iterations) for _ in batches]
        figures: dict[str, float] = {}
        self.networks.train()
        for turn, player in enumerate(self.players):
            with self._only(player):
                loss = self._play(player, turn, batches, steps, rate * player.rate)
            figures["train_loss" if turn == 0 else f"{player.name}_loss"] = loss
        self.scaler.update()
        average_into(self.average, self.networks, self.training.ema_decay, state.iteration)
        for step in steps:
            for name, value in step.figures.items():
                figures[name] = figures.get(name, 0.0) + value / parts
        return figures | {"learning_rate": rate}

    def _play(
        self, player: Player, turn: int, batches: list[Batch], steps: list[Step], rate: float
    ) -> float:
        optimiser = self.optimisers[player.name]
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        total = 0.0
        first = 1 + (self.state.iteration - 1) * len(batches) * self.world.size
        for part, (batch, step) in enumerate(zip(batches, steps, strict=True)):
            number = first + part * self.world.size + self.world.rank
            with self._seeded(number, turn), autocast(self.training, self.device):
                loss = player.loss(self.networks, batch, step) / len(batches)
            total += float(loss.detach())
            self._require_finite(total, player)
            self.scaler.scale(loss).backward()
        parameters = self._parameters(player)
        self.scaler.unscale_(optimiser)
        average_gradients(parameters, self.world)
        norm = nn.utils.clip_grad_norm_(parameters, self.training.clip_norm)
        finite = bool(torch.isfinite(norm))
        self._note_gradient(finite)
        if finite or self.scaler.is_enabled():
            self.scaler.step(optimiser)  # with fp16 the scaler itself leaves out what overflowed
        return mean_over(total, self.world, self.device)

    @contextmanager
    def _seeded(self, number: int, turn: int) -> Iterator[None]:
        """Give dropout and noise random numbers that depend on the batch's number alone."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.training.seed * 1_000_003 + number + turn * 7_919_000_003)
            yield

    @contextmanager
    def _only(self, player: Player) -> Iterator[None]:
        """Let the gradient stop at the networks of the other players."""
        moved = {name for other in self.players for name in other.moves}
        others = sorted(moved - set(player.moves))
        for name in others:
            self.networks[name].requires_grad_(False)
        try:
            yield
        finally:
            for name in others:
                self.networks[name].requires_grad_(True)

    def _require_finite(self, value: float, player: Player) -> None:
        if math.isfinite(value):
            return
        what = "training" if player is self.players[0] else player.name
        raise QAError(
            f"The {what} loss became {value} at iteration {self.state.iteration}; "
            f"{self.training.advice}, and look for extreme values in the training images."
        )

    def _note_gradient(self, finite: bool) -> None:
        """Let single gradients overflow, as half precision does; a row of them is a fault."""
        self.state.bad_gradients = 0 if finite else self.state.bad_gradients + 1
        if self.state.bad_gradients >= _BAD_GRADIENTS:
            raise QAError(
                f"The gradient was not finite for {count(self.state.bad_gradients, 'step')} up to "
                f"iteration {self.state.iteration}; {self.training.advice}."
            )


def _note_validation(found: float, average: nn.Module, state: State, *, most: bool) -> float:
    if not math.isfinite(found):
        raise QAError(f"The validation gave {found} at iteration {state.iteration}.")
    if state.best is None or (found > state.best if most else found < state.best):
        state.best, state.best_iteration, state.bad_validations = found, state.iteration, 0
        state.best_weights = _cpu_weights(average)
    else:
        state.bad_validations += 1
    return found


def _cpu_weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
