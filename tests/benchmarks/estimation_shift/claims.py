"""What the paper observed, each as a number for each seed, and whether the seeds show it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from tests.benchmarks.estimation_shift.experiments import MEASURED, NOISE, Course, Subsets
from tests.benchmarks.estimation_shift.measures import Values

EARLY = np.array(MEASURED) <= 30
LATE = np.array(MEASURED) > 60

#: The layers 2, 4, … 20, whose BN the networks with half of them have too; the first and last five of those.
EVEN = np.arange(1, 20, 2)
SHALLOW, DEEP = EVEN[:5], EVEN[5:]


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """An observation: a number for each seed that is on one ``side`` of ``bound`` where it holds."""

    says: str
    of_seeds: Values
    side: Literal[">", "<"] = ">"
    bound: float = 0.0

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean, by Student's t over the seeds."""
        n = len(self.of_seeds)
        half = stats.t.ppf(0.975, n - 1) * self.of_seeds.std(ddof=1) / np.sqrt(n)
        return float(self.of_seeds.mean() - half), float(self.of_seeds.mean() + half)

    def verdict(self) -> str:
        """Whether the interval lies on the side of the claim, on the other, or on both.

        >>> [Claim("", np.array(values), ">").verdict() for values in ([1.0, 1.1], [-1.0, -1.1], [-1.0, 3.0])]
        ['shows', 'the opposite shows', 'does not show']
        """
        low, high = self.interval()
        if self.side == "<":
            low, high = -high, -low
        bound = self.bound if self.side == ">" else -self.bound
        return "shows" if low > bound else "the opposite shows" if high < bound else "does not show"

    def row(self) -> str:
        """The claim as a line of a table."""
        low, high = self.interval()
        spread = f"{self.of_seeds.mean():8.2f} ± {self.of_seeds.std(ddof=1):<6.2f} [{low:7.2f}, {high:7.2f}]"
        return f"  {self.says:73} {spread}  {self.side} {self.bound:<4g} {self.verdict()}"


def rise(shift: Values) -> Values:
    """Spearman's correlation (seeds,) of ``shift`` (seeds, layers) with depth."""
    return np.array([stats.spearmanr(np.arange(len(row)), row).statistic for row in shift])


def growth(shift: Values) -> Values:
    """log₂ of the mean ESM of the layers 12 … 20 over that of 2 … 10, of the even layers of ``shift`` (…, 20)."""
    ratio: Values = np.log2(shift[..., DEEP].mean(-1) / shift[..., SHALLOW].mean(-1))
    return ratio


def gap_ends(course: Course) -> Values:
    """The last measured iteration (seeds,) at which the errors of the modes differ by more than a point."""
    apart = np.abs(course.evaluation - course.training) > 1
    return np.array([max(np.array(MEASURED)[row], default=0) for row in apart], np.float64)


def of_same_set(courses: Mapping[str, Course]) -> list[Claim]:
    """Setup one (Figures 2 and 4): the gap, its end, the accumulation, and GN against it."""
    gap = {kind: course.evaluation - course.training for kind, course in courses.items()}
    early = {kind: course.shift[:, EARLY].mean(1) for kind, course in courses.items()}
    sigma = {kind: shift[:, 0] for kind, shift in early.items()}
    last = courses["BN"].shift[:, -1, 0].mean(-1)
    largest = courses["BN"].shift[:, :, 0].mean(-1).max(-1)
    mean_gap = {kind: values[:, EARLY].mean(1) for kind, values in gap.items()}
    return [
        Claim("BN: eval - train error, iterations 1-30, points", mean_gap["BN"]),
        Claim(
            "BN: it vanishes: |eval - train|, iterations 61-80, points", np.abs(gap["BN"][:, LATE]).mean(1), "<", 1.0
        ),
        Claim("BN: ESM_sigma goes to 0: at iteration 80 over its largest", last / largest, "<", 0.1),
        Claim("BN: ESM_sigma rises with depth, Spearman, 1-30", rise(sigma["BN"])),
        Claim("BN: ESM_mu rises with depth, Spearman, 1-30", rise(early["BN"][:, 1])),
        Claim("GN narrows the gap: BN - GNBN, points, 1-30", mean_gap["BN"] - mean_gap["GNBN"]),
        Claim("  control: half BN - GNBN", mean_gap["half BN"] - mean_gap["GNBN"]),
        Claim("GN ends the gap sooner: BN - GNBN, iterations", gap_ends(courses["BN"]) - gap_ends(courses["GNBN"])),
        Claim("  control: half BN - GNBN", gap_ends(courses["half BN"]) - gap_ends(courses["GNBN"])),
        Claim("GNBN: ESM_sigma alike in all layers: |log2 deep/shallow|", np.abs(growth(sigma["GNBN"])), "<", 0.25),
        Claim("GN blocks: log2 deep/shallow, BN - GNBN", growth(sigma["BN"]) - growth(sigma["GNBN"])),
        Claim("  control: half BN - GNBN", growth(sigma["half BN"]) - growth(sigma["GNBN"])),
    ]


def of_subsets(found: Mapping[str, Subsets], sizes: Sequence[int]) -> list[Claim]:
    """Setup two (Figures 3 and 5): what fewer images do, the accumulation, and GN against it."""
    bn, gnbn, half = (found[kind] for kind in ("BN", "GNBN", "half BN"))
    layers = {kind: subsets.shift[..., 1:] for kind, subsets in found.items()}

    def by_size(says: str, values: Values, side: Literal[">", "<"] = ">", bound: float = 0.0) -> list[Claim]:
        return [Claim(f"{says}, N = {size}", values[:, at], side, bound) for at, size in enumerate(sizes)]

    def of_sizes(measure: Callable[[Values], Values], kind: str) -> Values:
        return np.stack([measure(layers[kind][:, at]) for at in range(len(sizes))], 1)

    even = {kind: shift[..., EVEN].mean(-1) for kind, shift in layers.items()}
    apart = {kind: of_sizes(growth, kind) for kind in ("BN", "GNBN", "half BN")}
    return [
        Claim("fewer images, more shift of the input: Spearman with N", rise(bn.shift[..., 0]), "<"),
        Claim("BN: fewer images, more ESM_sigma: Spearman with N", rise(layers["BN"].mean(-1)), "<"),
        Claim("BN: fewer images, more test error: Spearman with N", rise(bn.test), "<"),
        *by_size("BN: ESM_sigma rises with depth, Spearman", of_sizes(rise, "BN")),
        *by_size("GN lowers ESM_sigma of the same BNs: BN - GNBN", even["BN"] - even["GNBN"]),
        *by_size("  control: half BN - GNBN", even["half BN"] - even["GNBN"]),
        *by_size("GNBN: ESM_sigma alike in all layers: |log2 deep/shallow|", np.abs(apart["GNBN"]), "<", 0.25),
        *by_size("GN blocks: log2 deep/shallow, BN - GNBN", apart["BN"] - apart["GNBN"]),
        *by_size("  control: half BN - GNBN", apart["half BN"] - apart["GNBN"]),
        *by_size("GN lowers test error: BN - GNBN, points", bn.test - gnbn.test),
        *by_size("  control: half BN - GNBN", half.test - gnbn.test),
        *(
            Claim(f"no norm beats BN: BN - {kind}, points, N = {sizes[0]}", (bn.test - found[kind].test)[:, 0])
            for kind in found
            if kind.startswith("original")
        ),
    ]


def of_noise(errors: Mapping[str, Values]) -> list[Claim]:
    """Noise on the statistics (Figure 8): how much more it costs the network without GN."""
    cost = {name: values - values[:, :1] for name, values in errors.items()}
    more = cost["BN, six layers"] - cost["GNBN, six layers"]
    return [
        Claim(f"noise costs BN more points than GNBN, six layers, Δ = {delta:g}", more[:, at])
        for at, delta in enumerate(NOISE)
        if delta
    ]
