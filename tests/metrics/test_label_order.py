"""Another order of the classes: found where it explains the labels, and nowhere else."""

import itertools

import numpy as np
import pytest

from calibrate.metrics import order_finding, renumbering

random = np.random.default_rng(0)


def drawn(classes: int, n: int, right: float, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and predictions of a network whose output for class k is ``order[k]``, right at that rate."""
    labels = random.integers(0, classes, n)
    guesses = random.integers(0, classes, n)
    return labels, np.where(random.random(n) < right, order[labels], guesses)


@pytest.mark.parametrize("seed", range(5))
def test_each_class_has_an_output_and_no_numbering_is_better_where_most_agree(seed: int) -> None:
    numbers = np.random.default_rng(seed)
    noise = numbers.integers(0, 5, 40)
    assert sorted(renumbering(noise, numbers.integers(0, 5, 40), 5).tolist()) == [0, 1, 2, 3, 4]
    order = numbers.permutation(5)
    labels = np.repeat(np.arange(5), 12)
    predicted = np.where(numbers.random(60) < 0.7, order[labels], numbers.integers(0, 5, 60))
    best = max((np.array(other)[labels] == predicted).sum() for other in itertools.permutations(range(5)))
    assert (renumbering(labels, predicted, 5)[labels] == predicted).sum() == best


def test_a_class_without_examples_keeps_its_number_where_it_can() -> None:
    assert renumbering(np.array([0, 0]), np.array([1, 1]), 4).tolist() == [1, 0, 2, 3]


@pytest.mark.parametrize(("classes", "right"), [(2, 0.95), (11, 0.9), (100, 0.8)])
def test_a_permuted_order_is_found(classes: int, right: float) -> None:
    order = np.roll(np.arange(classes), 1)
    finding = order_finding(drawn(classes, 2000, right, order), drawn(classes, 2000, right, order), classes)
    assert finding is not None
    assert finding.code == "labels-permuted"
    assert f"{classes} classes were numbered otherwise" in finding.message
    assert "label 0 is output " in finding.message


@pytest.mark.parametrize(
    ("classes", "right", "n"),
    [(11, 0.9, 500), (11, 0.3, 500), (11, 0.0, 200), (1000, 0.0, 2000), (2, 0.1, 40), (3, 0, 9)],
)
def test_a_network_that_is_only_bad_has_no_other_order(classes: int, right: float, n: int) -> None:
    order = np.arange(classes)
    assert order_finding(drawn(classes, n, right, order), drawn(classes, n, right, order), classes) is None


def test_what_holds_on_one_half_only_is_not_said() -> None:
    order, other = np.roll(np.arange(10), 1), np.roll(np.arange(10), 3)
    assert order_finding(drawn(10, 500, 0.9, order), drawn(10, 500, 0.9, other), 10) is None


def test_a_collapsed_network_has_no_other_order() -> None:
    labels = np.repeat(np.arange(10), 50)
    one = np.full(500, 3)
    assert order_finding((labels, one), (labels, one), 10) is None


def test_the_other_usual_order_is_called_so() -> None:
    names = [str(number) for number in range(11)]
    as_text = sorted(names)
    order = np.array([as_text.index(name) for name in names])
    halves = drawn(11, 400, 0.95, order), drawn(11, 400, 0.95, order)
    named = order_finding(*halves, 11, names, as_text)
    assert named is not None
    assert "'2' is output 3" in named.message
    assert "That is the other usual order" in named.message
    other = order_finding(*halves, 11, names, names[::-1])
    assert other is not None
    assert "usual order" not in other.message
