"""Every stream visits every example once in every domain; the order is what its name says."""

import numpy as np
import pytest
from pydantic import ValidationError

from calibrate.data.stream_orders import stream_order
from calibrate.steps import Domain, Stream

LABELS = np.random.default_rng(0).integers(0, 5, 400)
FOG = (Domain(), Domain(corruption="fog", severity=5), Domain(corruption="snow", severity=1))
STREAMS = [
    Stream(),
    Stream(domains=FOG),
    Stream(order="class_sorted", domains=FOG),
    Stream(order="correlated", concentration=0.1, domains=FOG),
    Stream(order="mixed", domains=FOG),
    Stream(order="recurring", cycles=3, domains=FOG),
]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.title)
def test_every_example_comes_once_in_every_domain_and_cycle(stream: Stream) -> None:
    domains, rows = stream_order(LABELS, stream, 3)
    visits, counts = np.unique(np.stack([domains, rows]), axis=1, return_counts=True)
    assert visits.shape[1] == len(stream.domains) * len(LABELS)
    assert (counts == (stream.cycles or 1)).all()
    again = stream_order(LABELS, stream, 3)
    assert np.array_equal(again[0], domains)
    assert np.array_equal(again[1], rows)
    assert not np.array_equal(stream_order(LABELS, stream, 4)[1], rows)
    if stream.order != "mixed":
        expected = np.repeat(np.tile(np.arange(len(stream.domains)), stream.cycles or 1), len(LABELS))
        assert np.array_equal(domains, expected)


def switches(rows: np.ndarray) -> float:
    """The share of neighbours of different classes."""
    return float((np.diff(LABELS[rows]) != 0).mean())


def test_labels_are_correlated_as_far_as_asked() -> None:
    shuffled, sorted_ = (
        switches(stream_order(LABELS, Stream(order=order), 0)[1]) for order in ("shuffled", "class_sorted")
    )
    strong, weak = (
        switches(stream_order(LABELS, Stream(order="correlated", concentration=c), 0)[1]) for c in (0.05, 1e5)
    )
    assert sorted_ == 4 / (len(LABELS) - 1)
    assert sorted_ < strong < 0.7 * shuffled
    assert weak == pytest.approx(shuffled, abs=0.06)


@pytest.mark.parametrize(
    "fields",
    [
        {"order": "correlated"},
        {"concentration": 1.0},
        {"order": "recurring"},
        {"cycles": 2},
        {"order": "mixed"},
        {"domains": []},
        {"domains": [{"corruption": "fog"}]},
        {"domains": [{"severity": 2}]},
    ],
    ids=str,
)
def test_contradictions_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Stream.model_validate(fields)
