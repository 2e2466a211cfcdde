"""The step ``label_free_alpha``: one α for all matching layers, chosen without labels."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.page import format as fmt
from calibrate.page.figure import Band, Figure, Line, Panel, Rule
from calibrate.page.section import Cell, Row, Section, Table
from calibrate.steps.search_alpha import X_LABEL
from calibrate.steps.step import Sites, StepResult, StepValue
from calibrate.values import NUMBER, Value

Criterion = Literal["entropy", "agreement", "estimation_shift"]


class LabelFreePoint(Value):
    """The criterion at one α; lower is better.

    ``low`` and ``high`` are the 95 % interval of the paired difference from the search's first point, added to the
    value there: where they leave that value out, α made a difference.
    """

    alpha: float
    value: float
    low: float
    high: float


class LabelFreeSearch(StepResult):
    """The choice of one α by ``criterion``, on ``n`` examples of the calibration half, without their labels.

    The first point is the network as trained, at α = 0 for BatchNorm and 1 for GroupNorm; the others depart from it
    further and further. ``best`` is where the criterion is lowest, by ``gain`` from the first point, with a
    ``standard_error``; ``chosen`` is ``best``, or the first point's α, as ``reason`` says. Passes are forward passes
    over the calibration half, parts by their share.
    """

    kind: Literal["label_free_alpha"] = "label_free_alpha"
    criterion: Criterion
    points: tuple[LabelFreePoint, ...]
    chosen: float
    best: float
    gain: float
    standard_error: float
    reason: str
    n: int
    passes: float

    def sections(self) -> tuple[Section, ...]:
        """What was chosen by what and why, and the criterion at each α."""
        title = f"Search for α without labels: {self.criterion.replace('_', ' ')}"
        rows = tuple(_row(self, point) for point in self.points)
        table = Table(("criterion",), rows) if rows else None
        return (Section(title, (_shows(self), *_how(self)), table, _figure(self) if self.points else None),)


class LabelFreeAlpha(StepValue):
    """Weigh each example in its own statistics, by an α chosen without labels.

    Choose one α for the matching sites on the calibration half, whose labels are not used.

    ``entropy``: predictions that are sure, and not all the same. ``agreement``: an image and the same one, mirrored or
    shifted, get the same prediction. ``estimation_shift``: the layers normalise by statistics like those of their
    inputs. α must beat 0 by more than ``margin`` paired standard errors of the criterion, else 0 stays. Where the sites
    are GroupNorm layers, for which α = 1 changes nothing, the search goes down from there to 1 − ``maximum``.

    With p = softmax(c·logits(α)), c such that the logits spread as at the α of training, p̄ the mean p, q the same
    for the image mirrored or shifted, JS the Jensen–Shannon divergence, and m, v, rm, rv the mean and variance of the
    last layer's inputs and its running ones; by ``criterion``::

        entropy:          α = argmin of mean H(p) − H(p̄)
        agreement:        α = argmin of mean JS(p, q) + mean H(p) − H(p̄)
        estimation_shift: α = argmin of mean over channels of ((rm − m)² + (√rv − √v)²)/v

    *Changes nothing when* no α beats 0 by more than ``margin`` standard errors; for GroupNorm layers, no α beats 1.

    *Helps when* there are no labels, and the data differ from the training data: the stronger the shift, the more.

    *Does not help when* there are labels: search_alpha chooses by what counts. The data hold few of the classes: then
    the entropy of the mean prediction misleads.

    Cost: at most 10 passes over ``samples`` examples, twice that for agreement, and one over the calibration half for
    GroupNorm layers; in inference that of set_alpha.

    Limits: a criterion is no accuracy: measure on labelled data where there are any. agreement needs images. For
    GroupNorm layers the estimation shift says nothing, because their moments are taken from the same data.

    Reference: Krause, Perona and Gomes, Discriminative Clustering by Regularized Information Maximization, NIPS 2010,
    §2 (entropy); Huang et al., Delving into the Estimation Shift of Batch Normalization in a Network, CVPR 2022,
    Definition 2
    """

    needs_labels = False
    tunes = True
    weighs_examples = True
    result = LabelFreeSearch

    kind: Literal["label_free_alpha"] = "label_free_alpha"
    criterion: Annotated[Criterion, Field(description="what to go by instead of labels")] = "entropy"
    maximum: Annotated[float, Field(gt=0, le=1, description="largest α tried; for GroupNorm, 1 − α"), NUMBER] = 0.5
    samples: Annotated[
        Annotated[int, Field(ge=2), NUMBER] | None,
        Field(description="at most so many examples, drawn from the calibration half; else all of it"),
    ] = 1000
    margin: Annotated[float, Field(ge=0, le=10, description="standard errors by which α must beat 0"), NUMBER] = 1.0
    sites: Sites = ("*",)

    @property
    def needs_logits(self) -> bool:
        """For all criteria but that of the layers' inputs."""
        return self.criterion != "estimation_shift"


_CRITERIA = {
    "entropy": "predictions that are sure, of all classes",
    "agreement": "predictions that agree on two views of an image",
    "estimation_shift": "the estimation shift in the last layer",
}


def _shows(search: LabelFreeSearch) -> str:
    return (
        f"Chose α = {fmt.short(search.chosen)} by {_CRITERIA[search.criterion]}: "
        f"{fmt.printable(search.reason).rstrip('.')}."
    )


def _how(search: LabelFreeSearch) -> tuple[str, ...]:
    passes = fmt.counted_roughly(search.passes, "pass", "passes")
    return (
        f"On {fmt.counted(search.n, 'example')} of the calibration half ({passes}), none of whose labels was used; "
        "lower is better, and in brackets is the 95 % interval of the difference from the first, added to the value "
        "there. Only a measurement with labels shows whether it helps.",
    )


def _row(search: LabelFreeSearch, point: LabelFreePoint) -> Row:
    cell = Cell(f"{point.value:.4f}", f"[{point.low:.4f}, {point.high:.4f}]")
    return Row(f"α = {fmt.short(point.alpha)}", "chosen" if point.alpha == search.chosen else "", (cell,))


def _figure(search: LabelFreeSearch) -> Figure:
    """The criterion at each α that was tried, the band of its difference from the first, and the chosen α."""
    start = search.points[0].alpha
    name = search.criterion.replace("_", " ")
    departures = [abs(point.alpha - start) for point in search.points]
    chosen = f"chosen: α = {fmt.short(search.chosen)}"
    low, high = [point.low for point in search.points], [point.high for point in search.points]
    panel = Panel(
        (
            Line(departures, [point.value for point in search.points], "blue", name, "o", size=4),
            Band(departures, low, high, "blue", f"95 % of the difference from α = {fmt.short(start)}", 0.2),
            Rule(x=abs(search.chosen - start), color="orange", label=chosen, dash="-", width=5, opacity=0.3),
        ),
        x_label=X_LABEL,
        y_label="criterion (lower is better)",
        alpha_from=start,
        legend="best",
    )
    label = f"The criterion {name}, without labels, against α on the calibration half; {chosen}"
    return Figure(label, ((panel,),), 7.0, 3.4)
