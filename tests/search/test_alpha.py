"""The search for α, on landscapes whose optimum is known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.recipe import SearchAlpha
from calibrate.search import fit_temperature, search_alpha

LABELS = torch.arange(400) % 4


def landscape(optimum: float, noise: float = 1.0) -> "tuple[list[float], object]":
    """Logits whose noise is least at ``optimum``; the sharpness varies too, as with α, and T must undo that."""
    generator = torch.Generator().manual_seed(0)
    errors = torch.randn(len(LABELS), 4, generator=generator)
    truth = torch.nn.functional.one_hot(LABELS, 4).float()
    visited: list[float] = []

    def logits_at(alpha: float) -> torch.Tensor:
        visited.append(alpha)
        spread = noise * (0.6 + 4 * abs(alpha**0.5 - optimum**0.5))
        return (truth + spread * errors) * (5 - 4 * alpha)

    return visited, logits_at


@given(optimum=st.floats(0.005, 0.45))
@settings(max_examples=30, deadline=None)
def test_closes_in_on_the_optimum(optimum: float) -> None:
    visited, logits_at = landscape(optimum)
    found = search_alpha(logits_at, LABELS, SearchAlpha(refinements=8))  # type: ignore[arg-type]
    assert abs(found.search.chosen**0.5 - optimum**0.5) < 0.06
    assert found.search.passes == len(visited) == len(found.search.points)
    assert [point.alpha for point in found.search.points] == sorted(set(visited))


def test_the_chosen_alpha_was_really_evaluated_and_its_logits_are_returned() -> None:
    visited, logits_at = landscape(0.08)
    found = search_alpha(logits_at, LABELS, SearchAlpha())  # type: ignore[arg-type]
    assert found.chosen.alpha in visited
    assert torch.equal(found.chosen.logits, logits_at(found.chosen.alpha))  # type: ignore[operator]
    assert found.chosen.temperature.value == fit_temperature(found.chosen.logits, LABELS).value
    assert found.plain.alpha == 0


def test_zero_stays_when_nothing_helps() -> None:
    _, logits_at = landscape(0.0)
    found = search_alpha(logits_at, LABELS, SearchAlpha())  # type: ignore[arg-type]
    assert found.search.chosen == 0
    assert "no α above 0" in found.search.reason


def test_mere_softening_is_not_mistaken_for_a_gain() -> None:
    """Raw cross-entropy falls with α here, only because the logits shrink; after T nothing is left of it."""
    generator = torch.Generator().manual_seed(0)
    logits = 20 * (torch.nn.functional.one_hot(LABELS, 4) + torch.randn(len(LABELS), 4, generator=generator))
    found = search_alpha(lambda alpha: logits * (1 - 0.9 * alpha), LABELS, SearchAlpha(maximum=1))
    first, last = found.search.points[0], found.search.points[-1]
    assert last.nll < first.nll
    assert found.search.chosen == 0


def test_margin_asks_for_more_than_noise() -> None:
    """With a gain of about one standard error, the margin decides."""
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.nn.functional.one_hot(LABELS, 4) + 2 * torch.randn(len(LABELS), 4, generator=generator)
    other = logits + 0.5 * torch.randn(logits.shape, generator=generator)
    better = other + 0.12 * torch.nn.functional.one_hot(LABELS, 4)

    def logits_at(alpha: float) -> torch.Tensor:
        return logits if alpha == 0 else better

    gain = fit_temperature(logits, LABELS).nll - fit_temperature(better, LABELS).nll
    errors = float(gain.mean()) / float(gain.std() / len(gain) ** 0.5)
    assert errors > 0
    lenient = search_alpha(logits_at, LABELS, SearchAlpha(margin=0.9 * errors, refinements=0))
    strict = search_alpha(logits_at, LABELS, SearchAlpha(margin=1.1 * errors, refinements=0))
    assert lenient.search.chosen > 0
    assert strict.search.chosen == 0
    assert strict.search.best_by_nll > 0


@pytest.mark.parametrize("maximum", [0.02, 1.0])
def test_stays_within_the_maximum(maximum: float) -> None:
    visited, logits_at = landscape(0.3)
    search_alpha(logits_at, LABELS, SearchAlpha(maximum=maximum))  # type: ignore[arg-type]
    assert max(visited) == maximum
    assert min(visited) == 0
