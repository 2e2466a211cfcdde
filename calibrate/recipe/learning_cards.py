"""The cards of the steps that learn by gradient."""

from collections.abc import Mapping

from calibrate.recipe.card import Card

_JUDGED = (
    "needs labels. It learns from three quarters of the calibration half and is judged on the quarter held back, on "
    "which T is then fitted too; the gain there is the best of several epochs, so believe the holdout half."
)
_COST = (
    "an epoch, three passes over three quarters of the calibration half and one over the quarter held back: 25 passes "
    "with 10 epochs, the most there are by default"
)

LEARNING_CARDS: Mapping[str, Card] = {
    "learn_alpha": Card(
        sentence="Learn an α for each layer, or for each channel",
        symbols="With logits(α) as in set_alpha, an own θ for each layer or channel (``per``), θ₀ the start (the α "
        "that the layers have, taken to [0.01, 0.99]), and T₀ the best temperature at the start:",
        formula="α = sigmoid(θ)\n"
        "θ by Adam down the mean of −log softmax(logits(α)/T₀)[label] + ``pull``·mean (θ − θ₀)²",
        equals="no epoch beats the start by more than ``margin`` standard errors: it then stays, as it was.",
        helps="layers differ in how far the data have shifted, and one α for all, found by search_alpha just before, "
        "already helps.",
        does_not_help="labels are few: an α for each channel then fits their noise; tune_affine does more with them.",
        cost=f"{_COST}; in inference that of set_alpha.",
        limits=f"{_JUDGED} GroupNorm layers have one α for each layer only. A network with α > 0 folds only a part of "
        "its normalisation into the convolutions.",
        reference="Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, "
        "§3.1 (one α for all); Kingma and Ba, Adam, ICLR 2015",
    ),
    "tune_affine": Card(
        sentence="Tune γ and β on a few labels, and nothing else",
        symbols="With w all γ and β of the matching layers, w₀ those at the start, T₀ the best temperature there, and "
        "the running statistics normalising throughout:",
        formula="w by Adam down the mean of −log softmax(logits(w)/T₀)[label] + ``pull``/2·Σ (w − w₀)²",
        equals="no epoch beats the start by more than ``margin`` standard errors: it then stays, as it was.",
        helps="some hundreds of labelled examples of the data to come are there: it is the strongest of the steps that "
        "use labels, and costs nothing in inference.",
        does_not_help="labels are few, or come from other data than those to come.",
        cost=f"{_COST}; in inference nothing: where α is 0, γ and β fold into the convolutions as before.",
        limits=f"{_JUDGED} Other weights stay as they are. float16 networks are refused; of bfloat16 ones a float32 "
        "copy learns.",
        reference="Frankle, Schwab and Morcos, Training BatchNorm and Only BatchNorm, ICLR 2021 (γ and β alone); Li, "
        "Grandvalet and Davoine, Explicit Inductive Bias for Transfer Learning, ICML 2018, §3 (L2-SP)",
    ),
}
