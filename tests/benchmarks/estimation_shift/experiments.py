"""The three experiments: training on all of the test set, on subsets of it, and noise on the statistics."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calibrate.data.preprocess import prepare_pixels
from calibrate.demo.digits import PREPROCESSING, held_out_digits, training_digits
from tests.benchmarks.estimation_shift.measures import Values, answers, disturbed, error, evaluate

STEPS, RATE = 80, 0.1

#: Iterations (counted from 1) that setup one measures.
MEASURED = range(2, STEPS + 1, 3)

#: A network for a seed.
Make = Callable[[int], nn.Module]

NOISE = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
DRAWS = 5

#: Where noise goes, by depth from 0: the BNs of the layers 2, 4, … 12, which BN and GNBN both have, as the paper
#: disturbs the first BN of six blocks; and all BNs of the BN network.
SIX, ALL = range(1, 12, 2), range(20)
NOISY = {"BN, six layers": ("BN", SIX), "GNBN, six layers": ("GNBN", SIX), "BN, all 20 layers": ("BN", ALL)}


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """Setup one: errors in training and in evaluation mode (seeds, iterations), ESM (seeds, iterations, 2, 20)."""

    training: Values
    evaluation: Values
    shift: Values


@dataclass(frozen=True, slots=True, eq=False)
class Subsets:
    """Setup two: final errors (seeds, sizes), in training mode on S, on all of S′ and on what is not in S; and ESM_σ.

    ``shift`` is (seeds, sizes, 21), where layer 0 is the input, of which it is ‖sd_train − sd_test‖.
    """

    training: Values
    test: Values
    unseen: Values
    shift: Values


def digits(images: int) -> tuple[Tensor, Tensor]:
    """``images`` of scikit-learn's 1,797 digits as vectors (N, 64), and their labels (N,)."""
    (trained, its_labels), (held_out, other_labels) = training_digits(), held_out_digits()
    pixels = torch.from_numpy(np.concatenate([trained, held_out]))
    labels = torch.from_numpy(np.concatenate([its_labels, other_labels]))
    chosen = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))[:images]
    return prepare_pixels(pixels[chosen, None], PREPROCESSING).flatten(1), labels[chosen]


def descend(model: nn.Module, x: Tensor, y: Tensor, rate: float = RATE) -> Iterator[tuple[int, float]]:
    """Full-batch gradient descent: each iteration, from 1, and its training error, before its weights change."""
    optimiser = torch.optim.SGD(model.parameters(), rate)
    for iteration in range(1, STEPS + 1):
        logits = model(x)
        optimiser.zero_grad()
        F.cross_entropy(logits, y).backward()
        yield iteration, error(logits.detach(), y)
        optimiser.step()


def same_set(make: Make, seeds: int, x: Tensor, y: Tensor) -> Course:
    """Setup one, S = S′: the same weights and images in both modes, so that the errors differ by BN's statistics."""
    training, evaluation, shift = [], [], []
    for seed in range(seeds):
        model = make(seed)
        for iteration, wrong in descend(model, x, y):
            if iteration in MEASURED:
                logits, found = evaluate(model, x)
                training.append(wrong)
                evaluation.append(error(logits, y))
                shift.append(found)
    shape = (seeds, len(MEASURED))
    return Course(*(np.reshape(values, (*shape, *np.shape(values)[1:])) for values in (training, evaluation, shift)))


def subsets(
    make: Make, rate: float, seeds: int, sizes: Sequence[int], x: Tensor, y: Tensor
) -> tuple[Subsets, list[nn.Module]]:
    """Setup two, S ⊂ S′, and the trained networks of the largest size; a seed's subsets contain one another."""
    rows, shift, trained = [], [], []
    for seed in range(seeds):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        for size in sizes:
            chosen, others = order[:size], order[size:]
            model = make(seed)
            wrong = [wrong for _, wrong in descend(model, x[chosen], y[chosen], rate)]
            logits, found = evaluate(model, x)
            rows.append((wrong[-1], error(logits, y), error(logits[others], y[others])))
            between = torch.linalg.vector_norm(x[chosen].std(0, correction=0) - x.std(0, correction=0))
            shift.append([float(between), *found[0]])
            if size == sizes[-1]:
                trained.append(model)
    training, test, unseen = np.reshape(rows, (seeds, len(sizes), 3)).transpose(2, 0, 1)
    return Subsets(training, test, unseen, np.reshape(shift, (seeds, len(sizes), -1))), trained


def noise(models: Sequence[nn.Module], depths: range, x: Tensor, y: Tensor) -> Values:
    """The error (networks, Δ) on ``x``, the mean of five draws of the noise."""
    wrong = [
        np.mean([error(answers(disturbed(model, depths, delta, draw), x), y) for draw in range(DRAWS)])
        for model in models
        for delta in NOISE
    ]
    return np.reshape(wrong, (len(models), len(NOISE)))
