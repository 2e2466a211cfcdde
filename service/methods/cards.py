"""What there is to know of each step beyond its schema: when it helps, what it cannot do, and who found it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """A step in words."""

    title: str
    helps_when: str
    limits: str
    reference: str


_FOUR_THINGS = "Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, §3.1"

CARDS: Mapping[str, Card] = {
    "set_alpha": Card(
        title="Weigh each example in its own statistics, by a given α",
        helps_when="α is known from an earlier search, or one wants to see what a certain α does.",
        limits="Nothing is chosen from the data, so a bad α is applied as it is; measure afterwards. A network with "
        "α > 0 no longer folds its normalisation into the convolutions.",
        reference=_FOUR_THINGS,
    ),
    "search_alpha": Card(
        title="Weigh each example in its own statistics, by the best α",
        helps_when="The network was trained with small batches, or meets data that differ from its training data.",
        limits="Needs labels. One α for all matching layers; where the gain is within its noise, α stays 0 and the "
        "network is unchanged. A network with α > 0 no longer folds its normalisation into the convolutions.",
        reference=_FOUR_THINGS,
    ),
    "reestimate": Card(
        title="Re-estimate the running statistics on data",
        helps_when="The data differ from the training data strongly and all alike (AdaBN), or training left its "
        "running averages behind the weights (Precise BN, on training data).",
        limits="Often makes a network worse under mild shifts, which the measurement then shows. Needs no labels, but "
        "examples of all classes in the mixture that is to come; a few of them give poor statistics.",
        reference="Li, Wang, Shi, Hou and Liu, Adaptive Batch Normalization for Practical Domain Adaptation, 2018, §3; "
        "Wu and Johnson, Rethinking “Batch” in BatchNorm, 2021, §3; Schneider et al., NeurIPS 2020, Eq. 3 (prior)",
    ),
    "temperature": Card(
        title="Scale the logits by one temperature",
        helps_when="The network is more, or less, sure of its answers than it is right.",
        limits="Needs labels. Changes no answer, only how sure the network is of it.",
        reference="Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, §4.2",
    ),
    "measure": Card(
        title="Compare with the network as it came",
        helps_when="Always: it is what shows, on data that nothing was chosen on, whether the other steps helped.",
        limits="Needs labels. The intervals describe data like the holdout half, and no others.",
        reference="Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 14",
    ),
}
