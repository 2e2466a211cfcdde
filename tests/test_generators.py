"""Generators from a seed: the bits of the libraries' own, nothing outside touched, and made in one place."""

from pathlib import Path

import numpy as np
import pytest
import torch

from calibrate.generators import numpy_generator, seeded, torch_generator

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**63 - 2, 2**256 - 1, [0, 1], [7, 2, 2**32 - 1]])
def test_numpy_s_draws_are_those_of_pcg64(seed: int | list[int]) -> None:
    expected = np.random.Generator(np.random.PCG64(seed))
    drawn = numpy_generator(seed)
    assert drawn.permutation(50).tolist() == expected.permutation(50).tolist()
    assert drawn.beta(0.2, 0.2) == expected.beta(0.2, 0.2)
    assert np.random.default_rng(seed).random() == numpy_generator(seed).random()


def test_numpy_s_generator_draws_the_same_for_ever() -> None:
    """Splits and resamples of stored results hang on these."""
    assert numpy_generator(0).permutation(10).tolist() == [4, 6, 2, 7, 3, 5, 9, 0, 8, 1]


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_torch_s_draws_are_those_of_its_generator(seed: int) -> None:
    before = torch.random.get_rng_state()
    drawn = torch.randn(20, generator=torch_generator(seed))
    assert torch.equal(drawn, torch.randn(20, generator=torch.Generator().manual_seed(seed)))
    assert torch.equal(before, torch.random.get_rng_state())


def test_within_the_block_torch_draws_from_the_seed_and_goes_on_as_if_it_had_not() -> None:
    torch.manual_seed(3)
    expected = torch.randn(4)
    torch.manual_seed(3)
    with seeded(5):
        within = torch.randn(4)
    assert torch.equal(torch.randn(4), expected)
    torch.manual_seed(5)
    assert torch.equal(within, torch.randn(4))


def test_a_block_that_fails_gives_the_state_back_too() -> None:
    before = torch.random.get_rng_state()

    def fail() -> None:
        with seeded(5):
            torch.randn(4)
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  (its own)
        fail()
    assert torch.equal(before, torch.random.get_rng_state())


def test_nobody_else_makes_one_by_hand() -> None:
    made = ("Generator(", "PCG64", "default_rng", "default_generator")
    found = {
        str(path.relative_to(ROOT))
        for room in ("calibrate", "service")
        for path in (ROOT / room).rglob("*.py")
        if any(word in path.read_text() for word in made)
    }
    assert found == {"calibrate/generators.py"}
