"""The reliability diagram of a measurement."""

from calibrate.page import format as fmt
from calibrate.page.figure import Bars, Figure, Line, Panel
from calibrate.steps import Arm, Bin, Measurement


def reliability(measurement: Measurement) -> Figure:
    """Accuracy by confidence and the examples in each bin, for the original network and for the last arm."""
    measured = [scores.arm for scores in measurement.arms if measurement.reliability.get(scores.arm)]
    arms = measured if len(measured) < 2 else [measured[0], measured[-1]]
    titles = [_title(measurement, arm, last=column > 0) for column, arm in enumerate(arms)]
    above = tuple(
        _accuracy(measurement.reliability[arm], title, first=not column)
        for column, (arm, title) in enumerate(zip(arms, titles, strict=True))
    )
    below = tuple(_histogram(measurement.reliability[arm], first=not column) for column, arm in enumerate(arms))
    label = f"Accuracy by confidence. {'; '.join(titles)}"
    return Figure(label, (above, below), 8.0, 5.2, (3, 1), share_x=True, share_y=True)


def _title(measurement: Measurement, arm: Arm, *, last: bool) -> str:
    ece = measurement.arm(arm).metrics["ece"].value
    return f"{'after' if last else 'before'} ({arm}): ECE {fmt.score('ece', ece)}"


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
