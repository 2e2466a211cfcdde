"""Input shift: the definition over all examples, however they are cut into batches."""

import numpy as np
import pytest
import torch

from calibrate.diagnose import input_shift
from calibrate.stats import IterableBatches


@pytest.mark.parametrize("shape", [(5,), (3, 4, 6), (2, 7)])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_is_the_definition(shape: tuple[int, ...], size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    training = 1000 + 3 * torch.randn(17, *shape, generator=generator, dtype=torch.float64)
    target = torch.rand(9, *shape, generator=generator, dtype=torch.float64)
    target[:, 0] = 0.5  # a channel that does not vary, as the border of digits does
    found = input_shift(IterableBatches(training.split(size), None), IterableBatches(target.split(size), None))
    over = (0, *range(2, len(shape) + 1))
    means, deviations = zip(*((x.numpy().mean(over), x.numpy().std(over)) for x in (training, target)), strict=True)
    assert (found.images, found.channels) == (17, shape[0])
    assert found.mean == pytest.approx(np.linalg.norm(means[0] - means[1]), rel=1e-9)
    assert found.deviation == pytest.approx(np.linalg.norm(deviations[0] - deviations[1]), rel=1e-9)


def test_the_same_data_have_no_shift() -> None:
    x = torch.randn(20, 3, 4, 4)
    found = input_shift(IterableBatches(x.split(3), None), IterableBatches(x.split(7), None))
    assert max(found.mean, found.deviation) < 1e-12
