"""Steps that pass over corrupted images more than once corrupt each of them once."""

from collections import Counter
from typing import Any

import imagecorruptions
import numpy as np
import pytest

from calibrate import Recipe, retrofit
from calibrate.data import split
from calibrate.steps import Adam, Adapt, Auto, Candidate, Domain, Reestimate, SearchAlpha, Stream, Tent
from tests.builders.images import PIXELS, images, network

BRIGHT = Domain(corruption="brightness", severity=3)


@pytest.fixture
def corrupted(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """How often the library has corrupted each image, by its pixels."""
    times: Counter[bytes] = Counter()
    library = imagecorruptions.corrupt

    def counting(image: Any, *arguments: Any, **options: Any) -> Any:
        times[image.tobytes()] += 1
        return library(image, *arguments, **options)

    monkeypatch.setattr(imagecorruptions, "corrupt", counting)
    return times


def run(*steps: Any) -> None:
    retrofit(network(), Recipe(steps=steps), data=images(), preprocessing=PIXELS, batch_size=16)


def test_all_candidates_meet_the_same_corrupted_images(corrupted: Counter[bytes]) -> None:
    candidates = [Candidate(name=step.kind, steps=(step,)) for step in (Reestimate(), SearchAlpha(curve=False))]
    run(Auto(candidates=candidates, shifts=[Domain(), BRIGHT], guardrail=1.0, resamples=100))
    assert len(corrupted) == len(images()) // 2
    assert set(corrupted.values()) == {1}


def test_learning_and_re_estimating_meet_the_same_corrupted_images(corrupted: Counter[bytes]) -> None:
    stream = Stream(order="mixed", domains=(Domain(), BRIGHT), batch_size=8)
    run(Adapt(method=Tent(optimizer=Adam(lr=0.05)), stream=stream))
    labels = [label for _, label in images()]
    assert len(corrupted) == len(split(np.array(labels), 0).calibration)
    assert set(corrupted.values()) == {1}
