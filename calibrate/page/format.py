"""How single values read: the one place where a number becomes a string, so that text and HTML show equal numbers."""

from calibrate.values import METRICS, Estimate, Metric

_FRACTIONS: tuple[Metric, ...] = ("top1", "top5")


def _scaled(metric: Metric, number: float, sign: str = "") -> str:
    scale, digits = (100, 2) if metric in _FRACTIONS else (1, 4)
    return f"{scale * number + 0.0:{sign}.{digits}f}"


def score(metric: Metric, number: float) -> str:
    """A metric's value: accuracies in per cent, the others as they are.

    >>> score("top1", 0.76134), score("nll", 0.96118)
    ('76.13', '0.9612')
    """
    return _scaled(metric, number)


def change(metric: Metric, number: float) -> str:
    """A metric's difference, with its sign: accuracies in percentage points.

    >>> change("top1", -0.0015), change("nll", 0.0)
    ('-0.15', '+0.0000')
    """
    return _scaled(metric, number, "+")


def score_interval(metric: Metric, estimate: Estimate) -> str:
    """The 95 % interval of a metric's value."""
    return f"[{score(metric, estimate.low)}, {score(metric, estimate.high)}]"


def change_interval(metric: Metric, estimate: Estimate) -> str:
    """The 95 % interval of a metric's difference.

    >>> change_interval("nll", Estimate(value=-0.02, low=-0.031, high=-0.01))
    '[-0.0310, -0.0100]'
    """
    return f"[{change(metric, estimate.low)}, {change(metric, estimate.high)}]"


def metric_name(metric: Metric) -> str:
    """A metric's name without its unit.

    >>> metric_name("top1"), metric_name("nll")
    ('top-1', 'NLL')
    """
    return METRICS[metric][0].removesuffix(" %")


def short(number: float) -> str:
    """A number in at most four significant digits.

    >>> short(0.0525), short(1.603412), short(0.0)
    ('0.0525', '1.603', '0')
    """
    return f"{number:.4g}"


def count(number: int) -> str:
    """A whole number with its thousands apart.

    >>> count(25557032)
    '25,557,032'
    """
    return f"{number:,}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things; ``plural`` for nouns that take more than an s.

    >>> counted(1, "site"), counted(5000, "example"), counted(13, "pass", "passes")
    ('1 site', '5,000 examples', '13 passes')
    """
    return f"{count(number)} {noun if number == 1 else plural or noun + 's'}"


def counted_roughly(number: float, noun: str, plural: str) -> str:
    """A number of things that need not be whole, in at most four significant digits.

    >>> counted_roughly(1.0, "pass", "passes"), counted_roughly(2.25, "pass", "passes")
    ('1 pass', '2.25 passes')
    """
    return f"{short(number)} {noun if number == 1 else plural}"


def size(number: int) -> str:
    """A file's size in decimal units.

    >>> size(734), size(102_442_450)
    ('734 B', '102.4 MB')
    """
    if number < 1000:
        return f"{number} B"
    power = next((power for power in (1, 2) if number < 999.95 * 1000**power), 3)
    return f"{number / 1000**power:.1f} {('kB', 'MB', 'GB')[power - 1]}"


def printable(text: str) -> str:
    r"""Text from outside with what does not print (escapes, line breaks, lone surrogates) spelled out.

    >>> print(printable("set\x1b[31m\n"))
    set\x1b[31m\n
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
