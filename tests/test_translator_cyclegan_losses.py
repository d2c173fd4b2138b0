"""The losses of CycleGAN: what costs nothing, and what its cost is otherwise; the pool of fakes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qa_suite.core.errors import Problems
from qa_suite.learning.loop import Step
from tests.cyclegan_cases import tiny
from translators.base import create
from translators.families.cyclegan import CycleGAN
from translators.networks.discriminators import ImagePool
from translators.training.augment import Batch
from translators.training.losses import spread_distance
from translators.training.unpaired_losses import Sides, from_edges, places


class _Fixed(nn.Module):
    """Stands in for a generator: a known map on the unit scale."""

    def __init__(self, gain: float, shift: float) -> None:
        super().__init__()
        self.gain, self.shift = gain, shift

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * self.gain + self.shift


def _batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    source, target = torch.rand((2, 2, 1, 32, 32), generator=generator) - 0.5
    weight = torch.ones_like(target)
    return Batch(source=source, target=target, weight=weight, source_weight=weight)


def test_a_cycle_that_closes_costs_nothing_and_one_that_does_not_its_distance() -> None:
    spec = tiny(cycle={"cycle_weight": 10, "identity_weight": 5, "pool": 6}, adversarial__weight=0)
    translator = create(spec)
    assert isinstance(translator, CycleGAN) and spec.network is not None
    networks = translator._built(0).eval()
    gain, centre = spec.network.output_gain, spec.target.unit_centre

    def cost(shift: float) -> dict[str, float]:
        # on the scale of a source, the map there adds 'shift' and the map back adds nothing
        networks["to_target"] = _Fixed(gain, centre + shift * gain)
        networks["to_source"] = _Fixed(1.0, 0.0)
        step = Step(iteration=1, iterations=2)
        total = translator.players()[0].loss(networks, _batch(), step).detach()
        figures = step.figures
        assert float(total) == pytest.approx(10 * figures["cycle"] + 5 * figures["identity"], 1e-5)
        return figures

    assert cost(0.0)["cycle"] == pytest.approx(0, abs=1e-5)
    assert cost(0.3)["cycle"] == pytest.approx(2 * 0.3, rel=1e-4), "there-and-back on both sides"
    assert cost(0.3)["identity"] == pytest.approx(0.3, rel=1e-4)


def test_the_warm_up_asks_of_the_generators_what_needs_no_adversary() -> None:
    translator = create(tiny())
    assert isinstance(translator, CycleGAN) and translator.cycle.warm_up > 0
    networks = translator._built(0)
    figures = []
    for iteration in (1, 10):
        step = Step(iteration=iteration, iterations=10)
        translator.extras()
        for player in translator.players():
            loss = player.loss(networks, _batch(), step)
        figures.append((set(step.figures), float(loss.detach())))
    assert figures[0] == ({"neighbour", "values", "edges"}, 0.0), "the discriminators wait"
    assert figures[1][0] >= {"neighbour", "values", "fooling", "cycle"} and figures[1][1] > 0
    with pytest.raises(Problems, match="warm_up needs neighbour_weight or values_weight"):
        tiny(cycle={"warm_up": 0.5})


def test_values_are_compared_wherever_they_lie() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((2, 1, 16, 16), generator=generator)
    everywhere = torch.ones_like(image, dtype=torch.bool)
    moved = image.flatten()[torch.randperm(image.numel(), generator=generator)].view_as(image)
    assert float(spread_distance(image, everywhere, moved, everywhere)) == pytest.approx(0)
    brighter = spread_distance(image + 0.25, everywhere, moved, everywhere)
    assert float(brighter) == pytest.approx(0.25, abs=1e-5)
    assert float(spread_distance(image, ~everywhere, moved, everywhere)) == 0


def test_places_count_from_the_middle_of_the_body() -> None:
    weight = torch.full((2, 1, 20, 10), 0.3)
    weight[0, :, 2:7, 4:9] = 1  # the middle is 4, 6
    x, y = places(weight)[0]
    assert torch.allclose(x[:, 0], (torch.arange(20) - 4) / 10)
    assert torch.allclose(y[0], (torch.arange(10) - 6) / 5)
    x, y = places(weight)[1]  # no body: the middle of the patch
    assert float(x[:, 0].mean()) == pytest.approx(0, abs=1e-6)
    assert float(x.max()) == pytest.approx(0.95)
    assert float(y.mean()) == pytest.approx(0, abs=1e-6)
    moved = places(weight.roll((3, 1), dims=(2, 3)))[0]
    assert torch.allclose(moved[:, 3:, 1:], places(weight)[0, :, :-3, :-1])


def test_discriminators_that_are_told_places_know_left_from_right() -> None:
    translator = create(tiny(cycle__told_places=True))
    assert isinstance(translator, CycleGAN)
    networks = translator._built(0).eval()
    flat = torch.zeros(1, 1, 32, 32)
    sides = Sides(
        source=flat, target=flat, source_weight=flat + 1, target_weight=flat + 1
    )  # images that are the same everywhere
    opinion = translator._opinion(networks, sides, real=True)
    assert torch.isfinite(opinion)
    logits = networks["target_critic"](torch.cat([flat, places(flat + 1)], dim=1))
    assert not torch.allclose(logits, logits.flip(2), atol=1e-4)


def test_edges_are_asked_where_the_original_has_them() -> None:
    step = torch.zeros(1, 1, 32, 32)
    step[:, :, 16:] = 1
    flat, one = torch.zeros_like(step), torch.ones_like(step)

    def cost(fake_target: torch.Tensor) -> float:
        real = Sides(source=step, target=flat, source_weight=one, target_weight=one)
        fake = Sides(source=flat, target=fake_target, source_weight=one, target_weight=one)
        return float(from_edges(fake, real))

    assert cost(-0.5 * step) == pytest.approx(cost(0.5 * step), rel=1e-5)
    assert cost(0.5 * step) < 0.1 < 0.9 < cost(flat)
    with pytest.raises(Problems, match="edges_weight"):
        create(
            tiny(
                cycle__edges_weight=1.0,
                network__dimensions="3D",
                training__patch=[16, 16, 8],
                inference__patch=[16, 16, 8],
            )
        )


def test_the_pool_shows_old_fakes_and_survives_a_checkpoint() -> None:
    pool = ImagePool(3)
    torch.manual_seed(0)
    first = torch.arange(3.0).reshape(3, 1, 1, 1)
    assert torch.equal(pool.swapped(first), first), "while it fills, images pass through"
    copy = ImagePool(3)
    copy.load_state_dict(pool.state_dict())
    shown = []
    for some in (pool, copy):
        torch.manual_seed(1)
        shown.append(torch.cat([some.swapped(torch.full((4, 1, 1, 1), 9.0)) for _ in range(5)]))
    assert torch.equal(*shown)
    old = set(shown[0].flatten().tolist())
    assert {0.0, 1.0, 2.0} <= old and 9.0 in old, "old ones come out, each once"
    off = ImagePool(0)
    assert torch.equal(off.swapped(first), first) and not off.images
