"""Advice: which adaptation method a stream calls for, from what was measured of it."""

from typing import Final

from calibrate.steps import (
    IEW,
    LAME,
    BNAlpha,
    Method,
    PredictionTimeBN,
    StreamDiagnosis,
    StreamMeasures,
    StreamWarning,
    Tent,
)

#: ResNet-20 on CIFAR-10: at most 0.02 on shuffled streams, 0.04 at least on sorted ones under any corruption.
CORRELATED: Final = 0.03
#: There LAME gains: from 0.2 on, 5 to 18 points in batches of 64. On shuffled streams it loses up to 29.
STRONGLY_CORRELATED: Final = 0.15
#: So many predictions of one class hide the order of the stream, or are the order.
ONE_CLASS: Final = 0.9
#: More than a uniform distribution (0.75) and than any single corruption of CIFAR-10 (at most 0.75), less than mixtures
#: of strong ones (0.84–0.94).
MIXED: Final = 0.8
#: ResNet-20 on CIFAR-10: at 0.19, the JPEG shift, normalising by the batch loses; from 0.35 on, all corruptions of
#: severity 5, it gains.
MILD: Final = 0.27
#: Below, batch statistics are so noisy that on ResNet-20 they cost 3 points and more against batches of 200.
SMALL_BATCH: Final = 16
#: Tent's published settings are for batches of 64 and of 200.
TENT_BATCH: Final = 64
#: The prior, in images, for small batches: about that of the source's weight that Schneider et al. found best there.
PRIOR: Final = 16.0

#: The kinds of methods that normalise by the batch alone: every warning is against them.
BY_BATCH: Final = frozenset({"prediction_time_bn", "tent", "eta", "eata", "sar"})


def advise(measures: StreamMeasures) -> StreamDiagnosis:
    """What to beware of on the stream, and the method that suits it."""
    recommended, reason = _choose(measures)
    return StreamDiagnosis(measures=measures, warnings=_warnings(measures), recommended=recommended, reason=reason)


def _correlated(measures: StreamMeasures) -> bool:
    above_chance = measures.correlation > max(measures.correlation_by_chance, CORRELATED)
    return above_chance or measures.one_class > ONE_CLASS


def _mixed(measures: StreamMeasures) -> bool:
    return measures.mixture is not None and measures.mixture > MIXED


def _mild(measures: StreamMeasures) -> bool:
    """Whether the shift is mild; where labels are correlated the shift is in part that of the classes at hand."""
    return measures.shift is not None and measures.shift < MILD


def _choose(measures: StreamMeasures) -> tuple[Method | None, str]:
    size = measures.batch_size
    if _mixed(measures):
        return IEW(), (
            "the stream mixes domains, and no statistics of a batch fit them all; IEW takes each image by itself"
        )
    if measures.correlation > STRONGLY_CORRELATED and _correlated(measures) and size >= SMALL_BATCH:
        return LAME(), (
            "images of one class come together, so statistics and entropies of a batch are those of its classes; LAME "
            "changes no layer, and gains by neighbours that are of one class"
        )
    if measures.shift is None:
        return None, "the network keeps no running statistics, so there is nothing to adapt"
    if _correlated(measures):
        return IEW(), (
            "images of one class come together, so statistics and entropies of a batch are those of its classes, but "
            "not so clearly, or in so large batches, that LAME would gain; IEW takes each image by itself"
        )
    if _mild(measures):
        return None, (
            f"the layers see inputs {measures.shift:.2f} deviations off, which the network bears better than what "
            "batch statistics cost; leave it as it is, or tune it on labelled data with `afternorm calibrate`"
        )
    if size == 1:
        return IEW(), "the shift is strong, but a batch of one has no statistics of its own; IEW needs none"
    if size < SMALL_BATCH:
        return BNAlpha(prior=PRIOR), (
            f"the shift is strong, but {size} images make noisy statistics; the source's steady them with the weight "
            f"of {PRIOR:g} images"
        )
    if size < TENT_BATCH:
        return PredictionTimeBN(), (
            f"the shift is strong, the images come in random order, and {size} are enough for statistics, but few for "
            "a gradient step"
        )
    return Tent(), f"the shift is strong, the images come in random order, and {size} are enough for a gradient step"


def _warnings(measures: StreamMeasures) -> tuple[StreamWarning, ...]:
    found = []
    if measures.batch_size < SMALL_BATCH:
        message = f"batches of {measures.batch_size}: their statistics are too noisy to stand alone"
        found.append(StreamWarning(code="batch-too-small", message=message))
    if _correlated(measures):
        message = (
            f"images near each other in the stream are predicted alike (correlation {measures.correlation:.2f}, by "
            f"chance {measures.correlation_by_chance:.2f}; {measures.one_class:.0%} are of one class): prediction-time "
            "BN, Tent, ETA and EATA fail on such streams"
        )
        found.append(StreamWarning(code="labels-correlated", message=message))
    if _mixed(measures):
        message = (
            f"images fall into groups by their first-layer statistics ({measures.mixture:.2f} of a variance lies "
            "between two): prediction-time BN, Tent, ETA and EATA fail on mixed domains"
        )
        found.append(StreamWarning(code="mixed-domains", message=message))
    if _mild(measures) and not _correlated(measures):
        message = f"the shift is mild ({measures.shift:.2f} deviations): prediction-time BN loses accuracy here"
        found.append(StreamWarning(code="mild-shift", message=message))
    return tuple(found)
