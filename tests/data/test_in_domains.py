"""Examples in domains: each comes as one of the sources has it, as many from each, in any order of asking."""

import numpy as np
import torch

from calibrate.data import InDomains, Source, open_data
from calibrate.preprocessing import InputMap, Preprocessing

RAW = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1))


def domains(n: int, count: int) -> list[Source]:
    """Sources whose example i is the number 100·source + i."""
    labels = [i % 3 for i in range(n)]
    examples = [[(torch.full((1, 2, 2), 100.0 * d + i), labels[i]) for i in range(n)] for d in range(count)]
    return [open_data(one, preprocessing=None) for one in examples]


def numbers(source: Source, indices: list[int], batch_size: int = 4) -> list[int]:
    return [int(x[0, 0, 0]) for batch in source.batches(np.array(indices), batch_size) for x in batch.inputs]


def test_each_example_is_itself_in_one_domain_as_many_from_each() -> None:
    source = InDomains(domains(31, 3), seed=0)
    seen = numbers(source, list(range(31)))
    assert [number % 100 for number in seen] == list(range(31))
    counts = np.bincount([number // 100 for number in seen])
    assert counts.max() - counts.min() <= 1
    assert len(source) == 31


def test_the_domain_depends_on_the_example_and_the_seed_alone() -> None:
    source = InDomains(domains(31, 3), seed=0)
    whole = numbers(source, list(range(31)))
    some = [2, 3, 11, 30]
    assert numbers(source, some, 1) == [whole[index] for index in some]
    other = InDomains(domains(31, 3), seed=1)
    assert numbers(other, list(range(31))) != whole
    assert other.fingerprint != source.fingerprint
    assert source.fingerprint == InDomains(domains(31, 3), seed=0).fingerprint


def test_labels_and_names_are_those_of_the_examples() -> None:
    first, second = domains(7, 2)
    source = InDomains([first, second], seed=0)
    assert first.labels is not None
    assert source.labels is not None
    assert (source.labels == first.labels).all()
    assert [source.entry(index) for index in range(7)] == [first.entry(index) for index in range(7)]


def test_another_preparation_is_that_of_all_domains() -> None:
    source = InDomains(domains(31, 3), seed=0).prepared_by(InputMap(scale=(2.0,)))
    assert numbers(source, [2, 11, 30]) == [2 * number for number in numbers(InDomains(domains(31, 3), 0), [2, 11, 30])]
    doubled = source.prepared_by(InputMap(scale=(3.0,), shift=(1.0,)))
    assert numbers(doubled, [5]) == [3 * number + 1 for number in numbers(InDomains(domains(31, 3), 0), [5])]


def test_images_of_all_domains_are_decoded_as_prepared() -> None:
    pixels = torch.full((2, 2, 3), 50, dtype=torch.uint8)
    given = [open_data([(pixels, 0), (pixels, 1)], preprocessing=RAW) for _ in range(2)]
    source = InDomains(given, seed=0).prepared_by(RAW.model_copy(update={"maximum": 100}))
    (batch,) = source.batches(np.arange(2), 2)
    assert (batch.inputs * 255).round().unique().tolist() == [128]
