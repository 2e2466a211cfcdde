"""Reliability: how often a network is right, by its confidence."""

from collections.abc import Mapping, Sequence

from calibrate.page import format as fmt
from calibrate.page.figure import Bars, Figure, Line, Panel
from calibrate.steps.measure.scores import Arm, Bin, Scores


def reliability_figure(scores: Sequence[Scores], bins: Mapping[Arm, tuple[Bin, ...]]) -> Figure:
    """Accuracy by confidence and the examples in each bin, for the original network and for the last arm."""
    arms, titles = _shown(scores, bins), titles_of(scores, bins)
    above = tuple(
        _accuracy(bins[arm.arm], title, first=not column)
        for column, (arm, title) in enumerate(zip(arms, titles, strict=True))
    )
    below = tuple(_histogram(bins[arm.arm], first=not column) for column, arm in enumerate(arms))
    label = f"Accuracy by confidence. {'; '.join(titles)}"
    return Figure(label, (above, below), 8.0, 5.2, (3, 1), share_x=True, share_y=True)


def titles_of(scores: Sequence[Scores], bins: Mapping[Arm, tuple[Bin, ...]]) -> list[str]:
    """The expected calibration error of each network that is shown."""
    return [
        f"{when} ({arm.arm}): ECE {fmt.score('ece', arm.metrics['ece'].value)}"
        for arm in _shown(scores, bins)
        for when in ("before" if arm.arm == "original" else "after",)
    ]


def _shown(scores: Sequence[Scores], bins: Mapping[Arm, tuple[Bin, ...]]) -> list[Scores]:
    """The first and the last arm whose confidences were counted."""
    counted = [arm for arm in scores if bins.get(arm.arm)]
    return counted if len(counted) < 2 else [counted[0], counted[-1]]


def _accuracy(bins: tuple[Bin, ...], title: str, *, first: bool) -> Panel:
    filled = [item for item in bins if item.count]
    return Panel(
        (
            Bars(
                [item.low for item in filled],
                [item.accuracy for item in filled],
                [item.high - item.low for item in filled],
                "blue",
                "accuracy in the bin",
            ),
            Line([0, 1], [0, 1], "black", "perfect calibration", "", "--"),
        ),
        title=title,
        y_label="accuracy (fraction correct)" if first else "",
        x_limits=(0, 1),
        y_limits=(0, 1),
        legend="upper left" if first else "",
    )


def _histogram(bins: tuple[Bin, ...], *, first: bool) -> Panel:
    bars = Bars(
        [item.low for item in bins],
        [item.count for item in bins],
        [item.high - item.low for item in bins],
        "grey",
    )
    return Panel((bars,), x_label="confidence (highest probability)", y_label="examples" if first else "", y_whole=True)
