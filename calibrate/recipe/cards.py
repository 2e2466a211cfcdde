"""The cards of the steps."""

from collections.abc import Mapping

from calibrate.recipe.adaptation_cards import ADAPTATION_CARDS
from calibrate.recipe.card import Card
from calibrate.recipe.learning_cards import LEARNING_CARDS
from calibrate.recipe.probe_cards import PROBE_CARDS

_FOUR_THINGS = "Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, §3.1"

CARDS: Mapping[str, Card] = {
    "set_alpha": Card(
        sentence="Weigh each example in its own statistics, by a given α",
        symbols="With rm, rv the running mean and variance and m, v the mean and biased variance of the example's "
        "channel over its positions:",
        formula="μ  = (1 − α)·rm + α·m\nσ² = (1 − α)·rv + α·v + α(1 − α)(m − rm)²\ny  = γ(x − μ)/√(σ² + eps) + β",
        equals="α = 0; for GroupNorm layers, α = 1.",
        helps="α is known from an earlier search, or one wants to see what a certain α does.",
        does_not_help="α was chosen on other data, or for another network: search it.",
        cost="none to carry out, one pass over the calibration half for GroupNorm layers; in inference two reductions "
        "and a pass over the maps for each layer with α > 0.",
        limits="nothing is chosen from the data, so a bad α is applied as it is; measure afterwards. A network with "
        "α > 0 folds only a part of its normalisation into the convolutions.",
        reference=_FOUR_THINGS,
    ),
    "search_alpha": Card(
        sentence="Weigh each example in its own statistics, by the best α",
        symbols="With logits(α) those of the calibration half where the matching layers weigh examples by α as in "
        "set_alpha; for GroupNorm layers 1 − maximum ≤ α ≤ 1:",
        formula="α = argmin over 0 ≤ α ≤ maximum of min over T > 0 of the mean of −log softmax(logits(α)/T)[label]",
        equals="no α beats 0 by more than ``margin`` standard errors; for GroupNorm layers, no α beats 1.",
        helps="the network was trained with small batches, or meets data that differ from its training data.",
        does_not_help="the running statistics fit the data; then a temperature alone does as well.",
        cost="at most 5 passes over the calibration half, 8 more with ``curve``, and one more for GroupNorm layers; in "
        "inference that of set_alpha.",
        limits="needs labels. One α for all matching layers; where the gain is within its noise, α stays 0 and the "
        "network is unchanged. A network with α > 0 folds only a part of its normalisation into the convolutions.",
        reference=_FOUR_THINGS,
    ),
    **LEARNING_CARDS,
    "label_free_alpha": Card(
        sentence="Weigh each example in its own statistics, by an α chosen without labels",
        symbols="With p = softmax(c·logits(α)), c such that the logits spread as at the α of training, p̄ the mean p, "
        "q the same for the image mirrored or shifted, JS the Jensen–Shannon divergence, and m, v, rm, rv the mean and "
        "variance of the last layer's inputs and its running ones; by ``criterion``:",
        formula="entropy:          α = argmin of mean H(p) − H(p̄)\n"
        "agreement:        α = argmin of mean JS(p, q) + mean H(p) − H(p̄)\n"
        "estimation_shift: α = argmin of mean over channels of ((rm − m)² + (√rv − √v)²)/v",
        equals="no α beats 0 by more than ``margin`` standard errors; for GroupNorm layers, no α beats 1.",
        helps="there are no labels, and the data differ from the training data: the stronger the shift, the more.",
        does_not_help="there are labels: search_alpha chooses by what counts. The data hold few of the classes: then "
        "the entropy of the mean answer misleads.",
        cost="at most 10 passes over ``samples`` examples, twice that for agreement, and one over the calibration half "
        "for GroupNorm layers; in inference that of set_alpha.",
        limits="a criterion is no accuracy: measure on labelled data where there are any. agreement needs images. For "
        "GroupNorm layers the estimation shift says nothing, because their moments are taken from the same data.",
        reference="Krause, Perona and Gomes, Discriminative Clustering by Regularized Information Maximization, NIPS "
        "2010, §2 (entropy); Huang et al., Delving into the Estimation Shift of Batch Normalization in a Network, CVPR "
        "2022, Definition 2",
    ),
    "reestimate": Card(
        sentence="Re-estimate the running statistics on data",
        symbols="With x a layer's inputs over all n examples (``on`` the calibration half or the training data), taken "
        "while the layers before it use the new statistics too, and λ = N/(N + n) for a prior of N examples:",
        formula="rm ← λ·rm + (1 − λ)·mean(x), and rv so that it is the variance of that mixture (``variant``)",
        equals="the running statistics are the data's already; or with a prior that outweighs all examples.",
        helps="the data differ from the training data strongly and all alike (AdaBN), or training left its running "
        "averages behind the weights (Precise BN, ``on`` training data).",
        does_not_help="the shift is mild: then it often makes a network worse, which the measurement shows.",
        cost="about two passes over these examples while their activations fit into memory, more beyond; in "
        "inference nothing.",
        limits="needs no labels, but examples of all classes in the mixture that is to come; a few of them give poor "
        "statistics. Training data are seen as in inference, not as in training, without ``augmentation``.",
        reference="Li, Wang, Shi, Hou and Liu, Adaptive Batch Normalization for Practical Domain Adaptation, 2018, §3; "
        "Wu and Johnson, Rethinking “Batch” in BatchNorm, 2021, §3; Schneider et al., NeurIPS 2020, Eq. 3 (prior)",
    ),
    "temperature": Card(
        sentence="Scale the logits by one temperature",
        symbols="With the logits those of the network as it stands, T chosen on the calibration half:",
        formula="p = softmax(logits/T), T = argmin over T > 0 of the mean of −log p[label]",
        equals="T = 1.",
        helps="the network is more, or less, sure of its answers than it is right.",
        does_not_help="answers are wrong: it changes none of them.",
        cost="one pass over the calibration half, or none after a search; nothing in inference where the last layer is "
        "linear and takes T in, else one division.",
        limits="needs labels. Changes no answer, only how sure the network is of it.",
        reference="Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, §4.2",
    ),
    "auto": Card(
        sentence="Try several ways to tune the network, and recommend what is proven to help",
        symbols="With NLL(c) the cross-entropy of candidate c after its temperature, on examples of the calibration "
        "half that it did not learn from, c₀ that of the lowest, and se the paired standard error, first among "
        "candidates that learned by gradient and among the others, then between what these two chose:",
        formula="chosen = the first, simplest first, with NLL(c) − NLL(c₀) ≤ margin·se;  recommended where on the "
        "holdout half it improves on T",
        equals="nothing is recommended.",
        helps="one does not know which method suits the network and the data.",
        does_not_help="there are few examples: then it says how large a gain would have to be to show.",
        cost="without gradient steps 55 passes over a calibration half of 2,500 examples, and 79 over one of 300; with "
        "them 109 to 186; fewer with a budget; in inference that of what is recommended.",
        limits="needs labels. The recommended candidate's numbers are honest, since it was chosen on other examples; "
        "the best of the others' are not, which Holm's p-values take into account. With a budget in minutes what is "
        "tried depends on the machine.",
        reference="Jamieson and Talwalkar, AISTATS 2016, §3 (halving); Breiman et al., Classification and Regression "
        "Trees, 1984, §3.4.3 (the choice); Holm, Scand. J. Statist. 6, 1979",
    ),
    "measure": Card(
        sentence="Compare with the network as it came",
        symbols="With each metric (NLL, top-1, …) on the same examples, those of the holdout half:",
        formula="difference = metric(as it stands) − metric(as it came)",
        equals="always: it only looks.",
        helps="always: it is what shows, on data that nothing was chosen on, whether the other steps helped.",
        does_not_help="the holdout half is unlike the data to come, or too small for the difference looked for.",
        cost="one pass over the holdout half for the network as it came, and one for the changed one.",
        limits="needs labels. The intervals describe data like the holdout half, and no others.",
        reference="Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 14",
    ),
    **PROBE_CARDS,
    **ADAPTATION_CARDS,
}
